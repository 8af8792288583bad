"""Reading speed: random 256 x 256 crops per second from packs, LMDB and PNG files, and training samples per second.

Usage: ``python benchmarks/loading.py [--data DIR] [--save]``. ``--data`` uses the real pairs in DIR/GOPRO_Large instead
of photographs. A read copies blurry, sharp and mask at a random position of a random 512 x 512 crop. Readers:

* pack: ``prep.packs.windows``, a memory map of the pack, as in training.
* h5py: the same pack, sliced by h5py with its default settings.
* lmdb: the same crops as raw bytes in LMDB, one value per crop, read-only and without an intermediate copy.
* png: whole frames and masks as PNG files, decoded by OpenCV and then cut, as in most training code.
* loader: torch's DataLoader with the trainer's samples in batches of 6, including flips and rotations.

All readers read the same content, which fits into the page cache and is read once before. They run alternately, in
the given number of single-threaded processes. Rates are totals over the processes, as medians over the turns; ratios
to LMDB are computed per turn.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import cast

import cv2
import h5py
import lmdb
import numpy as np
from gopro import make_gopro
from surroundings import add_save, save, surroundings

SIDE, CROP, BATCH = 256, 512, 6
METHOD, MU = "lbp", 0.96
PLANES = (("blurry", 3), ("sharp", 3), ("mask", 1))
Read = Callable[[int, int, int], tuple[np.ndarray, ...]]  # crop, y, x -> blurry, sharp, mask


def read_pack(folder: Path) -> Read:
    from prep.packs.windows import Windows

    pack = Windows(folder / "pack.h5")
    return lambda row, y, x: tuple(pack.read(name, row, y, x, SIDE).copy() for name, _ in PLANES)


def read_h5py(folder: Path) -> Read:
    file = h5py.File(folder / "pack.h5")
    return lambda row, y, x: tuple(file[name][row, y : y + SIDE, x : x + SIDE] for name, _ in PLANES)


def read_lmdb(folder: Path) -> Read:
    database = lmdb.open(str(folder / "lmdb"), readonly=True, lock=False, readahead=False)
    reading = database.begin(buffers=True)

    def read(row: int, y: int, x: int) -> tuple[np.ndarray, ...]:
        data, at, parts = reading.get(b"%08d" % row), 0, []
        if data is None:
            raise KeyError(row)
        for _, depth in PLANES:
            crop = np.frombuffer(data, np.uint8, CROP * CROP * depth, at).reshape(CROP, CROP, depth)
            parts.append(crop[y : y + SIDE, x : x + SIDE].copy())
            at += crop.nbytes
        return tuple(parts)

    return read


def read_png(folder: Path) -> Read:
    cv2.setNumThreads(1)
    with h5py.File(folder / "pack.h5") as file:
        keys, origins = file["key"].asstr()[:], file["origin"][:]
    clip = folder / "GOPRO_Large" / "train"
    masks = folder / "masks"

    def read(row: int, y: int, x: int) -> tuple[np.ndarray, ...]:
        sequence, name = keys[row].split("/")
        (top, left), parts = origins[row], []
        paths = (
            *(clip / sequence / side / f"{name}.png" for side in ("blur", "sharp")),
            masks / f"{keys[row]}.mask.png",
        )
        for path in paths:
            frame = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if frame is None:
                raise OSError(path)
            parts.append(frame[top + y : top + y + SIDE, left + x : left + x + SIDE].copy())
        return tuple(parts)

    return read


READERS = {"pack": read_pack, "h5py": read_h5py, "lmdb": read_lmdb, "png": read_png}


def work(name: str, folder: Path, seconds: float, seed: int, start: Barrier, rates: "Queue[float]") -> None:
    """Read for ``seconds`` in a separate process, and put the number of reads per second into ``rates``."""
    read, rng = READERS[name](folder), np.random.default_rng(seed)
    with h5py.File(folder / "pack.h5") as file:
        rows = len(file["key"])
    for row in range(0, rows, rows if name == "png" else 1):
        read(row, 0, 0)  # opens all files and fills the page cache
    start.wait()
    begun, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        read(int(rng.integers(rows)), *(int(place) for place in rng.integers(CROP - SIDE + 1, size=2)))
        done += 1
    rates.put(done / passed)


def measure(name: str, folder: Path, workers: int, seconds: float, seed: int) -> float:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(workers)
    rates: Queue[float] = context.Queue()
    arguments = [(name, folder, seconds, seed + number, start, rates) for number in range(workers)]
    running = [context.Process(target=work, args=one) for one in arguments]
    for process in running:
        process.start()
    total = sum(rates.get() for _ in running)
    for process in running:
        process.join()
    return total


def measure_loader(folder: Path, workers: int, seconds: float, seed: int) -> float:
    """Measure the samples per second of the trainer's loader, after 20 batches to warm up."""
    from torch.utils.data import DataLoader, Dataset

    from pipelines.train.samples import Sample, TrainingSamples
    from pipelines.train.split import split_by_source
    from prep.packs.reader import read_info

    path = folder / "pack.h5"
    samples = TrainingSamples([path], split_by_source([read_info(path)], ()).train, SIDE, seed)
    dataset = cast("Dataset[Sample]", samples)
    batches = iter(DataLoader(dataset, batch_size=BATCH, sampler=range(10**9), num_workers=workers))
    for _ in range(20):
        next(batches)
    begun, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        next(batches)
        done += BATCH
    return done / passed


