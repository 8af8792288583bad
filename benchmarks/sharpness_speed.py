"""Time and memory of each sharpness map on a 1280 x 720 frame, relative to the PyPI package blur_detector.

Usage: ``python benchmarks/sharpness_speed.py [--data DIR] [--save]``. ``--data`` uses a real blurry frame from
DIR/GOPRO_Large instead of a blurred photograph of scikit-image.

Each measurement is a separate process with one thread. Times are wall times: the median of the repeats after a warm-up
run. blur_detector runs with its default settings before each map and after the last one, because the speed of a shared
machine varies. Ratios use the mean of its runs before and after the map. Memory is the peak of the process, including
imports. The method ``extent`` reads a constant blur length of 9 pixels; its time does not depend on the values.

blur_detector would install a second OpenCV and is therefore not a dependency; install it with

    pip install --no-deps blur_detector
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from surroundings import add_save, save, surroundings

BASELINE = "blur_detector"
SIZE = (720, 1280)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
LIMITS = {
    "lbp": 0.43,
    "lbp-matting": 4.0,
    "hifst": 8.0,
    "paired": 0.3,
}  # limits in seconds; the memory limit is 600 MB for all


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measurements of one map in a separate process."""

    first: float  # seconds for the first frame
    times: list[float]  # seconds for each later frame
    megabytes: float


class Detector(Protocol):
    """Interface of blur_detector's object."""

    def detectBlur(self, grey: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table: one map on one frame."""

    method: str
    seconds: float  # median
    fastest: float
    slowest: float
    first: float  # seconds for the first frame of the process, including loading
    megabytes: float
    times_faster: float | None


def make_pair(data: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Return a blurry and a sharp frame of 1280 x 720 pixels."""
    from prep.io import frames

    paths = sorted(data.glob("GOPRO_Large/test/*/blur/*.png")) if data else []
    if paths:
        return frames.read(paths[0]), frames.read(paths[0].parents[1] / "sharp" / paths[0].name)
    from skimage import data as photographs

    sharp = cv2.resize(photographs.astronaut()[:288], SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    sharp = np.clip(sharp + np.random.default_rng(0).normal(0, 2, sharp.shape), 0, 255).astype(np.uint8)
    return cv2.blur(sharp, (9, 1)), sharp


def measure(method: str, repeats: int, least: float, data: Path | None) -> Measured:
    """Time one map in this process: at least ``repeats`` runs and at least ``least`` seconds."""
    cv2.setNumThreads(1)
    blurry, sharp = make_pair(data)
    if method == BASELINE:
        detector = load_baseline()

        def work() -> None:
            detector().detectBlur(cv2.cvtColor(blurry, cv2.COLOR_RGB2GRAY))
    else:
        from prep.io import extents
        from prep.sharpness import METHODS

        chosen = METHODS[method]
        beside = extents.to_codes(np.full(blurry.shape[:2], 9, np.float32)) if chosen.beside == "extent" else sharp

        def work() -> None:
            chosen.compute(blurry, beside)

    times: list[float] = []
    while len(times) < repeats + 1 or (method != BASELINE and sum(times[1:]) < least):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    scale = 1e6 if sys.platform == "darwin" else 1e3
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    return Measured(first=times[0], times=times[1:] or times, megabytes=megabytes)


def load_baseline() -> Callable[[], Detector]:
    """Return a factory of blur_detector's object, after adding a name that newer scikit-image lacks."""
    import skimage.morphology

    if not hasattr(skimage.morphology, "square"):
        skimage.morphology.square = lambda side: np.ones((side, side), np.uint8)  # type: ignore[attr-defined]
    from blur_detector import BlurDetector

    return lambda: BlurDetector(show_progress=False)


def measure_apart(method: str, repeats: int, least: float, data: Path | None) -> Measured:
    """Time one map in a separate process with one thread."""
    command = [sys.executable, __file__, "--only", method, "--repeats", str(repeats), "--least", str(least)]
    command += ["--data", str(data)] if data else []
    alone = os.environ | dict.fromkeys(ONE_THREAD, "1")
    done = subprocess.run(command, env=alone, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{method} failed: {done.stderr.strip()}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def measure_baseline(data: Path | None) -> Measured | None:
    """Time one run of blur_detector, which needs no warm-up; None if it is not installed."""
    return measure_apart(BASELINE, 0, 0.0, data) if find_spec(BASELINE) else None


def make_row(method: str, measured: Measured, baseline: float | None) -> Row:
    middle = statistics.median(measured.times)
    return Row(
        method=method,
        seconds=round(middle, 4),
        fastest=round(min(measured.times), 4),
        slowest=round(max(measured.times), 4),
        first=round(measured.first, 3),
        megabytes=round(measured.megabytes),
        times_faster=round(baseline / middle, 1) if baseline else None,
    )


def measure_all(methods: Sequence[str], repeats: int, least: float, data: Path | None) -> list[Row]:
    """Measure the methods, with the baseline in between, and print each row."""
    rows: list[Row] = []
    if find_spec(BASELINE):
        print(f"timing {BASELINE} first, about 30 s", file=sys.stderr)
    before = measure_baseline(data)
    if before is None:
        print(f"no ratios, because {BASELINE} is not installed; install it: pip install --no-deps {BASELINE}")
    baselines = [before] if before else []
    for method in methods:
        measured = measure_apart(method, repeats, least, data)
        after = measure_baseline(data) if before else None
        if before and after:
            baselines.append(after)
            rows.append(make_row(method, measured, (before.times[0] + after.times[0]) / 2))
        else:
            rows.append(make_row(method, measured, None))
        show(rows[-1])
        before = after
    if baselines:
        largest = max(baselines, key=lambda run: run.megabytes)
        rows.append(make_row(BASELINE, replace(largest, times=[run.times[0] for run in baselines]), None))
        show(rows[-1])
    return rows


def main() -> None:
    from prep.sharpness import METHODS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the test data [a photograph]")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), help="maps to time [all]")
    parser.add_argument("--repeats", type=int, default=5, help="lowest number of timed runs per map [%(default)s]")
    parser.add_argument("--least", type=float, default=4.0, help="shortest timing per map, in seconds [%(default)s]")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    add_save(parser)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(asdict(measure(options.only, options.repeats, options.least, options.data))))
        return
    about = surroundings() | {"opencv": cv2.__version__, "threads": 1}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'method':14}{'s/frame':>10}{'spread':>18}{'first':>8}{'MB':>6}{'x ' + BASELINE:>18}{'limit, s':>10}")
    rows = measure_all(options.methods, options.repeats, options.least, options.data)
    if options.save:
        save(options.save, "sharpness_speed", about, {"rows": [asdict(row) for row in rows]})


def show(row: Row) -> None:
    spread = f"{row.fastest:.2f} - {row.slowest:.2f}"
    ratio = "" if row.times_faster is None else f"{row.times_faster:.1f}"
    limit = f"{LIMITS[row.method]:g}" if row.method in LIMITS else ""
    print(f"{row.method:14}{row.seconds:10.3f}{spread:>18}{row.first:8.2f}{row.megabytes:6.0f}{ratio:>18}{limit:>10}")


if __name__ == "__main__":
    main()
