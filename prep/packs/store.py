"""The HDF5 layout of a pack, version 1: write, open, describe. Stock h5py reads it.

Data sets, one row a crop, one crop a chunk (N crops of H x W pixels):

    blurry, sharp  (N, H, W, 3)  uint8   RGB
    mask           (N, H, W)     uint8   M, 0 or 1
    sharpness      (N, H, W)     uint16  round(S * 65535)
    sgt, lgt       (N, H, W, 3)  uint8   mask * sharp and (1 - mask) * sharp; left out on request
    key            (N,)          str     sequence/name of the frame
    origin         (N, 2)        int32   y, x of the crop's top left corner in the frame
    crc32          (N,)          uint32  of the bytes of blurry, sharp, mask, sharpness, in this order
    mask_share     (N,)          float64 mean of the mask, in [0, 1]

What a trainer reads lies uncompressed; ``sharpness``, ``sgt`` and ``lgt`` are gzip-1. Attributes of the file: see
``Header``, besides ``format``, ``version``, ``mask_share`` (mean over the crops) and ``empty_masks`` (their number).

While it is written a pack is called ``NAME.part`` and goes through a journal: no kill costs more than what was added
since the last commit.
"""

import itertools
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from prep.arrays import Bytes, Codes, Size
from prep.errors import PackError
from prep.io.journal import Journal
from prep.io.locks import FileInUse
from prep.masks import equations

FORMAT = "cdgnet-pack"
VERSION = 1
BYTES_A_PIXEL = 7  # that lie uncompressed
_COMMIT_BYTES = 64e6  # a kill costs so much at most; to sync more would keep the threads waiting


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
    whole_frames: bool  # one crop a frame, the frame itself
    has_targets: bool
    tool_version: str
    excluded: str = "[]"  # JSON: keys of the frames that were left out because a person rejected them


@dataclass(frozen=True, kw_only=True)
class Crops:
    """The crops of one frame, in the order of the grid; n of them."""

    key: str
    origins: npt.NDArray[np.int32]  # (n, 2) y, x
    blurry: Bytes  # (n, H, W, 3)
    sharp: Bytes  # (n, H, W, 3)
    mask: Bytes  # (n, H, W)
    sharpness: Codes  # (n, H, W)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The crops of one frame as the file holds them."""

    key: str
    values: Mapping[str, npt.NDArray[Any]]  # (n, ...): what is small
    chunks: Mapping[str, Iterable[bytes | npt.NDArray[Any]]]  # n crops each, filters applied


def checksum(blurry: Bytes, sharp: Bytes, mask: Bytes, sharpness: Codes) -> int:
    """CRC-32 of one crop's bytes, the sharpness as little-endian."""
    crc = 0
    for part in (blurry, sharp, mask, sharpness.astype("<u2", copy=False)):
        crc = isal_zlib.crc32(np.ascontiguousarray(part), crc)
    return crc


def encode(crops: Crops, *, has_targets: bool) -> Rows:
    """Bring the crops of one frame into the form that ``Writer`` stores: checksums, targets, compression.

    This is most of the work of writing, and needs no file: so it is done where the crops were cut.
    """
    chunks: dict[str, Iterable[Any]] = {"blurry": crops.blurry, "sharp": crops.sharp, "mask": crops.mask}
    chunks["sharpness"] = [_deflate(_shuffle(codes)) for codes in crops.sharpness]
    if has_targets:
        pairs = [equations.component_targets(sharp, mask) for sharp, mask in zip(crops.sharp, crops.mask, strict=True)]
        chunks["sgt"], chunks["lgt"] = ([_deflate(part) for part in parts] for parts in zip(*pairs, strict=True))
    parts = zip(crops.blurry, crops.sharp, crops.mask, crops.sharpness, strict=True)
    values = {
        "origin": crops.origins,
        "crc32": np.array([checksum(*part) for part in parts], np.uint32),
        "mask_share": np.array([np.count_nonzero(mask) / mask.size for mask in crops.mask]),
    }
    return Rows(key=crops.key, values=values, chunks=chunks)


def _deflate(part: npt.NDArray[Any]) -> bytes:
    """HDF5's filter ``deflate``: a zlib stream. By ISA-L, which takes a fifth of zlib's time."""
    return bytes(isal_zlib.compress(np.ascontiguousarray(part), 1))


def _shuffle(codes: Codes) -> Bytes:
    """HDF5's filter ``shuffle``: first the low bytes of all, then the high ones."""
    return codes.astype("<u2", copy=False).reshape(-1, 1).view(np.uint8).T