def prepare(folder: Path, pairs: int, data: Path | None) -> None:
    """Write the same content as PNG files, as a pack and as LMDB."""
    from prep import sharpness
    from prep.datasets import layouts
    from prep.masks import making
    from prep.masks.folder import MasksFolder
    from prep.packs import packing

    dataset = layouts.find(make_gopro(folder, pairs, data))
    recipe = making.recipe_of(dataset, METHOD)
    sharpness.prepare(METHOD)
    list(making.make(making.plan(dataset.pairs, MasksFolder(folder / "masks"), recipe, MU), -1))
    head = packing.header(dataset, "train", recipe, MU, (CROP, CROP), whole_frames=False, targets=False)
    list(packing.pack(dataset.pairs, MasksFolder(folder / "masks"), folder / "pack.h5", head, jobs=-1))
    with (
        h5py.File(folder / "pack.h5") as file,
        lmdb.open(str(folder / "lmdb"), map_size=2**40) as database,
        database.begin(write=True) as writing,
    ):
        for row in range(len(file["key"])):
            writing.put(b"%08d" % row, b"".join(file[name][row].tobytes() for name, _ in PLANES))


def check(folder: Path) -> None:
    """Check that all readers return the same pixels."""
    reads = {name: reader(folder) for name, reader in READERS.items()}
    wanted = reads["pack"](5, 100, 30)
    for name, read in reads.items():
        for part, plane in zip(read(5, 100, 30), wanted, strict=True):
            values = part.reshape(plane.reshape(SIDE, SIDE, -1).shape)
            if name == "png":
                values = values[:, :, ::-1] if values.shape[2] == 3 else values // 255
            if not np.array_equal(values, plane.reshape(values.shape)):
                sys.exit(f"the reader {name} returns other pixels than pack")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the test data [photographs]")
    parser.add_argument("--pairs", type=int, default=100, help="frames, with six crops each [%(default)s]")
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2), help="numbers of processes [1 2]")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of a measurement [%(default)s]")
    parser.add_argument("--turns", type=int, default=5, help="measurements per reader [%(default)s]")
    add_save(parser)
    options = parser.parse_args()
    about = surroundings() | {"h5py": h5py.__version__, "lmdb": lmdb.__version__, "pairs": options.pairs}
    about["frames"] = "real" if options.data else "photographs"
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'reader':10}{'workers':>8}{'reads/s':>11}{'spread':>18}{'x lmdb':>9}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.pairs, options.data)
        check(Path(folder))
        for workers in options.workers:
            rates: dict[str, list[float]] = {name: [] for name in (*READERS, "loader")}
            for turn in range(options.turns):
                for name in READERS:
                    rates[name].append(measure(name, Path(folder), workers, options.seconds, 100 * turn))
                rates["loader"].append(measure_loader(Path(folder), workers, options.seconds, turn))
            for name, speeds in rates.items():
                rows.append(make_row(name, workers, speeds, rates["lmdb"]))
                show(rows[-1])
    if options.save:
        save(options.save, "loading", about, {"rows": rows})


def make_row(name: str, workers: int, rates: list[float], lmdb_rates: list[float]) -> dict[str, float | str]:
    ratio = statistics.median(rate / other for rate, other in zip(rates, lmdb_rates, strict=True))
    return {
        "reader": name,
        "workers": workers,
        "per_second": round(statistics.median(rates), 1),
        "slowest": round(min(rates), 1),
        "fastest": round(max(rates), 1),
        "times_lmdb": round(ratio, 3),
    }


def show(row: dict[str, float | str]) -> None:
    spread = f"{row['slowest']:.0f} - {row['fastest']:.0f}"
    ratio = "" if row["reader"] == "loader" else f"{row['times_lmdb']:.2f}"
    print(f"{row['reader']:10}{row['workers']:8}{row['per_second']:11.0f}{spread:>18}{ratio:>9}", flush=True)


if __name__ == "__main__":
    main()
