"""Scaling of ``cdg-prep masks`` with the number of processes, and its memory over thousands of frames.

Usage: ``python benchmarks/masks_scale.py [--data DIR] [--save]``. ``--data`` uses a real blurry frame from
DIR/GOPRO_Large instead of a blurred photograph. Both parts run the command itself, on links to a single frame.

* Speed: frames per second of wall time, including the start of the command and its workers. Three settings alternate:
  one process, several processes, and as many single-process commands at once, the best that the machine can do.
  Ratios are those of the medians.
* Memory: unique set size (the memory that would be freed if a process ended) of the command and of its largest worker.
  The largest readings in the second and in the last tenth of the frames show whether memory grows.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
from sharpness_speed import make_pair
from surroundings import add_save, save, surroundings

from prep.units import counted

MAIN = "from pipelines.cli.prep import main; main()"


def make_data(folder: Path, frame: np.ndarray, count: int) -> Path:
    """Make a GoPro folder of ``count`` links to one frame."""
    from prep.io import frames

    for side in ("blur", "sharp"):
        (folder / "test" / "clip" / side).mkdir(parents=True)
    first = folder / "test" / "clip" / "blur" / "000001.png"
    frames.write(first, frame)
    for side in ("blur", "sharp"):
        for number in range(1, count + 1):
            path = folder / "test" / "clip" / side / f"{number:06}.png"
            if path != first:
                path.hardlink_to(first)
    return folder


def start(root: Path, out: Path, method: str, jobs: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", MAIN, "masks", "--root", str(root), "--out", str(out)]
    options = ["--method", method, "--jobs", str(jobs), "--layout", "gopro"]
    return subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure_rate(root: Path, count: int, method: str, jobs: int, commands: int) -> float:
    """Measure the frames per second of ``commands`` simultaneous runs."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        running = [start(root, Path(folder, f"masks{number}"), method, jobs) for number in range(commands)]
        statuses = [process.wait() for process in running]
        seconds = time.perf_counter() - begun
    if any(statuses):
        sys.exit(f"cdg-prep masks --jobs {jobs} ended with status {max(statuses)}")
    return commands * count / seconds


def measure_memory(root: Path, count: int, method: str, jobs: int, every: float) -> dict[str, int]:
    """Measure the memory in MB of the command and of its largest worker, early and late in a run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "masks")
        process = start(root, out, method, jobs)
        seen: dict[str, list[tuple[float, float]]] = {"early": [], "late": []}
        while process.poll() is None:
            time.sleep(every)
            rows = out / "masks.jsonl"
            done = rows.read_bytes().count(b"\n") / count if rows.exists() else 0
            part = "early" if 0.1 <= done < 0.2 else "late" if 0.9 <= done < 1 else ""
            if part:
                with contextlib.suppress(psutil.NoSuchProcess):  # the command has ended in the meantime
                    seen[part].append(read_memory(process.pid))
        if process.returncode:
            sys.exit(f"cdg-prep masks ended with status {process.returncode}")
        if not all(seen.values()):
            sys.exit(f"{count} frames took too little time to measure memory; use a larger --many")
    return {
        f"{who}_{part}_mb": round(max(pair[place] for pair in pairs))
        for part, pairs in seen.items()
        for place, who in enumerate(("command", "worker"))
    }


def read_memory(pid: int) -> tuple[float, float]:
    """Return the memory in MB of a process and of its largest descendant."""
    below = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            below.append(child.memory_full_info().uss / 1e6)
        except psutil.Error:
            continue  # the child has ended in the meantime
    return psutil.Process(pid).memory_full_info().uss / 1e6, max(below, default=0.0)


def measure_rates(frame: np.ndarray, options: argparse.Namespace) -> dict[str, list[float]]:
    """Measure the frames per second of one process, of several, and of several single-process commands."""
    settings = {"one": (1, 1), "processes": (options.jobs, 1), "commands": (1, options.jobs)}
    rates: dict[str, list[float]] = {name: [] for name in settings}
    with tempfile.TemporaryDirectory() as folder:
        root = make_data(Path(folder, "GOPRO_Large"), frame, options.frames)
        for _ in range(options.repeats):
            for name, (jobs, commands) in settings.items():
                rates[name].append(measure_rate(root, options.frames, options.method, jobs, commands))
                print(f"{commands} x --jobs {jobs}: {rates[name][-1]:.2f} frames/s", flush=True)
    return rates


def measure_memory_of_many(frame: np.ndarray, options: argparse.Namespace) -> dict[str, int]:
    """Measure memory over many small frames."""
    with tempfile.TemporaryDirectory() as folder:
        small = cv2.resize(frame, (320, 180), interpolation=cv2.INTER_AREA)
        root = make_data(Path(folder, "GOPRO_Large"), small, options.many)
        return measure_memory(root, options.many, options.method, options.jobs, options.every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the test data [a photograph]")
    parser.add_argument("--method", default="lbp", help="method of the sharpness map [%(default)s]")
    parser.add_argument("--jobs", type=int, default=2, help="processes to compare with one [%(default)s]")
    parser.add_argument("--frames", type=int, default=240, help="frames of 1280 x 720 per timed run [%(default)s]")
    parser.add_argument("--repeats", type=int, default=2, help="timed runs per setting [%(default)s]")
    parser.add_argument("--many", type=int, default=4000, help="frames of 320 x 180 in the memory run [%(default)s]")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between memory readings [%(default)s]")
    add_save(parser)
    options = parser.parse_args()
    about = surroundings()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    frame = make_pair(options.data)[0]
    rates = measure_rates(frame, options)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratio, possible = (medians[name] / medians["one"] for name in ("processes", "commands"))
    print(
        f"{options.method}, {counted(options.frames, 'frame')}: {options.jobs} processes {ratio:.2f} x the speed of "
        f"one, {options.jobs} separate commands {possible:.2f} x"
    )
    memory = measure_memory_of_many(frame, options)
    for who in ("command", "worker"):
        early, late = memory[f"{who}_early_mb"], memory[f"{who}_late_mb"]
        done = counted(options.many, "frame")
        print(f"memory of the {who} over {done}: {early} MB early, {late} MB late ({late / early:.2f} x)")
    if options.save:
        result = {
            "method": options.method,
            "frames": options.frames,
            "rates": rates,
            "ratio": ratio,
            "possible": possible,
        }
        save(options.save, "masks_scale", about, {**result, "many": options.many, **memory})


if __name__ == "__main__":
    main()
