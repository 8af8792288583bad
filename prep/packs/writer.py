"""Write a pack under a temporary name and through a journal, so that writing can resume after a kill.

An unfinished pack is called ``NAME.part``; a kill loses only what was added since the last commit.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from prep.arrays import Bytes, Codes
from prep.errors import PackError
from prep.io import files
from prep.io.journal import Journal
from prep.io.locks import FileInUse
from prep.masks import equations
from prep.packs import layout
from prep.packs.layout import FrameCrops, Header
from prep.units import counted

_MADE_OF = "made_of"  # a data set of unfinished packs only, one row per crop
_COMMIT_BYTES = 64e6  # bytes between commits, which a kill loses; syncing more often would slow the threads


@dataclass(frozen=True, kw_only=True)
class EncodedCrops:
    """The crops of one frame as they are stored."""

    key: str
    made_of: str
    values: Mapping[str, npt.NDArray[Any]]  # (n, ...) small data sets, by name
    chunks: Mapping[str, Iterable[bytes | npt.NDArray[Any]]]  # n encoded crops each, by name


def encode(crops: FrameCrops, *, has_targets: bool) -> EncodedCrops:
    """Prepare the crops of one frame for ``Writer``: checksums, targets, compression.

    This is most of the work of writing and needs no file, so the thread that cut the crops does it.
    """
    chunks: dict[str, Iterable[Any]] = {"blurry": crops.blurry, "sharp": crops.sharp, "mask": crops.mask}
    chunks["sharpness"] = [_deflate(_shuffle(codes)) for codes in crops.sharpness]
    if has_targets:
        pairs = [equations.component_targets(sharp, mask) for sharp, mask in zip(crops.sharp, crops.mask, strict=True)]
        chunks["sgt"], chunks["lgt"] = ([_deflate(part) for part in parts] for parts in zip(*pairs, strict=True))
    parts = zip(crops.blurry, crops.sharp, crops.mask, crops.sharpness, strict=True)
    values = {
        "origin": crops.origins,
        "crc32": np.array([layout.checksum(*part) for part in parts], np.uint32),
        "mask_share": np.array([np.count_nonzero(mask) / math.prod(crops.size or mask.shape) for mask in crops.mask]),
    }
    if crops.size:
        values["size"] = np.array([crops.size], np.int32)
    return EncodedCrops(key=crops.key, made_of=crops.made_of, values=values, chunks=chunks)


def _deflate(part: npt.NDArray[Any]) -> bytes:
    """Apply HDF5's filter ``deflate``, a zlib stream. ISA-L is five times as fast as zlib."""
    return bytes(isal_zlib.compress(np.ascontiguousarray(part), 1))


def _shuffle(codes: Codes) -> Bytes:
    """Apply HDF5's filter ``shuffle``: first all low bytes, then all high bytes."""
    return codes.astype("<u2", copy=False).reshape(-1, 1).view(np.uint8).T


class Writer:
    """Write a pack under a temporary name, or continue an unfinished one.

    When the ``with`` block ends without an error, the file gets its final name. After an error or a kill, the next
    writer of the same pack continues from the last commit.

    Args:
        path: The pack's final name.
        header: The pack's attributes.
        keys: Keys of the frames to pack, in order.
        is_current: Takes a frame's key and the ``made_of`` of its crops; returns whether the sources are still the
            same. Called when a pack is resumed, so that old and new versions of frames never share a pack.
        restart: Discard an unfinished pack with another header, other frames, or changed frames.

    Attributes:
        done: Keys of the frames that were stored before, in order.

    Raises:
        PackError: If another process is writing this pack, or the unfinished pack differs and ``restart`` is not set.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        keys: Sequence[str],
        is_current: Callable[[str, str], bool],
        *,
        restart: bool = False,
    ) -> None:
        path = files.followed(path)
        self.path, self.header, self.keys, self._is_current = path, header, keys, is_current
        self._part = layout.part_path(path)
        try:
            self._journal = Journal(self._part)
        except FileInUse as error:
            raise PackError(
                f"{path} is being written by another process; wait for it, or choose another --out"
            ) from error
        try:
            self.done = self._resume(restart=restart) if self._journal.seek(0, os.SEEK_END) else self._begin()
        except BaseException:
            self._journal.close()
            raise
        self._uncommitted = 0

    def _resume(self, *, restart: bool) -> list[str]:
        self._file = self._open("r+")
        done = list(dict.fromkeys(layout.read_keys(self._file)))
        difference = layout.difference(layout.read_header(self._file), self.header)
        if not difference and list(self.keys[: len(done)]) != done:
            difference = "other frames"
        changed = [] if difference else self._changed(done)
        if not difference and not changed:
            return done
        self._file.close()
        if restart:
            return self._begin()
        if difference:
            raise PackError(
                f"{self._part} was begun with {difference}; use the earlier settings, or --force to start over"
            )
        raise PackError(
            f"{len(changed):,} of {counted(len(done), 'frame')} in {self._part} changed after packing, first "
            f"{changed[0]}; use --force to start over, or choose another --out"
        )

    def _changed(self, done: Sequence[str]) -> list[str]:
        """Return the frames that changed after packing; all if an earlier release did not record their sources."""
        if _MADE_OF not in self._file:
            return list(done)
        made_of = dict(zip(layout.read_keys(self._file), self._file[_MADE_OF].asstr()[:], strict=True))
        return [key for key in done if not self._is_current(key, made_of[key])]

    def _begin(self) -> list[str]:
        self._journal.seek(0)
        self._journal.truncate()
        self._file = self._open("w")
        self._file.attrs.update(layout.attributes(self.header))
        layout.create_data_sets(self._file, self.header)
        self._file.create_dataset(_MADE_OF, (0,), h5py.string_dtype(), chunks=(1024,), maxshape=(None,))
        self._commit()  # also reopens the file
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

    def append(self, crops: EncodedCrops) -> None:
        """Add the crops of one frame."""
        start, count = len(self._columns["key"]), len(crops.values["origin"])
        for column in self._columns.values():
            column.resize(start + count, axis=0)
        self._columns["key"][start:] = crops.key
        self._columns[_MADE_OF][start:] = crops.made_of
        for name, values in crops.values.items():
            self._columns[name][start:] = values
        for name, chunks in crops.chunks.items():
            written = self._columns[name].id
            for place, chunk in enumerate(chunks, start):
                written.write_direct_chunk((place,) + (0,) * (written.rank - 1), chunk)
        self._journal.check()
        height, width = self.header.crop
        self._uncommitted += count * height * width * layout.BYTES_A_PIXEL
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
                del self._file[_MADE_OF]
            self._file.close()
            if error is None:
                self._journal.finish(self.path)
        finally:
            self._journal.close()
