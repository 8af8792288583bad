"""Compare bfloat16 (``--precision bf16-mixed``) with float32 on a CPU.

Usage: ``python benchmarks/bfloat16.py [--save]`` prints a table; ``--save`` also writes
benchmarks/results/bfloat16-DATE.json.

* step: forward pass, losses and backward pass for 4 crops of 112 x 112 pixels.
* forward: forward pass for one frame of 640 x 360 pixels.

Runs alternate between the precisions. Each time is the median of the faster half of the runs.
"""

import argparse
import time
from collections.abc import Callable

import torch
from cpu import faster_half, training_step
from surroundings import add_save, add_trial, save, surroundings

from cdgnet import CDGNet, ModelConfig
from pipelines.timing import has_amx

NETWORKS = (("small", "dmphn-1"), ("paper", "dmphn-1"), ("small", "cdgnet"), ("paper", "cdgnet"))
SIZES = (112, (360, 640))  # side of a step's crops; height, width of a frame
TRIAL_NETWORKS = (("tiny", "dmphn-1"), ("tiny", "cdgnet"))
TRIAL_SIZES = (16, (16, 32))


def works(preset: str, variant: str, side: int, size: tuple[int, int]) -> dict[str, Callable[[], object]]:
    """Return a training step on square crops, and the forward pass for a frame, as functions to time."""
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset(preset, variant))
    frame = torch.rand(1, 3, *size) - 0.5

    @torch.inference_mode()
    def forward() -> None:
        network.eval()(frame)

    return {"step": training_step(network, 4, side), "forward": forward}


def seconds(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Measure the seconds per run of ``work``, by precision."""
    found: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for turn in range(repeats + 1):
        for name, times in found.items():
            begun = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "bfloat16"):
                work()
            if turn:  # the first run warms up
                times.append(time.perf_counter() - begun)
    return {name: faster_half(times) for name, times in found.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch [%(default)s]")
    parser.add_argument("--repeats", type=int, default=6, help="timed runs per row and precision [%(default)s]")
    add_trial(parser)
    add_save(parser)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    about = surroundings() | {"torch": torch.__version__, "threads": asked.threads, "amx": has_amx()}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print("\n| network | work | float32, ms | bfloat16, ms | float32 / bfloat16 |\n|---|---|---|---|---|")
    rows = []
    sizes = TRIAL_SIZES if asked.trial else SIZES
    for preset, variant in TRIAL_NETWORKS if asked.trial else NETWORKS:
        for work, run in works(preset, variant, *sizes).items():
            found = seconds(run, asked.repeats)
            ratio = found["float32"] / found["bfloat16"]
            rows.append({"preset": preset, "variant": variant, "work": work, "seconds": found, "ratio": ratio})
            times = " | ".join(f"{1000 * each:.0f}" for each in found.values())
            print(f"| `{variant}`, `{preset}` | {work} | {times} | {ratio:.1f} |", flush=True)
    if asked.save:
        save(asked.save, "bfloat16", about, {"rows": rows}, kind="trial" if asked.trial else "")


if __name__ == "__main__":
    main()