class Writer:
    """Write a pack under a temporary name, or go on with one that was left half-made.

    Leaving the ``with`` block without an error gives the file its final name. Otherwise, and after a kill, what was
    committed waits for the next writer of the same pack.

    Args:
        path: The pack's final name.
        header: Its attributes.
        keys: The frames that will be in it, in order.
        anew: Throw away what was left half-made with another header or other frames.

    Attributes:
        done: Keys of the frames that were there, in order.

    Raises:
        PackError: If another process writes this pack, or what was left does not fit and ``anew`` is not set.
    """

    def __init__(self, path: Path, header: Header, keys: Sequence[str], *, anew: bool = False) -> None:
        self.path, self.header, self.keys = path, header, keys
        self._part = part_of(path)
        try:
            self._journal = Journal(self._part)
        except FileInUse as error:
            raise PackError(f"{path} is being written by another process; wait for it, or pass --out") from error
        try:
            self.done = self._go_on(anew) if self._journal.seek(0, os.SEEK_END) else self._begin()
        except BaseException:
            self._journal.close()
            raise
        self._uncommitted = 0

    def _go_on(self, anew: bool) -> list[str]:
        self._file = self._open("r+")
        done = list(dict.fromkeys(read_keys(self._file)))
        difference = self._difference(read_header(self._file), done)
        if not difference:
            return done
        self._file.close()
        if anew:
            return self._begin()
        raise PackError(f"{self._part} was begun with {difference}; finish it so, or pass --force to begin anew")

    def _difference(self, left: Header, done: Sequence[str]) -> str:
        """What tells a pack that was left from this one; empty when nothing does."""
        was, wanted = (asdict(replace(header, tool_version="")) for header in (left, self.header))
        said = [
            "other frames excluded" if name == "excluded" else f"{name} {was[name]}, now {wanted[name]}"
            for name in was
            if was[name] != wanted[name]
        ]
        return ", ".join(said) or ("" if list(self.keys[: len(done)]) == done else "other frames")

    def _begin(self) -> list[str]:
        self._journal.seek(0)
        self._journal.truncate()
        self._file = self._open("w")
        self._file.attrs.update({"format": FORMAT, "version": VERSION, **asdict(self.header)})
        self._create()
        self._commit()  # which opens it again
        return []

    def _open(self, mode: str) -> h5py.File:
        file = h5py.File(self._journal, mode, libver="v110")
        self._columns = dict(file)
        return file

    def _commit(self) -> None:
        self._file.close()
        self._journal.commit()
        self._file = self._open("r+")
        self._uncommitted = 0

    def _create(self) -> None:
        height, width = self.header.crop
        picture, plane, packed = (
            (height, width, 3),
            (height, width),
            {"compression": "gzip", "compression_opts": 1},
        )
        self._add("blurry", picture, np.uint8)
        self._add("sharp", picture, np.uint8)
        self._add("mask", plane, np.uint8)
        self._add("sharpness", plane, "<u2", shuffle=True, **packed)
        if self.header.has_targets:
            self._add("sgt", picture, np.uint8, **packed)
            self._add("lgt", picture, np.uint8, **packed)
        for name, shape, kind in (
            ("key", (), h5py.string_dtype()),
            ("origin", (2,), "<i4"),
            ("crc32", (), "<u4"),
            ("mask_share", (), "<f8"),
        ):
            self._file.create_dataset(name, (0, *shape), kind, chunks=(1024, *shape), maxshape=(None, *shape))

    def _add(self, name: str, shape: tuple[int, ...], kind: Any, **filters: Any) -> None:
        self._file.create_dataset(name, (0, *shape), kind, chunks=(1, *shape), maxshape=(None, *shape), **filters)

    def append(self, rows: Rows) -> None:
        """Add the crops of one frame."""
        start, count = len(self._columns["key"]), len(rows.values["origin"])
        for column in self._columns.values():
            column.resize(start + count, axis=0)
        self._columns["key"][start:] = rows.key
        for name, values in rows.values.items():
            self._columns[name][start:] = values
        for name, chunks in rows.chunks.items():
            written = self._columns[name].id
            for place, chunk in enumerate(chunks, start):
                written.write_direct_chunk((place,) + (0,) * (written.rank - 1), chunk)
        self._journal.check()
        height, width = self.header.crop
        self._uncommitted += count * height * width * BYTES_A_PIXEL
        if self._uncommitted > _COMMIT_BYTES:
            self._commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                shares = self._file["mask_share"][:]
                self._file.attrs["mask_share"] = float(shares.mean()) if len(shares) else 0.0
                self._file.attrs["empty_masks"] = int((shares == 0).sum())
            self._file.close()
            if error is None:
                self._journal.finish(self.path)
        finally:
            self._journal.close()


