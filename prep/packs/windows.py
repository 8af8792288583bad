"""Read parts of a pack's crops through a memory map: only the bytes that a training sample needs.

Uncompressed crops are plain bytes in the file, so reading a part needs no HDF5 call. All processes that read a pack
share the map; a forked process keeps it, a spawned process opens it again. HDF5 reads crops that another program stored
differently, such as compressed.
"""

import mmap
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Codes
from prep.errors import PackError
from prep.packs import reader
from prep.packs.layout import Header


class Windows:
    """Random access to ``blurry``, ``sharp`` and ``mask`` of a pack, and slower access to its S.

    Args:
        path: The pack.

    Attributes:
        info: The pack's header and index.

    Raises:
        PackError: If it is not a pack or lacks crops; while reading, if it changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()  # a spawned worker may have another working folder
        with reader.open_pack(path) as file:
            self.info = replace(reader.info_of(file), path=self.path)
            self._stamp = _stamp(self.path.stat())
            self._shapes = {name: file[name].shape[1:] for name in ("blurry", "sharp", "mask")}
            with reader.reading(file, "the place of its crops"):
                self._places = {name: _places(file, name) for name in self._shapes}
        if len(self._map) != self.info.bytes:  # map now, because another pack may get this name later
            raise reader.changed(self.path)

    @property
    def header(self) -> Header:
        """How the pack was made."""
        return self.info.header

    def read(self, name: str, row: int, y: int, x: int, side: int) -> Bytes:
        """Return a part of one crop, ``(side, side, 3)`` or ``(side, side)``: a read-only view of the file."""
        self._refuse_change()
        places = self._places[name]
        if places is None:
            with reader.reading(self._file, f"crop {row}"):
                window: Bytes = self._file[name][row, y : y + side, x : x + side]
            return window
        crop: Bytes = np.ndarray(self._shapes[name], np.uint8, self._map, int(places[row]))
        return crop[y : y + side, x : x + side]

    def sharpness(self, row: int, y: int, x: int, side: int) -> Codes:
        """Read S of a part of one crop, ``(side, side)`` uint16. S is compressed, so this reads the whole crop."""
        self._refuse_change()
        with reader.reading(self._file, f"S of crop {row}"):
            codes: Codes = self._file["sharpness"][row]
        return codes[y : y + side, x : x + side]

    @cached_property
    def _file(self) -> h5py.File:
        return reader.reopen(self.info)

    @cached_property
    def _map(self) -> mmap.mmap:
        with self.path.open("rb") as file:
            if _stamp(os.fstat(file.fileno())) != self._stamp:
                raise reader.changed(self.path)
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _refuse_change(self) -> None:
        """Refuse a pack that was modified in place; a removed or moved pack can still be read.

        Without this check, reading beyond the end of a truncated file would kill the process silently.
        """
        try:
            found = _stamp(self.path.stat())
        except FileNotFoundError:
            return
        is_in_place = found[:2] == self._stamp[:2]
        if is_in_place and found != self._stamp:
            raise reader.changed(self.path)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_map", "_file")}


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return device, inode, size and modification time of a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _places(file: h5py.File, name: str) -> npt.NDArray[np.int64] | None:
    """Return the byte offset of each crop; None if crops are not stored one by one as plain bytes.

    Raises:
        PackError: If crops are missing.
    """
    crops = file[name]
    stored = crops.id.get_num_chunks() if crops.chunks else crops.id.get_storage_size()
    places = np.full(len(crops), -1, np.int64)

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        places[chunk.chunk_offset[0]] = chunk.byte_offset

    is_plain = crops.chunks == (1, *crops.shape[1:]) and not crops.id.get_create_plist().get_nfilters()
    if is_plain and not file.userblock_size:  # HDF5 before 2.0 counts offsets from the user block's end
        crops.id.chunk_iter(note)
    elif stored:
        return None
    if (places < 0).any():
        raise PackError(f"{file.filename}: {name} lacks crops; run cdg-prep verify, or pack again")
    return places
