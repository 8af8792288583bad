"""Time of ``cdgnet`` relative to ``dmphn-1`` on a CPU, for a training step and a forward pass.

Usage: ``python benchmarks/cpu.py [--before CHECKOUT] [--save]`` prints a table; ``--save`` also writes
benchmarks/results/cpu-DATE.json. ``--before`` also measures another working copy of this repository. The copies
alternate, so that a slow phase of the machine affects both.

A step is forward pass, losses and backward pass. Times are CPU time with one thread and wall time with several: the
median of the faster half of the runs, which alternate between the networks.

The column ``macs`` is the ratio of the networks' multiply-accumulates. The ratio of times would equal it if cdgnet
computed at the rate of dmphn-1.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from surroundings import add_save, add_trial, save, surroundings

Case: TypeAlias = tuple[str, int, int]

CASES = (("tiny", 4, 64), ("tiny", 1, 256), ("paper", 1, 128))  # preset, batch, side of the square frames
TRIAL = (("tiny", 1, 16),)
WORKS = ("step", "forward")
NETWORKS = ("dmphn-1", "cdgnet")
HERE = Path(__file__).parents[1]


def measure(cases: Sequence[Case], threads: int, repeats: int) -> list[dict[str, Any]]:
    """Measure the seconds for each case, kind of work and network, in this process."""
    import torch

    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    rows = []
    for preset, batch, side in cases:
        works = {name: _works(preset, name, batch, side) for name in NETWORKS}
        for work in WORKS:
            seconds: dict[str, list[float]] = {name: [] for name in NETWORKS}
            for turn in range(repeats + 1):
                for name in NETWORKS:
                    begun = clock()
                    works[name][work]()
                    if turn:  # the first run warms up
                        seconds[name].append(clock() - begun)
            for name in NETWORKS:
                rows.append({"preset": preset, "batch": batch, "side": side, "work": work, "network": name})
                rows[-1]["seconds"] = seconds[name]
    return rows


def _works(preset: str, variant: str, batch: int, side: int) -> dict[str, Any]:
    import torch

    from cdgnet import CDGNet, ModelConfig

    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset(preset, variant))
    frames = torch.rand(batch, 3, side, side) - 0.5

    @torch.inference_mode()
    def forward() -> None:
        network.eval()(frames)

    return {"step": training_step(network, batch, side), "forward": forward}


def training_step(network: Any, batch: int, side: int) -> Callable[[], None]:
    """Return a step: forward pass, losses and backward pass for square crops on the network's device, no optimiser."""
    import torch

    from cdgnet import deblurring_losses

    device = next(network.parameters()).device
    blurry, sharp = (torch.rand(batch, 3, side, side, device=device) - 0.5 for _ in "12")
    mask = torch.rand(batch, 1, side, side, device=device) > 0.5

    def step() -> None:
        losses = deblurring_losses(network.train()(blurry), sharp, mask, lambda_small=0.1, lambda_large=0.1)
        losses.total.backward()  # type: ignore[no-untyped-call]
        network.zero_grad()

    return step


def ratio_of_work(preset: str) -> float:
    """Return the multiply-accumulates of cdgnet divided by those of dmphn-1."""
    from cdgnet import ModelConfig
    from cdgnet.cost import network_cost

    small, large = (network_cost(ModelConfig.preset(preset, name), 256, 256)["total"].honest for name in NETWORKS)
    return large / small


def in_a_process(checkout: Path, threads: int, repeats: int, *, is_trial: bool) -> list[dict[str, Any]]:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", str(threads), "--repeats", str(repeats)]
    command += ["--trial"] if is_trial else []
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(checkout)}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{checkout} failed:\n{done.stderr}")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def faster_half(seconds: list[float]) -> float:
    return statistics.median(sorted(seconds)[: -(-len(seconds) // 2)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another working copy to compare with")
    parser.add_argument("--threads", type=int, action="append", help="threads of torch; may be repeated [1 and 2]")
    parser.add_argument("--rounds", type=int, default=3, help="processes per working copy [%(default)s]")
    parser.add_argument("--repeats", type=int, default=6, help="timed runs per row and process [%(default)s]")
    add_save(parser)
    add_trial(parser)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = TRIAL if options.trial else CASES
    if options.child:
        print(json.dumps(measure(cases, options.child, options.repeats)))
        return
    import torch

    about = surroundings() | {"torch": torch.__version__}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    checkouts = {"before": options.before} if options.before else {}
    checkouts["now"] = HERE
    rows = []
    print(f"{'copy':8}{'threads':>8}  {'case':21}{'work':9}{'dmphn-1 ms':>11}{'cdgnet ms':>11}{'ratio':>7}{'macs':>7}")
    for threads in options.threads or (1, 2):
        found: dict[tuple[str, str, int, int, str, str], list[float]] = {}
        for _ in range(options.rounds):
            for name, checkout in checkouts.items():
                for row in in_a_process(checkout, threads, options.repeats, is_trial=options.trial):
                    key = (name, row["preset"], row["batch"], row["side"], row["work"], row["network"])
                    found.setdefault(key, []).extend(row["seconds"])
        for name in checkouts:
            for preset, batch, side in cases:
                for work in WORKS:
                    seconds = [faster_half(found[name, preset, batch, side, work, network]) for network in NETWORKS]
                    ratio, least = seconds[1] / seconds[0], ratio_of_work(preset)
                    row = {"copy": name, "threads": threads, "preset": preset, "batch": batch, "side": side}
                    row |= {"work": work, "seconds": dict(zip(NETWORKS, seconds, strict=True)), "ratio": ratio}
                    rows.append(row | {"ratio_of_multiply_accumulates": least})
                    case = f"{preset}, {batch} x {side} x {side}"
                    times = "".join(f"{1000 * each:11.1f}" for each in seconds)
                    print(f"{name:8}{threads:8}  {case:21}{work:9}{times}{ratio:7.2f}{least:7.2f}", flush=True)
    if options.save:
        save(options.save, "cpu", about, {"rows": rows}, kind="trial" if options.trial else "")


if __name__ == "__main__":
    main()
