"""Does it help to train on blur as a camera makes it? One network, trained on the same motion by several cameras.

Pairs of photographs (``cdg-prep synth --photos``) differ in the camera alone; each network is scored on centres of
GoPro and REDS pairs, which it never saw, as they are and with a phone's noise on the blurry frame. Rows are compared
with ``none`` seed by seed, with 95 % intervals (Student's t).

Run ``python benchmarks/cameras.py --data DIR --work FOLDER``: DIR holds photographs, GOPRO_Large and REDS. What is
there is not made again. With ``--save`` the table goes to benchmarks/results/cameras-DATE.json.
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
_CENTRE = (360, 640)  # height, width of what is scored of a frame
_SHOT, _READ = 1.1e-3, 1.08e-3  # the middle of the phone's noise, on its own line


class Line(TypedDict):
    """A row of the table; dB."""

    set: str
    camera: str
    blurry: float
    psnr: float
    spread: float
    against_none: float
    interval: tuple[float, float]


def command(*words: object) -> None:
    """Run one of the project's commands, one thread a process."""
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
    """The pack of a camera's pairs."""
    made, pack = work / camera, work / f"{camera}.h5"
    if not pack.exists():
        command("cdg-prep", "synth", data / "photographs", *SYNTH, *CAMERAS[camera], "--out", made)
        masks = ("--masks", work / f"masks-{camera}")
        command("cdg-prep", "masks", "--root", made, "--method", "extent", "--out", masks[1])
        command("cdg-prep", "pack", "gopro", "--root", made, *masks, "--crop", "frame", "--no-targets", "--out", pack)
    return pack


def tested(data: Path) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Set, blurry and sharp centre, ``(1, 3, H, W)`` uint8."""
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
    """Mean PSNR of each set, dB, of 8-bit RGB; of the blurry frames without weights."""
    network = load_weights(weights).eval() if weights else None
    scores: dict[str, list[float]] = {name: [] for name in SETS}
    for name, blurry, sharp in tested(data):
        restored = to_bytes(network(to_range(blurry)).restored) if network else blurry
        scores[name].append(float(psnr(restored, sharp)))
    return {name: statistics.fmean(values) for name, values in scores.items()}


def train(data: Path, work: Path, camera: str, seed: int, steps: int) -> dict[str, float]:
    """Train and score one network, where that is not done."""
    folder = work / f"{camera}-{steps}-seed{seed}"
    result = folder / "scores.json"
    if not result.exists():
        command("cdg-train", "--h5", work / f"{camera}.h5", "--out", folder, "--steps", steps, "--seed", seed, *TRAIN)
        result.write_text(json.dumps(score(data, folder / "weights.safetensors"), indent=1) + "\n")
    scores: dict[str, float] = json.loads(result.read_text())
    return scores


def table(runs: dict[str, list[dict[str, float]]], blurry: dict[str, float]) -> list[Line]:
    """A row a camera and set: mean, spread over seeds, and the difference from ``none`` with its interval."""
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
    """Print the table in Markdown."""
    print("| scored on | trained on | PSNR | against none (95 %) |\n|---|---|---|---|")
    for line in lines:
        low, high = line["interval"]
        gain = "" if line["camera"] == "none" else f"{line['against_none']:+.2f} ({low:+.2f} to {high:+.2f})"
        print(f"| {line['set']} (blurry {line['blurry']:.2f}) | {line['camera']} | "
              f"{line['psnr']:.2f} +- {line['spread']:.2f} | {gain} |")  # fmt: skip


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="Folder for pairs, packs and runs.")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(CAMERAS), default=list(CAMERAS))
    parser.add_argument("--jobs", type=int, default=1, help="Trainings at a time.")
    add_save(parser)
    options = parser.parse_args()
    if "none" not in options.only:
        parser.error("the others are compared with none; add it: --only none " + " ".join(options.only))
    if options.seeds < 2:
        parser.error(f"--seeds is {options.seeds}, and an interval needs 2; pass --seeds 5")
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
            print(f"{number} of {len(tasks)} networks, {minutes:.0f} minutes", file=sys.stderr)
    lines = table(runs, score(options.data, None))
    show(lines)
    if options.save:
        told = {**surroundings(), "torch": torch.__version__, "steps": options.steps, "seeds": options.seeds}
        save(
            options.save,
            "cameras",
            told,
            {"synth": SYNTH, "train": TRAIN, "cameras": CAMERAS, "table": lines, "runs": runs},
        )


if __name__ == "__main__":
    main()
