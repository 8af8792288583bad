"""Resources of the fused kernels, as reported by the compiler; no GPU is needed.

Usage: ``python benchmarks/kernels.py [--save]`` prints a table; ``--save`` also writes
benchmarks/results/kernels-DATE.json.

For the shapes of the preset paper, the table lists registers per thread, bytes spilled per thread, and shared memory
per block. All GPUs of compute capability 8.0 or newer have at least 99 kB of shared memory.
"""

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)

import torch
import triton
from surroundings import add_save, save, surroundings
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from cdgnet.deform import fused, kernels

WIDTHS = (
    (32, 32),
    (64, 64),
    (128, 128),
    (64, 32),
    (32, 1),
)  # input and output channels of the layers in the preset paper
KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
GROUPS = 2
CUOBJDUMP = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"


def measure(capability: int, kind: str, channels: int, outputs: int, work: str) -> dict[str, Any]:
    """Compile one kernel with its usual launch settings for ``channels`` input and ``outputs`` output channels."""
    is_backward = work == "backward"
    features = torch.empty(1, channels, 8, 8, dtype=KINDS[kind], device="meta")
    modulation = torch.empty(1, 9 * GROUPS, 8, 8, device="meta")
    weight = torch.empty(outputs, channels, 3, 3, device="meta")
    level = divmod(capability, 10)
    block, warps = fused._block(features, modulation, weight, is_backward=is_backward, capability=level)
    constants = fused._constants(features, modulation, weight, 1, block)
    kernel = kernels.convolve
    if is_backward:
        kernel, constants = kernels.differentiate, constants | {"IS_EXACT": False, "NEEDS_FEATURES": True}
    tensors = {"features": kind, "weight": kind, "result": kind, "gradient": kind}
    tensors |= dict.fromkeys(("offset", "modulation", "bias", "features_sums", "weight_sums", "scale"), "fp32")
    tensors |= dict.fromkeys(("offset_gradient", "modulation_gradient"), "fp32")
    names = kernel.arg_names
    signature = {name: "*" + tensors[name] if name in tensors else "i32" for name in names}
    signature |= dict.fromkeys(constants, "constexpr")
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in tensors if name in names}
    source = ASTSource(kernel, signature, {(names.index(name),): value for name, value in constants.items()}, aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
    registers, spilled = resources(compiled.asm["cubin"])
    return {
        "capability": capability / 10,
        "kind": kind,
        "channels": channels,
        "outputs": outputs,
        "work": work,
        "pixels": block,
        "warps": warps,
        "registers": registers,
        "spilled_bytes": spilled,
        "shared_kB": round(compiled.metadata.shared / 1024, 1),
    }


def resources(program: bytes) -> tuple[int, int]:
    """Return the registers per thread, and the bytes of stack per thread, which hold spilled registers."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(program)
        file.flush()
        command = [str(CUOBJDUMP), "--dump-resource-usage", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (found,) = re.findall(r"REG:(\d+) STACK:(\d+)", said)
    return int(found[0]), int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--capability", type=int, action="append", help="compute capability times 10; may be repeated [80 and 90]"
    )
    parser.add_argument(
        "--type", action="append", choices=list(KINDS), help="type of the features; may be repeated [all]"
    )
    add_save(parser)
    options = parser.parse_args()
    about = surroundings() | {"torch": torch.__version__, "triton": triton.__version__}
    rows = []
    print(f"{'capability':>10} {'type':5}{'in, out':>10} {'work':9}{'P':>4}{'warps':>6}{'registers':>10}", end="")
    print(f"{'spilled B':>10}{'shared kB':>10}")
    for capability in options.capability or (80, 90):
        for kind in options.type or KINDS:
            for channels, outputs in WIDTHS:
                for work in ("forward", "backward"):
                    row = measure(capability, kind, channels, outputs, work)
                    rows.append(row)
                    print(f"{row['capability']:10} {kind:5}{f'{channels}, {outputs}':>10} {work:9}", end="")
                    print(f"{row['pixels']:4}{row['warps']:6}{row['registers']:10}", end="")
                    print(f"{row['spilled_bytes']:10}{row['shared_kB']:10}", flush=True)
    if options.save:
        save(options.save, "kernels", about, {"rows": rows})


if __name__ == "__main__":
    main()
