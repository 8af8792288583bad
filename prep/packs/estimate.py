"""Estimate a pack: count the crops from picture headers, and measure bytes and seconds on a few pairs."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prep.arrays import Size
from prep.datasets.layouts import Dataset, Pair
from prep.errors import PackError
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.packs import crops, layout, packing, reader
from prep.packs.layout import Header
from prep.units import file_size

_SAMPLE = 3  # pairs to measure


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Size of a pack, and the time that one process needs."""

    crops: int
    bytes: float
    mask_seconds: float  # for S and M of one frame
    pack_seconds: float  # for one frame
    sample: int  # number of measured pairs


def count_crops(pairs: Sequence[Pair], crop: Size, *, whole_frames: bool) -> int:
    """Count the crops of pairs.

    Raises:
        PackError: If a crop does not fit; the message names the smallest frame.
        ReadError: If a frame cannot be read.
    """
    if whole_frames:
        return len(pairs)
    sizes = packing.frame_sizes(pairs)
    if not all(size[0] >= crop[0] and size[1] >= crop[1] for size in sizes):
        smallest = min(range(len(pairs)), key=lambda place: min(sizes[place]))
        packing.grid(sizes[smallest], crop, pairs[smallest].key)
    return sum(count * len(crops.grid(size, crop)) for size, count in Counter(sizes).items())


def check_space(path: Path, crop: Size, count: int) -> None:
    """Refuse a pack that does not fit on its disk, before the long work; counts only the uncompressed data.

    Raises:
        PackError: If there is too little space.
    """
    check_bytes(path, count * crop[0] * crop[1] * layout.BYTES_A_PIXEL)


def check_bytes(path: Path, needed: int) -> None:
    """Refuse a pack of at least ``needed`` bytes that does not fit on its disk; an unfinished pack counts as space.

    Raises:
        PackError: If there is too little space.
    """
    part = layout.part_path(path)
    missing, free = needed - (part.stat().st_size if part.exists() else 0), free_bytes(path)
    if missing > free:
        raise PackError(
            f"{path} needs at least {file_size(missing)}, but only {file_size(free)} is free there; "
            "free some space, or choose another --out"
        )


def free_bytes(path: Path) -> int:
    """Return the free bytes on the disk of ``path``, which need not exist."""
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    return shutil.disk_usage(folder).free


def estimate(dataset: Dataset, pairs: Sequence[Pair], header: Header, count: int) -> Estimate:
    """Mask and pack a few pairs in a temporary folder, and measure size and time.

    Args:
        dataset: The data set of the pairs.
        pairs: The pairs to pack.
        header: Attributes of the pack.
        count: Number of crops in the pack.

    Raises:
        PackError, ReadError: As in packing.
    """
    sample = [pairs[round(place * (len(pairs) - 1) / _SAMPLE)] for place in range(_SAMPLE)][: len(pairs)]
    sample = list({pair.key: pair for pair in sample}.values())
    with tempfile.TemporaryDirectory() as folder:
        out, masks = Path(folder, "sample.h5"), MasksFolder(Path(folder, "masks"))
        begun = time.perf_counter()
        plan = making.plan(sample, masks, making.recipe_of(dataset, header.method), header.mu)
        for outcome in making.make(plan, jobs=1):
            if isinstance(outcome, making.Failure):
                raise PackError(outcome.reason)
        masked = time.perf_counter()
        for _ in packing.pack(sample, masks, out, header, jobs=1):
            pass
        packed = time.perf_counter()
        info = reader.read_info(out)
    return Estimate(
        crops=count,
        bytes=info.bytes / info.crop_count * count,
        mask_seconds=(masked - begun) / len(sample),
        pack_seconds=(packed - masked) / len(sample),
        sample=len(sample),
    )
