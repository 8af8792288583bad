"""Read a pack's header and index, and the crops of a frame."""

import itertools
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py

from prep.arrays import Bytes, Codes, Size
from prep.errors import PackError
from prep.packs import layout, validation
from prep.packs.crops import Origin
from prep.packs.layout import FrameCrops, Header


@dataclass(frozen=True, kw_only=True)
class PackFrame:
    """A frame of a pack."""

    key: str
    rows: range  # rows of its crops


@dataclass(frozen=True, kw_only=True)
class PackInfo:
    """Header and index of a pack; per-crop values are in the order of the file."""

    path: Path
    header: Header
    keys: tuple[str, ...]  # key of each crop's frame
    origins: tuple[Origin, ...]  # y, x of each crop's top left corner in its frame
    sizes: tuple[Size, ...]  # height, width of each crop, without padding
    checksums: bytes  # CRC-32 of each crop, little-endian uint32; equal for packs with the same crops
    frames: tuple[PackFrame, ...]
    mask_share: float  # mean over the crops, in [0, 1]
    empty_masks: int  # number of crops with an empty mask
    bytes: int  # size of the file

    @property
    def crop_count(self) -> int:
        return len(self.keys)

    def as_json(self) -> dict[str, Any]:
        """Return the values for ``cdg-prep info --json``."""
        return {
            "path": str(self.path),
            "format": f"{layout.FORMAT} {self.header.version}",
            **asdict(self.header),
            "method_parameters": json.loads(self.header.method_parameters),
            "excluded": self.header.excluded_keys,
            "crops": self.crop_count,
            "frames": len(set(self.keys)),
            "mask_share": self.mask_share,
            "empty_masks": self.empty_masks,
            "bytes": self.bytes,
        }


def read_info(path: Path) -> PackInfo:
    """Open a pack once, and read its header and index.

    Raises:
        PackError, FileNotFoundError: As in ``open_pack``.
    """
    with open_pack(path) as file:
        return info_of(file)


def info_of(file: h5py.File) -> PackInfo:
    """Read the header and index of an open pack.

    Raises:
        PackError: If they cannot be read, or crops of a frame are missing.
    """
    path, header = Path(file.filename), layout.read_header(file)
    with reading(file, "its index"):
        keys = tuple(layout.read_keys(file))
        origins = tuple((y, x) for y, x in file["origin"][:].tolist())
        checksums = file["crc32"][:].tobytes()
        padded = tuple((height, width) for height, width in file["size"][:].tolist()) if header.is_padded else ()
    sizes = padded or (header.crop,) * len(keys)
    validation.check_index(path, keys, origins, sizes, header)
    return PackInfo(
        path=path,
        header=header,
        keys=keys,
        origins=origins,
        sizes=sizes,
        checksums=checksums,
        frames=tuple(_frames(keys)),
        mask_share=float(file.attrs["mask_share"]),
        empty_masks=int(file.attrs["empty_masks"]),
        bytes=path.stat().st_size,
    )


def _frames(keys: Sequence[str]) -> list[PackFrame]:
    frames, start = [], 0
    for key, group in itertools.groupby(keys):
        stop = start + sum(1 for _ in group)
        frames.append(PackFrame(key=key, rows=range(start, stop)))
        start = stop
    return frames


def content_checksum(packs: Sequence[PackInfo]) -> int:
    """Compute the CRC-32 of all crops of packs; it does not depend on file names."""
    checksum = 0
    for pack in packs:
        checksum = zlib.crc32(pack.checksums, checksum)
    return checksum


