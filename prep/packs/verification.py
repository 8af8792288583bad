"""Check a pack's structure, checksums and equations 14 and 15; name each fault."""

import itertools
from collections.abc import Iterator

import h5py
import numpy as np

from prep.masks import equations
from prep.packs import layout, reader
from prep.packs.layout import TARGETS, Header
from prep.packs.reader import PackInfo

_EVERY = 50  # crop that a fast check reads


def count(pack: PackInfo, *, fast: bool) -> int:
    """Number of crops that ``verify`` reads."""
    return len(range(0, pack.crop_count, _EVERY)) if fast else pack.crop_count


def structure(pack: PackInfo) -> list[str]:
    """Check what can be checked without the pictures: that every crop is stored, counts, the grid of each frame.

    Returns:
        One line a fault.

    Raises:
        PackError: As ``reader.open_pack``.
    """
    with reader.open_pack(pack.path) as file:
        return [*_missing(file, pack), *_miscounted(file, pack), *_misplaced(pack)]


def _missing(file: h5py.File, pack: PackInfo) -> Iterator[str]:
    total, height, width = file["mask"].shape
    for name in ("blurry", "sharp", "mask", "sharpness", *(TARGETS if pack.header.has_targets else ())):
        if file[name].shape[1:3] != (height, width):
            yield f"{name} holds crops of {file[name].shape[1]} x {file[name].shape[2]}; wanted {height} x {width}"
        if file[name].id.get_num_chunks() != total:
            yield f"{name} holds {file[name].id.get_num_chunks()} of {total} crops"


def _miscounted(file: h5py.File, pack: PackInfo) -> Iterator[str]:
    shares = file["mask_share"][:]
    if pack.empty_masks != (shares == 0).sum():
        yield f"empty_masks is {pack.empty_masks}; {(shares == 0).sum()} masks are empty"
    if not np.isclose(pack.mask_share, shares.mean()):
        yield f"mask_share is {pack.mask_share:.6f}; the mean over the crops is {shares.mean():.6f}"


def _misplaced(pack: PackInfo) -> Iterator[str]:
    seen: set[str] = set()
    for frame in pack.frames:
        rows = frame.rows
        origins = list(pack.origins[rows.start : rows.stop])
        grid = list(itertools.product(*(sorted(set(places)) for places in zip(*origins, strict=True))))
        if origins != grid or origins[0] != (0, 0):
            yield f"crops {rows.start} to {rows.stop - 1} ({frame.key}) are no whole grid"
        if frame.key in seen:
            yield f"{frame.key} stands in the pack twice"
        seen.add(frame.key)


def verify(pack: PackInfo, *, fast: bool = False) -> Iterator[str | None]:
    """Check the crops of a pack: checksum, equations 14 and 15, the share of the mask.

    Gives one value a crop that is read: None where all is right, else one line that names it and what is wrong.

    Args:
        pack: Its header and index.
        fast: Read only every fiftieth crop.

    Raises:
        PackError: As ``reader.open_pack``.
    """
    with reader.open_pack(pack.path) as file:
        for index in range(0, pack.crop_count, _EVERY if fast else 1):
            y, x = pack.origins[index]
            faults = list(_faults(file, pack.header, index))
            yield f"crop {index} ({pack.keys[index]} at y {y}, x {x}): {'; '.join(faults)}" if faults else None


def _faults(file: h5py.File, header: Header, index: int) -> Iterator[str]:
    try:
        rows = {name: file[name][index] for name in file if name not in ("key", "origin")}
    except OSError as error:
        yield f"cannot be read ({reader.hdf5_reason(error)})"
        return
    if layout.checksum(rows["blurry"], rows["sharp"], rows["mask"], rows["sharpness"]) != rows["crc32"]:
        yield "checksum differs"
    if not np.array_equal(rows["mask"], equations.mask_of_codes(rows["sharpness"], header.mu)):
        yield f"mask is not S > {header.mu:g}"
    if rows["mask_share"] != rows["mask"].mean():
        yield f"mask_share is not {rows['mask'].mean():.6f}"
    if header.has_targets:
        sgt, lgt = equations.component_targets(rows["sharp"], rows["mask"])
        if not (np.array_equal(rows["sgt"], sgt) and np.array_equal(rows["lgt"], lgt)):
            yield "sgt and lgt are not mask * sharp and (1 - mask) * sharp"
