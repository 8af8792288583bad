"""Compare camera models of ``cdg-prep synth`` by training the same network on the output of each.

Training pairs are made from the same photographs and motion (``cdg-prep synth --photos``) and differ in the camera
only. Networks are scored on the centres of GoPro and REDS pairs, which are not in the training data, with the original
blurry frames and with the noise of a phone added to them. Gains over the camera ``none`` are paired by seed; intervals
are 95 % (Student's t).

Usage: ``python benchmarks/cameras.py --data DIR --work FOLDER [--save]``. DIR contains photographs, GOPRO_Large and
REDS. Existing pairs, packs and runs in FOLDER are reused. ``--save`` writes benchmarks/results/cameras-DATE.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from scipy import stats
from surroundings import add_save, save, surroundings

from cdgnet import load_weights, psnr, to_bytes
from pipelines.packs import to_range
from prep.datasets import layouts
from prep.io import frames
from prep.synthesis.cameras import NONE, PHONE
from prep.synthesis.response import SRGB

CAMERAS = {
    "none": ("--camera", "none"),
    "gamma": ("--camera", "none", "--response", "gamma"),
    "gopro": ("--camera", "gopro"),
    "dslr": ("--camera", "dslr"),
    "phone": ("--camera", "phone"),
}
SYNTH = ("--photos", "--count", "6", "--size", "384x384", "--seed", "7")
TRAIN = (
    *("--variant", "dmphn-1", "--preset", "tiny", "--batch", "4", "--crop", "96", "--val", "none", "--no-turn"),
    *("--learning-rate", "1e-3", "--schedule", "cosine", "--log-every", "100", "--workers", "0"),
)
SETS = ("GoPro", "REDS", "GoPro, noisy", "REDS, noisy")
_CENTRE = (360, 640)  # height, width of the scored part of a frame
_SHOT, _READ = 1.1e-3, 1.08e-3  # middle of the phone's noise range


class Line(TypedDict):
    """One row of the table; all numbers in dB."""

    set: str
    camera: str
    blurry: float
    psnr: float
    spread: float
    against_none: float
    interval: tuple[float, float]


def command(*words: object) -> None:
    """Run one of the project's commands with one thread per process."""
    name, *rest = map(str, words)
    done = subprocess.run(
        [Path(sys.executable).with_name(name), *rest],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{name} {' '.join(rest)}: {done.stderr.strip().splitlines()[-1]}")


def prepare(data: Path, work: Path, camera: str) -> Path:
    """Make the pack of a camera's training pairs, unless it exists."""
    made, pack = work / camera, work / f"{camera}.h5"
    if not pack.exists():
        command("cdg-prep", "synth", data / "photographs", *SYNTH, *CAMERAS[camera], "--out", made)
        masks = ("--masks", work / f"masks-{camera}")
        command("cdg-prep", "masks", "--root", made, "--method", "extent", "--out", masks[1])
        command("cdg-prep", "pack", "gopro", "--root", made, *masks, "--crop", "frame", "--no-targets", "--out", pack)
    return pack


def tested(data: Path) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Yield the test set's name and the centres of a blurry and a sharp frame, ``(1, 3, H, W)`` uint8."""
    noisy = replace(PHONE, shot=(_SHOT, _SHOT), read=(_READ, _READ), highlights=(1.0, 1.0))
    clean = replace(NONE, response=SRGB).draw(np.random.default_rng(0))
    for name, root in (("GoPro", data / "GOPRO_Large"), ("REDS", data / "REDS")):
        for number, pair in enumerate(layouts.find(root).pairs):
            blurry, sharp = (_centre(frames.read(path)) for path in (pair.blurry, pair.sharp))
            rng = np.random.default_rng(number)
            worse = noisy.draw(rng).photograph(clean.to_light(blurry), rng)
            yield name, _tensor(blurry), _tensor(sharp)
            yield f"{name}, noisy", _tensor(worse), _tensor(sharp)


def _centre(pixels: np.ndarray) -> np.ndarray:
    top, left = ((side - wanted) // 2 for side, wanted in zip(pixels.shape, _CENTRE, strict=False))
    return np.ascontiguousarray(pixels[top : top + _CENTRE[0], left : left + _CENTRE[1]])


def _tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


@torch.no_grad()
def score(data: Path, weights: Path | None) -> dict[str, float]:
    """Compute the mean PSNR on each test set in dB (8-bit RGB); without weights, that of the blurry frames."""
    network = load_weights(weights).eval() if weights else None
    scores: dict[str, list[float]] = {name: [] for name in SETS}
    for name, blurry, sharp in tested(data):
        restored = to_bytes(network(to_range(blurry)).restored) if network else blurry
        scores[name].append(float(psnr(restored, sharp)))
    return {name: statistics.fmean(values) for name, values in scores.items()}


def train(data: Path, work: Path, camera: str, seed: int, steps: int) -> dict[str, float]:
    """Train and score one network, unless its scores exist."""
    folder = work / f"{camera}-{steps}-seed{seed}"
    result = folder / "scores.json"
    if not result.exists():
        command("cdg-train", "--h5", work / f"{camera}.h5", "--out", folder, "--steps", steps, "--seed", seed, *TRAIN)
        result.write_text(json.dumps(score(data, folder / "weights.safetensors"), indent=1) + "\n")
    scores: dict[str, float] = json.loads(result.read_text())
    return scores


def table(runs: dict[str, list[dict[str, float]]], blurry: dict[str, float]) -> list[Line]:
    """Return one row per camera and test set: mean, standard deviation over seeds, and gain over ``none``."""
    lines: list[Line] = []
    for name in SETS:
        for camera, scores in runs.items():
            values = [each[name] for each in scores]
            gains = [each[name] - other[name] for each, other in zip(scores, runs["none"], strict=True)]
            half = stats.t.ppf(0.975, len(gains) - 1) * statistics.stdev(gains) / len(gains) ** 0.5
            lines.append(
                {
                    "set": name,
                    "camera": camera,
                    "blurry": blurry[name],
                    "psnr": statistics.fmean(values),
                    "spread": statistics.stdev(values),
                    "against_none": statistics.fmean(gains),
                    "interval": (statistics.fmean(gains) - half, statistics.fmean(gains) + half),
                }
            )
    return lines


def show(lines: Sequence[Line]) -> None:
    """Print the table as Markdown."""
    print("| test set | camera | PSNR, dB | gain over none (95 %) |\n|---|---|---|---|")
    for line in lines:
        low, high = line["interval"]
        gain = "" if line["camera"] == "none" else f"{line['against_none']:+.2f} ({low:+.2f} to {high:+.2f})"
        print(f"| {line['set']} (blurry {line['blurry']:.2f}) | {line['camera']} | "
              f"{line['psnr']:.2f} +- {line['spread']:.2f} | {gain} |")  # fmt: skip


def main() -> None:
    """Train, score and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with photographs, GOPRO_Large and REDS")
    parser.add_argument("--work", type=Path, required=True, help="folder for pairs, packs and runs")
    parser.add_argument("--steps", type=int, default=1000, help="training steps per network [%(default)s]")
    parser.add_argument("--seeds", type=int, default=5, help="networks per camera, at least 2 [%(default)s]")
    parser.add_argument("--only", nargs="+", choices=list(CAMERAS), default=list(CAMERAS), help="cameras [all]")
    parser.add_argument("--jobs", type=int, default=1, help="trainings that run in parallel [%(default)s]")
    add_save(parser)
    options = parser.parse_args()
    if "none" not in options.only:
        parser.error("the baseline none is missing; add it: --only none " + " ".join(options.only))
    if options.seeds < 2:
        parser.error(f"--seeds is {options.seeds}; intervals need at least 2, for example --seeds 5")
    torch.set_num_threads(1)
    start = time.monotonic()
    for camera in options.only:
        prepare(options.data, options.work, camera)
    tasks = [(camera, seed) for seed in range(options.seeds) for camera in options.only]
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = [(camera, pool.submit(train, options.data, options.work, camera, seed, options.steps))
                   for camera, seed in tasks]  # fmt: skip
        runs: dict[str, list[dict[str, float]]] = {camera: [] for camera in options.only}
        for number, (camera, future) in enumerate(waiting, 1):
            runs[camera].append(future.result())
            minutes = (time.monotonic() - start) / 60
            print(f"{number} of {len(tasks)} networks, {minutes:.0f} min", file=sys.stderr)
    lines = table(runs, score(options.data, None))
    show(lines)
    if options.save:
        about = {**surroundings(), "torch": torch.__version__, "steps": options.steps, "seeds": options.seeds}
        save(
            options.save,
            "cameras",
            about,
            {"synth": SYNTH, "train": TRAIN, "cameras": CAMERAS, "table": lines, "runs": runs},
        )


if __name__ == "__main__":
    main()
