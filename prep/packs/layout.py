"""The HDF5 layout of a pack, versions 1 and 2. Plain h5py can read it.

Data sets, one row per crop, one crop per chunk (N crops of H x W pixels):

    blurry, sharp  (N, H, W, 3)  uint8   RGB
    mask           (N, H, W)     uint8   M, 0 or 1
    sharpness      (N, H, W)     uint16  round(S * 65535)
    sgt, lgt       (N, H, W, 3)  uint8   mask * sharp and (1 - mask) * sharp; optional
    key            (N,)          str     sequence/name of the frame
    origin         (N, 2)        int32   y, x of the crop's top left corner in the frame
    crc32          (N,)          uint32  CRC-32 of the bytes of blurry, sharp, mask, sharpness, in this order
    mask_share     (N,)          float64 mean of the mask, in [0, 1]

Version 2 is for whole frames of several sizes: each is padded to H x W with zeros at the bottom and the right.

    size           (N, 2)        int32   height, width of the frame; ``mask_share`` excludes the padding

``blurry``, ``sharp`` and ``mask`` are uncompressed for fast training; ``sharpness``, ``sgt`` and ``lgt`` are gzip-1.
Attributes of the file: the fields of ``Header``, ``format``, ``version``, ``mask_share`` (mean over the crops) and
``empty_masks`` (number of crops with an empty mask).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from prep.arrays import Bytes, Codes, Size

FORMAT = "cdgnet-pack"
BYTES_A_PIXEL = 7  # uncompressed data: blurry, sharp and mask
TARGETS = ("sgt", "lgt")
LATER_ATTRIBUTES = ("excluded",)  # missing in packs of earlier releases


@dataclass(frozen=True, kw_only=True)
class Header:
    """How a pack was made; each field is an attribute of the file."""

    layout: str
    split: str
    variant: str
    mu: float
    method: str
    method_parameters: str  # JSON
    crop: Size  # height, width in pixels
    whole_frames: bool  # each crop is a whole frame
    has_targets: bool
    tool_version: str
    excluded: str = "[]"  # JSON: keys of the rejected frames, which are left out
    is_padded: bool = False  # stored as version 2, not as an attribute

    @property
    def excluded_keys(self) -> list[str]:
        return list(json.loads(self.excluded))

    @property
    def version(self) -> int:
        return 2 if self.is_padded else 1


def difference(was: Header, wanted: Header) -> str:
    """Describe how one header differs from another, apart from the version of the tool; empty if it does not."""
    left, right = (asdict(replace(header, tool_version="")) for header in (was, wanted))
    return ", ".join(
        "other frames excluded" if name == "excluded" else f"{name} {left[name]} instead of {right[name]}"
        for name in left
        if left[name] != right[name]
    )


@dataclass(frozen=True, kw_only=True)
class FrameCrops:
    """The n crops of one frame, in the order of the grid."""

    key: str
    origins: npt.NDArray[np.int32]  # (n, 2) y, x
    blurry: Bytes  # (n, H, W, 3)
    sharp: Bytes  # (n, H, W, 3)
    mask: Bytes  # (n, H, W)
    sharpness: Codes  # (n, H, W)
    made_of: str  # text that identifies the sources; ``Writer`` compares it when it resumes
    size: Size | None = None  # size of a padded frame without the padding


def checksum(blurry: Bytes, sharp: Bytes, mask: Bytes, sharpness: Codes) -> int:
    """Compute the CRC-32 of one crop's bytes; sharpness is little-endian."""
    crc = 0
    for part in (blurry, sharp, mask, sharpness.astype("<u2", copy=False)):
        crc = isal_zlib.crc32(np.ascontiguousarray(part), crc)
    return crc


@dataclass(frozen=True, kw_only=True)
class Column:
    """A data set of a pack, one row per crop."""

    shape: tuple[int, ...]  # shape of a row
    dtype: np.dtype[Any]
    rows_a_chunk: int = 1
    filters: Mapping[str, Any] = field(default_factory=dict)


KEY = Column(shape=(), dtype=h5py.string_dtype(), rows_a_chunk=1024)


def columns(header: Header) -> Mapping[str, Column]:
    """Return the data sets of a pack, by name."""
    picture, plane = (*header.crop, 3), header.crop
    gzip: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}
    large = {
        "blurry": Column(shape=picture, dtype=np.dtype("u1")),
        "sharp": Column(shape=picture, dtype=np.dtype("u1")),
        "mask": Column(shape=plane, dtype=np.dtype("u1")),
        "sharpness": Column(shape=plane, dtype=np.dtype("<u2"), filters={"shuffle": True, **gzip}),
    }
    if header.has_targets:
        large |= {name: Column(shape=picture, dtype=np.dtype("u1"), filters=gzip) for name in TARGETS}
    if header.is_padded:
        large["size"] = Column(shape=(2,), dtype=np.dtype("<i4"), rows_a_chunk=1024)
    return large | {
        "key": KEY,
        "origin": Column(shape=(2,), dtype=np.dtype("<i4"), rows_a_chunk=1024),
        "crc32": Column(shape=(), dtype=np.dtype("<u4"), rows_a_chunk=1024),
        "mask_share": Column(shape=(), dtype=np.dtype("<f8"), rows_a_chunk=1024),
    }


def attributes(header: Header) -> dict[str, Any]:
    """Return the attributes of a new pack."""
    values = asdict(header)
    del values["is_padded"]
    return {"format": FORMAT, "version": header.version, **values}


def create_data_sets(file: h5py.File, header: Header) -> None:
    """Create the data sets of an empty pack."""
    for name, column in columns(header).items():
        file.create_dataset(
            name,
            (0, *column.shape),
            column.dtype,
            chunks=(column.rows_a_chunk, *column.shape),
            maxshape=(None, *column.shape),
            **column.filters,
        )


def part_path(path: Path) -> Path:
    """Return the temporary path of a pack while it is written."""
    return path.with_name(path.name + ".part")


def read_header(file: h5py.File) -> Header:
    """Read how an open pack was made, from its attributes."""
    values = {each.name: file.attrs[each.name] for each in fields(Header) if each.name in file.attrs}
    height, width = (int(side) for side in values["crop"])
    return Header(
        **{
            **values,
            "mu": float(values["mu"]),
            "crop": (height, width),
            "whole_frames": bool(values["whole_frames"]),
            "has_targets": bool(values["has_targets"]),
            "is_padded": bool(file.attrs["version"] == 2),
        }
    )


def read_keys(file: h5py.File) -> list[str]:
    """Read the key of every crop's frame, in the pack's order."""
    return [str(key) for key in file["key"].asstr()[:]]
