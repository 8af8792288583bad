"""Check the structure of a pack, its checksums and equations 14 and 15; report each fault."""

import math
from collections.abc import Iterator, Mapping

import h5py
import numpy as np

from prep.arrays import Bytes
from prep.masks import equations
from prep.packs import layout, reader, validation
from prep.packs.layout import Header
from prep.packs.reader import PackInfo
from prep.pairing import search
from prep.pairing.search import Finding
from prep.units import counted

_EVERY = 50  # a fast check reads every fiftieth crop


def count(pack: PackInfo, *, fast: bool) -> int:
    """Return the number of crops that ``verify`` reads."""
    return len(range(0, pack.crop_count, _EVERY)) if fast else pack.crop_count


def structure(pack: PackInfo) -> list[str]:
    """Check, without reading the pictures, that every crop is stored and that the counts are right.

    Returns:
        One line per fault.

    Raises:
        PackError: As ``reader.open_pack``.
    """
    with reader.open_pack(pack.path) as file, reader.reading(file, "its index"):
        return [*_missing(file), *_miscounted(file, pack)]


def _missing(file: h5py.File) -> Iterator[str]:
    for name, column in layout.columns(layout.read_header(file)).items():
        data = file[name]
        total = math.prod(-(-side // part) for side, part in zip(data.shape, data.chunks or data.shape, strict=True))
        stored = data.id.get_num_chunks() if data.chunks else int(data.id.get_storage_size() > 0)
        if stored != total:
            yield f"{name} contains {stored:,} of {counted(total, 'crop' if column.rows_a_chunk == 1 else 'chunk')}"


def _miscounted(file: h5py.File, pack: PackInfo) -> Iterator[str]:
    shares = file["mask_share"][:]
    if pack.empty_masks != (shares == 0).sum():
        yield f"empty_masks is {pack.empty_masks}, but {(shares == 0).sum()} masks are empty"
    if not np.isclose(pack.mask_share, shares.mean()):
        yield f"mask_share is {pack.mask_share:.6f}, but the mean over the crops is {shares.mean():.6f}"


def verify(pack: PackInfo, *, fast: bool = False) -> Iterator[str | None]:
    """Check the crops of a pack: checksum, equations 14 and 15, mask share.

    Yields one value per crop: None if it is right, else a line that names the crop and its faults.

    Args:
        pack: The pack's header and index.
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
        rows = {name: file[name][index] for name in layout.columns(header) if name not in ("key", "origin")}
    except validation.HDF5_ERRORS as error:
        yield f"cannot be read ({reader.hdf5_reason(error)})"
        return
    if layout.checksum(rows["blurry"], rows["sharp"], rows["mask"], rows["sharpness"]) != rows["crc32"]:
        yield "the checksum differs"
    if not np.array_equal(rows["mask"], equations.mask_of_codes(rows["sharpness"], header.mu)):
        yield f"the mask is not S > {header.mu:g}"
    height, width = rows.get("size", header.crop)
    share = rows["mask"][:height, :width].mean()
    if rows["mask_share"] != share:
        yield f"mask_share is not {share:.6f}"
    if any(rows[name][height:].any() or rows[name][:, width:].any() for name in ("blurry", "sharp", "sharpness")):
        yield "the padding is not zero"
    if header.has_targets:
        sgt, lgt = equations.component_targets(rows["sharp"], rows["mask"])
        if not (np.array_equal(rows["sgt"], sgt) and np.array_equal(rows["lgt"], lgt)):
            yield "sgt and lgt are not mask * sharp and (1 - mask) * sharp"


def wrong_pairs(pack: PackInfo) -> list[Finding]:
    """Search a pack for pairs that do not match, with ``search.search`` on the middle crop of each frame.

    The padding is left out, because equal black borders would make any two frames look alike.

    Raises:
        PackError: As ``reader.open_pack``.
    """
    rows: Mapping[str, int] = {frame.key: frame.rows[len(frame.rows) // 2] for frame in pack.frames}
    with reader.open_pack(pack.path) as file:

        def read(key: str) -> tuple[Bytes, Bytes]:
            row = rows[key]
            with reader.reading(file, f"a crop of {key}"):
                height, width = file["size"][row] if pack.header.is_padded else pack.header.crop
                return file["blurry"][row, :height, :width], file["sharp"][row, :height, :width]

        return search.search(list(rows), read, jobs=-1)
