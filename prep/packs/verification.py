"""Is a pack what it should be: its structure, every checksum, equations 14 and 15. Names what is wrong."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from prep.masks import equations
from prep.packs import store
from prep.packs.store import Header

_EVERY = 50  # crop that a fast check reads


def count(path: Path, *, fast: bool) -> int:
    """Number of crops that ``verify`` reads."""
    total = int(store.describe(path)["crops"])
    return len(range(0, total, _EVERY)) if fast else total


def structure(path: Path) -> list[str]:
    """Check what can be checked without the pictures: that every crop is stored, counts, the grid of each frame.

    Returns:
        One line a fault.

    Raises:
        PackError: As ``store.open_pack``.
    """
    with store.open_pack(path) as file:
        return [*_missing(file), *_miscounted(file), *_misplaced(file)]


def _missing(file: h5py.File) -> Iterator[str]:
    total, height, width = file["mask"].shape
    for name in ("blurry", "sharp", "mask", "sharpness", *(("sgt", "lgt") if file.attrs["has_targets"] else ())):
        if file[name].shape[1:3] != (height, width):
            yield f"{name} holds crops of {file[name].shape[1]} x {file[name].shape[2]}; wanted {height} x {width}"
        if file[name].id.get_num_chunks() != total:
            yield f"{name} holds {file[name].id.get_num_chunks()} of {total} crops"


def _miscounted(file: h5py.File) -> Iterator[str]:
    shares = file["mask_share"][:]
    share, empty = float(file.attrs["mask_share"]), int(file.attrs["empty_masks"])
    if empty != (shares == 0).sum():
        yield f"empty_masks is {empty}; {(shares == 0).sum()} masks are empty"
    if not np.isclose(share, shares.mean()):
        yield f"mask_share is {share:.6f}; the mean over the crops is {shares.mean():.6f}"


def _misplaced(file: h5py.File) -> Iterator[str]:
    seen: set[str] = set()
    for key, rows in store.read_frames(file):
        origins = [(int(y), int(x)) for y, x in file["origin"][rows]]
        grid = list(itertools.product(*(sorted(set(places)) for places in zip(*origins, strict=True))))
        if origins != grid or origins[0] != (0, 0):
            yield f"crops {rows.start} to {rows.stop - 1} ({key}) are no whole grid"
        if key in seen:
            yield f"{key} stands in the pack twice"
        seen.add(key)


def verify(path: Path, *, fast: bool = False) -> Iterator[str | None]:
    """Check the crops of a pack: checksum, equations 14 and 15, the share of the mask.

    Gives one value a crop that is read: None where all is right, else one line that names it and what is wrong.

    Args:
        path: The pack.
        fast: Read only every fiftieth crop.

    Raises:
        PackError: As ``store.open_pack``.
    """
    with store.open_pack(path) as file:
        header, keys = store.read_header(file), store.read_keys(file)
        for index in range(0, len(keys), _EVERY if fast else 1):
            y, x = (int(value) for value in file["origin"][index])
            faults = list(_faults(file, header, index))
            yield f"crop {index} ({keys[index]} at y {y}, x {x}): {'; '.join(faults)}" if faults else None


def _faults(file: h5py.File, header: Header, index: int) -> Iterator[str]:
    try:
        rows = {name: file[name][index] for name in file if name not in ("key", "origin")}
    except OSError as error:
        yield f"cannot be read ({store.reason(error)})"
        return
    if store.checksum(rows["blurry"], rows["sharp"], rows["mask"], rows["sharpness"]) != rows["crc32"]:
        yield "checksum differs"
    if not np.array_equal(rows["mask"], equations.mask_of_codes(rows["sharpness"], header.mu)):
        yield f"mask is not S > {header.mu:g}"
    if rows["mask_share"] != rows["mask"].mean():
        yield f"mask_share is not {rows['mask'].mean():.6f}"
    if header.has_targets:
        sgt, lgt = equations.component_targets(rows["sharp"], rows["mask"])
        if not (np.array_equal(rows["sgt"], sgt) and np.array_equal(rows["lgt"], lgt)):
            yield "sgt and lgt are not mask * sharp and (1 - mask) * sharp"
