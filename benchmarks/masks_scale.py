"""Frames a second of ``cdg-prep masks`` with one process and with several, and its memory over thousands of frames.

Run ``python benchmarks/masks_scale.py``; ``--data DIR`` takes a real blurry frame from DIR/GOPRO_Large instead of a
blurred photograph. Both parts run the command itself, on one frame under many names. Time is wall time of the whole
command, its start and its workers' start included. Three settings take turns: one process, several processes, and as
many commands of one process at once, which is what the machine can do at best; ratios are those of the medians in this
run. Memory is the unique set size (what would be free if the process ended) of the command and of its largest
worker, read once a second (``--every``), in the second tenth of the frames and in the last: growth is the later over
the earlier.
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

MAIN = "from pipelines.cli.prep import main; main()"


def make_data(folder: Path, frame: np.ndarray, count: int) -> Path:
    """A GoPro folder of one frame under many names, by links."""
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
    """Frames a second of whole runs, several commands at once."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        running = [start(root, Path(folder, f"masks{number}"), method, jobs) for number in range(commands)]
        statuses = [process.wait() for process in running]
        seconds = time.perf_counter() - begun
    if any(statuses):
        sys.exit(f"cdg-prep masks --jobs {jobs} ended with status {max(statuses)}")
    return commands * count / seconds


def measure_memory(root: Path, count: int, method: str, jobs: int, every: float) -> dict[str, int]:
    """Megabytes of the command and of its largest worker, early and late."""
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
                with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
                    seen[part].append(read_memory(process.pid))
        if process.returncode:
            sys.exit(f"cdg-prep masks ended with status {process.returncode}")
        if not all(seen.values()):
            sys.exit(
                f"no reading of the memory fell into one of the two tenths of {count} frames; pass a larger --many"
            )
    return {
        f"{who}_{part}_mb": round(max(pair[place] for pair in pairs))
        for part, pairs in seen.items()
        for place, who in enumerate(("command", "worker"))
    }


def read_memory(pid: int) -> tuple[float, float]:
    """Megabytes of a process and of the largest below it."""
    below = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            below.append(child.memory_full_info().uss / 1e6)
        except psutil.Error:
            continue  # it ended meanwhile
    return psutil.Process(pid).memory_full_info().uss / 1e6, max(below, default=0.0)


def measure_rates(frame: np.ndarray, options: argparse.Namespace) -> dict[str, list[float]]:
    """Frames a second of one process, of several, and of several commands of one process each."""
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
    """Memory of the command and of a worker over many small frames."""
    with tempfile.TemporaryDirectory() as folder:
        small = cv2.resize(frame, (320, 180), interpolation=cv2.INTER_AREA)
        root = make_data(Path(folder, "GOPRO_Large"), small, options.many)
        return measure_memory(root, options.many, options.method, options.jobs, options.every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the test data")
    parser.add_argument("--method", default="lbp", help="sharpness map [%(default)s]")
    parser.add_argument("--jobs", type=int, default=2, help="processes to compare with one [%(default)s]")
    parser.add_argument("--frames", type=int, default=240, help="frames of 1280 x 720 a timed run [%(default)s]")
    parser.add_argument("--repeats", type=int, default=2, help="timed runs of each setting [%(default)s]")
    parser.add_argument("--many", type=int, default=4000, help="frames of 320 x 180 of the memory run [%(default)s]")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between readings of memory [%(default)s]")
    add_save(parser)
    options = parser.parse_args()
    about = surroundings()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    frame = make_pair(options.data)[0]
    rates = measure_rates(frame, options)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratio, possible = (medians[name] / medians["one"] for name in ("processes", "commands"))
    print(
        f"{options.method}, {options.frames} frames: {options.jobs} processes are {ratio:.2f} times one; "
        f"{options.jobs} commands at once {possible:.2f} times"
    )
    memory = measure_memory_of_many(frame, options)
    for who in ("command", "worker"):
        early, late = memory[f"{who}_early_mb"], memory[f"{who}_late_mb"]
        print(f"memory of the {who} over {options.many} frames: {early} MB early, {late} MB late, x {late / early:.2f}")
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