def part_of(path: Path) -> Path:
    """What a pack is called while it is written."""
    return path.with_name(path.name + ".part")


def open_pack(path: Path) -> h5py.File:
    """Open a pack for reading and check its form.

    Raises:
        PackError: If it is no pack, cut short, of another version, or its data sets do not fit together.
        FileNotFoundError: If it is not there.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; make it with cdg-prep pack")
    if path.is_dir():
        raise PackError(f"{path} is a folder; pass a pack, a file made by cdg-prep pack")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise PackError(f"{path} is no HDF5 file, or one cut short ({reason(error)}); pack it again") from error
    try:
        _check(file, path)
    except PackError:
        file.close()
        raise
    return file


def reason(error: OSError) -> str:
    """The part of HDF5's message that says what is wrong."""
    said = " ".join(str(error).split())
    return said.partition("(")[2].rstrip(")") or said


def _check(file: h5py.File, path: Path) -> None:
    if file.attrs.get("format") != FORMAT:
        raise PackError(f"{path} is an HDF5 file but no pack; make one with cdg-prep pack")
    if file.attrs["version"] != VERSION:
        raise PackError(
            f"{path} is a pack of version {file.attrs['version']}; this tool reads {VERSION}; pack it again"
        )
    names = {"blurry", "sharp", "mask", "sharpness", "key", "origin", "crc32", "mask_share"}
    if file.attrs["has_targets"]:
        names |= {"sgt", "lgt"}
    missing = sorted(names - set(file))
    if missing:
        raise PackError(f"{path} lacks {', '.join(missing)}; pack it again")
    lengths = {name: len(file[name]) for name in sorted(names)}
    if len(set(lengths.values())) != 1 or not lengths["key"]:
        raise PackError(f"{path} holds data sets of unequal length or none ({lengths}); pack it again")


def read_header(file: h5py.File) -> Header:
    """The attributes of an open pack."""
    # Packs of earlier releases have no excluded.
    values = {field.name: file.attrs[field.name] for field in fields(Header) if field.name in file.attrs}
    height, width = (int(side) for side in values["crop"])
    return Header(
        **{
            **values,
            "mu": float(values["mu"]),
            "crop": (height, width),
            "whole_frames": bool(values["whole_frames"]),
            "has_targets": bool(values["has_targets"]),
        }
    )


def read_keys(file: h5py.File) -> list[str]:
    """The frame's key of every crop, in the pack's order."""
    return [str(key) for key in file["key"].asstr()[:]]


def describe(path: Path) -> Mapping[str, Any]:
    """What a pack says of itself, as plain values: the header, counts, mean mask share, size."""
    with open_pack(path) as file:
        header = read_header(file)
        keys = read_keys(file)
        share, empty = float(file.attrs["mask_share"]), int(file.attrs["empty_masks"])
    return {
        "path": str(path),
        "format": f"{FORMAT} {VERSION}",
        **asdict(header),
        "method_parameters": json.loads(header.method_parameters),
        "excluded": json.loads(header.excluded),
        "crops": len(keys),
        "frames": len(set(keys)),
        "mask_share": share,
        "empty_masks": empty,
        "bytes": path.stat().st_size,
    }


def content(paths: Sequence[Path]) -> int:
    """A checksum of all crops of packs, whatever the files are called.

    Raises:
        PackError: If one is no pack.
    """
    found = 0
    for path in paths:
        with open_pack(path) as file:
            found = zlib.crc32(file["crc32"][:].tobytes(), found)
    return found


def read_frames(file: h5py.File) -> Iterator[tuple[str, slice]]:
    """Each frame's key and the rows of its crops, in the order of an open pack."""
    start = 0
    for key, rows in itertools.groupby(read_keys(file)):
        count = sum(1 for _ in rows)
        yield key, slice(start, start + count)
        start += count


def read_crops(file: h5py.File, key: str, rows: slice) -> Crops:
    """The crops of one frame.

    Raises:
        PackError: If one cannot be read, or its checksum differs.
    """
    try:
        parts = {name: file[name][rows] for name in ("blurry", "sharp", "mask", "sharpness")}
    except OSError as error:
        raise PackError(f"{file.filename}: crops of {key} cannot be read ({reason(error)}); pack them again") from error
    for place, crc in enumerate(file["crc32"][rows]):
        if checksum(*(part[place] for part in parts.values())) != crc:
            raise PackError(f"{file.filename}: crop {rows.start + place} ({key}) is damaged; pack it again")
    return Crops(key=key, origins=file["origin"][rows], **parts)
