"""Compare launch settings of the fused kernels on a GPU: pixels per block, warps, and parts of the backward pass.

Usage: ``python benchmarks/gpu_tuning.py [--save]`` prints a table; ``--save`` also writes
benchmarks/results/gpu-tuning-DATE-DEVICE.json.

Inputs are random. A CUDA graph of one launch is replayed between synchronised events, so that launch overhead does not
count. The fastest settings are used in ``cdgnet.deform.fused._block``.
"""

import argparse
import os
from functools import partial
from typing import Any

import torch

if not torch.cuda.is_available():  # set before Triton is imported: on a CPU the kernels need its interpreter
    os.environ.setdefault("TRITON_INTERPRET", "1")

from gpu import HALF, LEVELS, Clock
from surroundings import add_save, save, surroundings

from cdgnet.deform import fused

# (pixels per block, warps), and for the backward pass also the number of parts
FORWARD_BLOCKS = ((32, 4), (64, 4), (64, 8), (128, 8))
BACKWARD_BLOCKS = ((32, 4, 64), (64, 4, 64), (64, 4, 256), (64, 8, 64), (64, 8, 256), (128, 8, 64))


def tuning(clock: Clock, levels: dict[str, tuple[int, int, int, int]]) -> list[dict[str, Any]]:
    """Time the kernels of one layer in bfloat16 with each launch setting, in ms per launch."""
    usual, parts = fused._block, fused._parts
    print(f"\n{'layer':9}{'pass':10}{'block':>7}{'warps':>7}{'parts':>7}{'ms':>10}")
    rows = []
    settings = [("forward", *each, 0) for each in FORWARD_BLOCKS] + [("backward", *each) for each in BACKWARD_BLOCKS]
    if clock.device.type != "cuda":  # Triton's interpreter needs seconds for each
        settings = [settings[0], settings[-1]]
    for level, shape in levels.items():
        for name, block, warps, given in settings:
            fused._block = lambda *tensors, b=(block, warps), **of: b
            fused._parts = lambda *sizes, p=given: p
            found = clock.guarded(partial(launch, shape, clock, is_backward=name == "backward"))
            rows.append({"level": level, "pass": name, "block": block, "warps": warps, "parts": given, **found})
            said = f"  {found['failed']}" if "failed" in found else f"{found['ms']:10.3f}"
            print(f"{level:9}{name:10}{block:7}{warps:7}{given:7}{said}", flush=True)
    fused._block, fused._parts = usual, parts
    return rows


def launch(shape: tuple[int, int, int, int], clock: Clock, *, is_backward: bool) -> dict[str, Any]:
    """Time one pass of one layer in bfloat16, without autograd."""
    torch.manual_seed(0)
    batch, channels, *place = shape
    shapes = (shape, (batch, 36, *place), (batch, 18, *place))
    maps = [torch.rand(each, device=clock.device) - 0.5 for each in shapes]
    features, offset, modulation = (each.to(memory_format=torch.channels_last) for each in maps)
    weight = torch.rand(channels, channels, 3, 3, device=clock.device) - 0.5
    features, bias = features.to(HALF), weight.new_zeros(channels)
    given = torch.rand_like(features)

    def work() -> object:
        if is_backward:
            return torch.ops.cdgnet.deform_conv2d_backward(given, features, offset, modulation, weight, 1, True)
        return torch.ops.cdgnet.deform_conv2d(features, offset, modulation, weight, bias, 1)

    if clock.device.type != "cuda":
        return clock.measure(work)
    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return clock.measure(graph.replay)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to test the script [%(default)s]")
    parser.add_argument("--minutes", type=float, default=4.0, help="time limit: no row starts later [%(default)s]")
    add_save(parser)
    options = parser.parse_args()
    is_real = options.device == "cuda"
    if is_real and not torch.cuda.is_available():
        parser.error("no CUDA device found; use --device cpu to test the script on small shapes")
    about = surroundings() | {"torch": torch.__version__}
    if is_real:
        about["device"] = torch.cuda.get_device_name()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    levels = {name: shape for name, shape in LEVELS.items() if name != "720p"} if is_real else {"full": (1, 8, 4, 4)}
    rows = tuning(Clock(torch.device(options.device), options.minutes, 30), levels)
    if options.save:
        kind = str(about["device"]).replace(" ", "-").lower() if is_real else "cpu"
        save(options.save, "gpu-tuning", about, {"tuning": rows}, kind=kind)


if __name__ == "__main__":
    main()
