"""Check the heaps of an HDF5 file, which store its texts, before HDF5 reads them.

A heap has no checksum. HDF5 may never finish reading a damaged heap, and allocates as much memory as a text claims.

Source: HDF5 File Format Specification 3.0, III.E, Global Heap.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
import numpy.typing as npt

_REFERENCE = np.dtype([("bytes", "<u4"), ("address", "<u8"), ("object", "<u4")])  # stored for each text
_HEAD, _OBJECT = struct.Struct("<8sQ"), struct.Struct("<HH4xQ")  # headers of a heap and of an object in it
_SIGNATURE = b"GCOL\1\0\0\0"
_BEGINNING = 2**16  # bytes; attributes are at the start of a pack
_LONGEST = 2**16  # most bytes of a text
_DAMAGED, _ENDLESS = "is damaged", "has no end"


def fault(texts: h5py.Dataset, path: Path) -> str:
    """Find the first fault in the heaps of a data set of texts and of a pack's attributes; empty if there is none.

    Args:
        texts: One-dimensional data set of strings of any length.
        path: The file that contains it.
    """
    name, size_of_file = texts.name.strip("/"), path.stat().st_size
    if len(texts) * _REFERENCE.itemsize > size_of_file:
        return f"{name} claims {len(texts):,} rows, more than the file can contain"
    references = _references(texts, path)
    if references is None:
        return f"{name} is not stored as cdg-prep pack stores it"
    if (references["bytes"] > _LONGEST).any():
        row = int(np.argmax(references["bytes"]))
        return f"row {row} of {name} claims {references['bytes'][row]:,} bytes; the limit is {_LONGEST:,}"
    addresses = references["address"][references["bytes"] > 0] + np.uint64(texts.file.userblock_size)
    with path.open("rb") as file:
        of_attributes = [found.start() for found in re.finditer(re.escape(_SIGNATURE), file.read(_BEGINNING))]
        for address in sorted({*of_attributes, *addresses.tolist()}):
            problem = _heap_fault(file, address, size_of_file)
            # An unused heap may be partly overwritten, but must have an end, or HDF5 never finishes.
            if problem == _ENDLESS or (problem and address in addresses):
                return f"the heap of texts at byte {address:,} {problem}"
    return ""


def _references(texts: h5py.Dataset, path: Path) -> npt.NDArray[np.void] | None:
    """Read the stored references to the texts; return None if they are compressed or not stored."""
    if texts.id.get_create_plist().get_nfilters():
        return None
    if texts.chunks is None:
        if (place := texts.id.get_offset()) is None:
            return None
        return np.fromfile(path, _REFERENCE, len(texts), offset=place)
    parts = [np.frombuffer(stored, _REFERENCE) for stored in _chunks(texts)]
    return np.concatenate(parts)[: len(texts)] if parts else np.empty(0, _REFERENCE)


def _chunks(texts: h5py.Dataset) -> Iterator[bytes]:
    for start in range(0, len(texts), texts.chunks[0]):
        yield texts.id.read_direct_chunk((start,))[1]


def _heap_fault(file: BinaryIO, address: int, size_of_file: int) -> str:
    """Return why a heap cannot be read from its first object to its end; empty if it can."""
    if address + _HEAD.size > size_of_file:
        return _DAMAGED
    file.seek(address)
    signature, size = _HEAD.unpack(file.read(_HEAD.size))
    if signature != _SIGNATURE or address + size > size_of_file:
        return _DAMAGED
    heap, place = file.read(size - _HEAD.size), 0
    while place + _OBJECT.size <= len(heap):
        number, _, length = _OBJECT.unpack_from(heap, place)
        step = length if number == 0 else _OBJECT.size + -(-length // 8) * 8  # number 0: free space up to the end
        if step == 0:
            return _ENDLESS
        if place + step > len(heap):
            return _DAMAGED
        place += step
    return ""
