"""Time, size and memory of ``cdg-prep pack``, relative to decoding the same PNG files once.

Usage: ``python benchmarks/packing.py [--data DIR] [--save]``. ``--data`` uses the real pairs in DIR/GOPRO_Large instead
of photographs.

* decode: decode both pictures of each pair with OpenCV and discard them; the minimum for any tool, and the baseline.
* plain: pack 512 x 512 crops without the targets Sgt and Lgt; masks already exist.
* targets: the same with Sgt and Lgt.

Each measurement is a separate process with the same number of workers, whose start counts; packs are synced to disk.
The three kinds alternate, all files are in the page cache, and ratios are those of the medians. Memory is the unique
set size of the command and the sum over its workers, the largest of four readings per second.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import psutil
from gopro import make_gopro
from surroundings import add_save, save, surroundings

if TYPE_CHECKING:
    from prep.datasets.layouts import Pair

COUNTS = (25, 50, 100, 200)
KINDS = ("decode", "plain", "targets")
METHOD, MU = "lbp", 0.96


@dataclass(frozen=True, kw_only=True)
class Row:
    """Measurements of one kind of work on ``pairs`` pairs."""

    kind: str
    pairs: int
    seconds: float  # median
    fastest: float
    slowest: float
    times_decoding: float
    mb_a_pair: float
    command_mb: float
    workers_mb: float


def measure(kind: str, root: Path, masks: Path, jobs: int) -> dict[str, float]:
    """Measure the seconds, pack size in bytes and memory in MB of one run, in this process."""
    from prep import parallel
    from prep.datasets import layouts
    from prep.masks import making
    from prep.masks.folder import MasksFolder
    from prep.packs import packing, reader

    dataset = layouts.find(root)
    with tempfile.TemporaryDirectory(dir=root.parent) as folder, Memory() as memory:
        begun = time.perf_counter()
        size = 0
        if kind == "decode":
            list(parallel.over(dataset.pairs, decode, jobs, ahead=4))
        else:
            out, recipe = Path(folder, "pack.h5"), making.recipe_of(dataset, METHOD)
            crop = packing.crop_size(dataset.pairs, packing.CROP)
            head = packing.header(dataset, "train", recipe, MU, crop, whole_frames=False, targets=kind == "targets")
            list(packing.pack(dataset.pairs, MasksFolder(masks), out, head, jobs=jobs))
            size = reader.read_info(out).bytes
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "bytes": size, **memory.read()}


def decode(pair: "Pair") -> None:
    for path in (pair.blurry, pair.sharp):
        if cv2.imread(str(path)) is None:
            raise OSError(path)


class Memory:
    """Peak unique set size of this process, and of all its descendants together, inside a ``with`` block."""

    def __enter__(self) -> "Memory":
        self.command = self.workers = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        this = psutil.Process()
        while not self.ended.wait(0.25):
            below = 0.0
            for child in this.children(recursive=True):
                try:
                    below += child.memory_full_info().uss / 1e6
                except psutil.Error:
                    continue
            self.command = max(self.command, this.memory_full_info().uss / 1e6)
            self.workers = max(self.workers, below)

    def read(self) -> dict[str, float]:
        return {"command_mb": round(self.command), "workers_mb": round(self.workers)}

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


def measure_apart(kind: str, root: Path, masks: Path, jobs: int) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--only",
        kind,
        "--root",
        str(root),
        "--masks",
        str(masks),
        "--jobs",
        str(jobs),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{kind} failed: {done.stderr.strip()}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def make_masks(root: Path, folder: Path, jobs: int) -> None:
    from prep import sharpness
    from prep.datasets import layouts
    from prep.masks import making
    from prep.masks.folder import MasksFolder

    sharpness.prepare(METHOD)
    dataset = layouts.find(root)
    recipe = making.recipe_of(dataset, METHOD)
    list(making.make(making.plan(dataset.pairs, MasksFolder(folder), recipe, MU), jobs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the test data [photographs]")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes [%(default)s]")
    parser.add_argument("--repeats", type=int, default=3, help="runs per measurement [%(default)s]")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of pairs [25 50 100 200]")
    add_save(parser)
    for name in ("--only", "--root", "--masks"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, Path(options.root), Path(options.masks), options.jobs)))
        return
    about = surroundings() | {"opencv": cv2.__version__, "processes": options.jobs}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'pairs':>6}{'':10}{'seconds':>9}{'spread':>16}{'ms/pair':>11}{'x decoding':>12}{'MB/pair':>11}", end="")
    print(f"{'command MB':>12}{'workers MB':>12}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in options.counts:
            root = make_gopro(Path(folder, str(count)), count, options.data)
            masks = Path(folder, f"masks{count}")
            make_masks(root, masks, options.jobs)
            measured: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
            for _ in range(options.repeats):
                for kind in KINDS:
                    measured[kind].append(measure_apart(kind, root, masks, options.jobs))
            baseline = statistics.median(run["seconds"] for run in measured["decode"])
            for kind, runs in measured.items():
                rows.append(make_row(kind, count, runs, baseline))
                show(rows[-1])
    if options.save:
        save(
            options.save,
            "packing",
            about,
            {"frames": "real" if options.data else "photographs", "rows": [asdict(row) for row in rows]},
        )


def make_row(kind: str, count: int, runs: list[dict[str, float]], baseline: float) -> Row:
    seconds = [run["seconds"] for run in runs]
    return Row(
        kind=kind,
        pairs=count,
        seconds=round(statistics.median(seconds), 3),
        fastest=round(min(seconds), 3),
        slowest=round(max(seconds), 3),
        times_decoding=round(statistics.median(seconds) / baseline, 3),
        mb_a_pair=round(runs[0]["bytes"] / 1e6 / count, 2),
        command_mb=max(run["command_mb"] for run in runs),
        workers_mb=max(run["workers_mb"] for run in runs),
    )


def show(row: Row) -> None:
    spread = f"{row.fastest:.2f} - {row.slowest:.2f}"
    each = row.seconds / row.pairs * 1e3
    print(f"{row.pairs:6}  {row.kind:8}{row.seconds:9.2f}{spread:>16}{each:11.1f}", end="")
    print(f"{row.times_decoding:12.2f}{row.mb_a_pair:11.2f}", end="")
    print(f"{row.command_mb:12.0f}{row.workers_mb:12.0f}", flush=True)


if __name__ == "__main__":
    main()