def open_pack(path: Path, *, is_known: bool = False) -> h5py.File:
    """Open a pack for reading and check its structure.

    Args:
        path: The pack.
        is_known: Skip the slow checks, because the pack was opened before.

    Raises:
        PackError: If it is not a pack, is truncated, has another version or fails a check of ``validation``, or if
            another program has it open for writing.
        FileNotFoundError: If it does not exist.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; make it with cdg-prep pack")
    if path.is_dir():
        raise PackError(f"{path} is a folder; use a pack, which is a file made by cdg-prep pack")
    if not path.is_file():  # a pipe would keep HDF5 waiting
        raise PackError(f"{path} is not a regular file; use a pack, which is a file made by cdg-prep pack")
    try:
        file = h5py.File(path, "r", locking="best-effort")  # some file systems have no locks
    except OSError as error:
        raise PackError(_unopened(path, error)) from error
    try:
        validation.check(file, path, is_known=is_known)
    except PackError:
        file.close()
        raise
    return file


def _unopened(path: Path, error: OSError) -> str:
    """Explain why HDF5 could not open a file, and what to do."""
    reason = hdf5_reason(error)
    if "unable to lock file" in reason or "already open for" in reason:
        return (
            f"{path} is open for writing in another program, or was when that was killed; close it there and try again"
        )
    if error.errno:
        return f"{path} cannot be opened ({os.strerror(error.errno)})"
    if "file signature not found" in reason:
        return f"{path} is not an HDF5 file; use a pack, which is a file made by cdg-prep pack"
    return f"{path} is damaged or truncated ({reason}); pack it again"


def reopen(pack: PackInfo) -> h5py.File:
    """Open a pack again, to read rows of an index that was read earlier.

    Raises:
        PackError: If its crops changed, or as in ``open_pack``.
        FileNotFoundError: If it does not exist.
    """
    file = open_pack(pack.path, is_known=True)
    with reading(file, "its index"):
        checksums = file["crc32"][:].tobytes()
    if checksums != pack.checksums:
        file.close()
        raise changed(pack.path)
    return file


def changed(path: Path) -> PackError:
    """Return the error for a pack that changed after it was first read."""
    return PackError(f"{path} changed or was replaced while it was in use; restore the earlier pack")


@contextmanager
def reading(file: h5py.File, what: str) -> Iterator[None]:
    """Turn h5py's errors for a damaged pack into a PackError that says what could not be read."""
    try:
        yield
    except PackError:
        raise
    except validation.HDF5_ERRORS as error:
        raise PackError(f"{file.filename}: {what} cannot be read ({hdf5_reason(error)}); pack it again") from error


def hdf5_reason(error: Exception) -> str:
    """Return the part of HDF5's message that says what is wrong."""
    message = " ".join(str(error).split())
    return message.partition("(")[2].rstrip(")") or message


def read_crops(file: h5py.File, frame: PackFrame) -> FrameCrops:
    """Read the crops of one frame, and compare them with their checksums.

    Raises:
        PackError: If a crop cannot be read, or its checksum differs.
    """
    rows = slice(frame.rows.start, frame.rows.stop)
    is_padded = layout.read_header(file).is_padded
    with reading(file, f"crops of {frame.key}"):
        parts = {name: file[name][rows] for name in ("blurry", "sharp", "mask", "sharpness")}
        checksums, origins = file["crc32"][rows], file["origin"][rows]
        height, width = file["size"][rows.start].tolist() if is_padded else (0, 0)
    for place, crc in enumerate(checksums):
        check_crop(file, rows.start + place, frame.key, crc, *(part[place] for part in parts.values()))
    size = (height, width) if is_padded else None
    return FrameCrops(key=frame.key, origins=origins, made_of=made_of(file, frame), size=size, **parts)


def check_crop(
    file: h5py.File, row: int, key: str, crc: int, blurry: Bytes, sharp: Bytes, mask: Bytes, sharpness: Codes
) -> None:
    """Compare a crop with its checksum.

    Raises:
        PackError: If they differ.
    """
    if layout.checksum(blurry, sharp, mask, sharpness) != crc:
        raise PackError(f"{file.filename}: crop {row} ({key}) is damaged; pack it again")


def made_of(file: h5py.File, frame: PackFrame) -> str:
    """Return a frame's crop checksums as text: the ``made_of`` of a pack made from this one."""
    with reading(file, "its index"):
        return " ".join(map(str, file["crc32"][frame.rows.start : frame.rows.stop]))
