"""Earlier names of what ``layout`` and ``reader`` hold; new code reads a pack once, with ``reader.read_info``."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from prep.packs import reader
from prep.packs.layout import Header, read_header, read_keys
from prep.packs.reader import open_pack

__all__ = ["Header", "content", "describe", "open_pack", "read_frames", "read_header", "read_keys"]


def describe(path: Path) -> Mapping[str, Any]:
    """A pack's header and counts, as plain values."""
    return reader.read_info(path).as_json()


def content(paths: Sequence[Path]) -> int:
    """A checksum of all crops of packs, whatever the files are called."""
    return reader.content_checksum([reader.read_info(path) for path in paths])


def read_frames(file: h5py.File) -> Iterator[tuple[str, slice]]:
    """Each frame's key and the rows of its crops, in the order of an open pack."""
    for frame in reader.info_of(file).frames:
        yield frame.key, slice(frame.rows.start, frame.rows.stop)
