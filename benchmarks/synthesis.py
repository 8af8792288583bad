"""Speed of ``cdg-prep synth --photos``, and the gain from drawing only what changes.

* Exposure: scenes of 1280 x 720 pixels, rendered by ``prep.synthesis.scene`` (each layer in its bounding box, with as
  many sub-frames as its motion needs), and by the plain method (every layer over the whole frame at every moment, with
  cubic interpolation).
* Command: pairs per second and peak memory with one and with two processes, including their start.

Usage: ``python benchmarks/synthesis.py [--photo FILE] [--save]``. ``--photo`` replaces the photograph of scikit-image.
``--save`` writes benchmarks/results/synthesis-DATE.json.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import psutil
from skimage import data
from surroundings import add_save, save, surroundings

from prep.arrays import Bytes, Floats, Size
from prep.io import frames
from prep.synthesis import scene
from prep.synthesis.cameras import NONE
from prep.synthesis.outlines import Segments
from prep.synthesis.scene import Layer
from prep.units import counted

SIZE = (720, 1280)


def expose_plainly(layers: Sequence[Layer], size: Size) -> Floats:
    """Compute the mean light of a scene, ``(H, W, 3)``, by the plain method."""
    count = max(layer.motion.count for layer in layers)
    total = np.zeros((*size, 3))
    for moment in range(count):
        frame: Floats = np.zeros((*size, 3), np.float32)
        for layer in layers:
            own = int((moment + 0.5) / count * layer.motion.count)
            forward = layer.motion.at(own)
            forward[:, 2] += forward[:, :2] @ np.array(layer.corner, np.float64)
            border = cv2.BORDER_REFLECT_101 if layer.picture.shape[2] == 3 else cv2.BORDER_CONSTANT
            warped = cv2.warpAffine(layer.picture, forward, size[::-1], flags=cv2.INTER_CUBIC, borderMode=border)
            view = np.asarray(warped, np.float32)
            frame = view[:, :, :3] + frame * (1 - view[:, :, 3:]) if view.shape[2] == 4 else view
        total += frame
    return np.asarray(total / count, np.float32)


def time_exposure(photo: Bytes, scenes: int) -> dict[str, float]:
    """Measure the median seconds per scene of both methods, run alternately.

    Also returns the largest mean difference of their results, in grey levels.
    """
    segments, setting = Segments(photo), NONE.draw(np.random.default_rng(0))
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    errors = []
    for seed in range(-1, scenes):  # the first run compiles
        rng = np.random.default_rng(abs(seed))
        layers = scene.compose(photo, segments, SIZE, setting, rng, things=int(rng.integers(1, 4)))
        start = time.perf_counter()
        ours = scene.expose(layers, SIZE).blurry
        middle = time.perf_counter()
        plain = expose_plainly(layers, SIZE)
        if seed >= 0:
            seconds["ours"].append(middle - start)
            seconds["plain"].append(time.perf_counter() - middle)
            errors.append(float(np.abs(ours - plain).mean()) * 255)
    return {**{name: statistics.median(each) for name, each in seconds.items()}, "grey_levels_apart": max(errors)}


def time_command(folder: Path, pairs: int, jobs: int) -> dict[str, float]:
    """Measure the seconds of the whole command, and the peak memory of all its processes together in MB."""
    out = folder / f"made{jobs}"
    words = (Path(sys.executable).with_name("cdg-prep"), "synth", folder / "photos", "--photos", "--out", out)
    start = time.perf_counter()
    process = subprocess.Popen(
        [*words, "--count", str(pairs), "--size", f"{SIZE[1]}x{SIZE[0]}", "--jobs", str(jobs)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    most = 0
    while process.poll() is None:
        most = max(most, _memory(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"cdg-prep synth ended with status {process.returncode}")
    return {"seconds": time.perf_counter() - start, "megabytes": most / 1e6}


def _memory(pid: int) -> int:
    try:
        parent = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (parent, *parent.children(recursive=True)))
    except psutil.Error:
        return 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, help="photograph to use [one of scikit-image]")
    parser.add_argument("--scenes", type=int, default=8, help="scenes rendered by both methods [%(default)s]")
    parser.add_argument("--pairs", type=int, default=64, help="pairs made by the command [%(default)s]")
    add_save(parser)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    photo = frames.read(options.photo) if options.photo else cv2.resize(data.astronaut(), (1600, 1200))
    exposure = time_exposure(photo, options.scenes)
    ratio = exposure["plain"] / exposure["ours"]
    print(f"a scene: {exposure['ours']:.2f} s, {ratio:.1f} x as fast as the plain method ({exposure['plain']:.2f} s)")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        frames.write(folder / "photos" / "a.png", photo)
        runs = {jobs: time_command(folder, options.pairs, jobs) for jobs in (1, 2)}
    for jobs, run in runs.items():
        rate = options.pairs / run["seconds"]
        made = counted(options.pairs, "pair")
        print(f"{made}, --jobs {jobs}: {run['seconds']:.1f} s, {rate:.2f} pairs/s, {run['megabytes']:.0f} MB")
    gain = runs[1]["seconds"] / runs[2]["seconds"]
    print(f"two processes: {gain:.2f} x the speed of one")
    if options.save:
        found = {"exposure": exposure, "ratio": ratio, "pairs": options.pairs, "command": runs, "two_processes": gain}
        save(options.save, "synthesis", surroundings(), found)


if __name__ == "__main__":
    main()
