"""Check an HDF5 file when it is opened, before its data are read as a pack.

A pack may come from an untrusted source. So links out of the file are not followed, and the memory to allocate is
limited by the size of the file.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from prep.arrays import Size
from prep.errors import PackError
from prep.packs import heaps, layout
from prep.packs.crops import Origin
from prep.packs.layout import Header

HDF5_ERRORS = (OSError, KeyError, RuntimeError, TypeError, ValueError)  # raised by h5py for a damaged file
_LARGEST_RATIO = 1100  # limit on the compression ratio of deflate, which compresses zeros 1032-fold
_HARMLESS_FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)  # filters that do not change the size
_LARGEST_CHUNK = 2**28  # bytes; limited because HDF5 reads a chunk as a whole


def check(file: h5py.File, path: Path, *, is_known: bool = False) -> Header:
    """Check format, version, attributes and the structure of all data sets, and return the header.

    Args:
        file: The file, opened for reading.
        path: The file's path.
        is_known: Skip the checks that are slow for a large pack, because it was checked before.

    Raises:
        PackError: At the first fault.
    """
    try:
        if not is_known and not _fault(file, "key", layout.KEY) and (fault := heaps.fault(file["key"], path)):
            raise PackError(f"{path}: {fault}; pack it again")
        header = _check(file, path)
        for name in () if is_known else layout.columns(header):
            if fault := _chunk_fault(file[name]):
                raise PackError(f"{path}: {name} {fault}; pack it again")
        return header
    except PackError:
        raise
    except HDF5_ERRORS as error:
        raise PackError(f"{path} is damaged ({' '.join(str(error).split())}); pack it again") from error


def _check(file: h5py.File, path: Path) -> Header:
    kind = file.attrs.get("format")
    if not isinstance(kind, str) or kind != layout.FORMAT:
        raise PackError(f"{path} is an HDF5 file but not a pack; make one with cdg-prep pack")
    version = file.attrs.get("version")
    if not _is_whole(version) or version not in (1, 2):
        raise PackError(f"{path} is a pack of version {_shown(version)}; only 1 and 2 can be read; pack it again")
    for name, (wanted, is_right) in _ATTRIBUTES.items():
        value = file.attrs.get(name)
        if not is_right(value) and not (value is None and name in layout.LATER_ATTRIBUTES):
            raise PackError(f"{path}: attribute {name} is {_shown(value)}, but must be {wanted}; pack it again")
    header = layout.read_header(file)
    columns = layout.columns(header)
    missing = [name for name in columns if file.get(name, getlink=True) is None]
    if missing:
        raise PackError(f"{path} lacks {', '.join(sorted(missing))}; pack it again")
    for name, column in columns.items():
        fault = _fault(file, name, column)
        if fault:
            raise PackError(f"{path}: {name} {fault}; pack it again")
    lengths = {name: len(file[name]) for name in sorted(columns)}
    if len(set(lengths.values())) != 1 or not lengths["key"]:
        raise PackError(f"{path} is empty or has data sets of unequal length ({lengths}); pack it again")
    for name, column in columns.items():
        if _promised(file[name]) > _most_bytes(file[name], path, column):
            raise PackError(f"{path}: {name} claims {_promised(file[name]):,} bytes, more than the file can contain")
    return header


def _shown(value: Any) -> str:
    """Describe a value of any kind in at most 80 characters."""
    return "missing" if value is None else " ".join(repr(getattr(value, "tolist", lambda: value)()).split())[:80]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_whole(value: Any) -> bool:
    return isinstance(value, np.integer) and bool(value >= 0)


def _is_share(value: Any) -> bool:
    return isinstance(value, np.floating | np.integer) and bool(0 <= value <= 1)  # NaN fails


def _is_flag(value: Any) -> bool:
    return isinstance(value, np.bool_)


def _is_crop(value: Any) -> bool:
    is_pair = isinstance(value, np.ndarray) and value.shape == (2,) and value.dtype.kind in "iu"
    return is_pair and bool((value > 0).all())


def _is_json_of(kind: type) -> Callable[[Any], bool]:
    def is_json(value: Any) -> bool:
        try:
            parsed = json.loads(value) if _is_text(value) else None
        except (ValueError, RecursionError):
            return False
        return isinstance(parsed, kind) and (
            not isinstance(parsed, list) or all(isinstance(each, str) for each in parsed)
        )

    return is_json


_TEXT, _SHARE, _FLAG = ("text", _is_text), ("a number in [0, 1]", _is_share), ("true or false", _is_flag)
_ATTRIBUTES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("layout", "split", "variant", "method", "tool_version"), _TEXT),
    **dict.fromkeys(("mu", "mask_share"), _SHARE),
    **dict.fromkeys(("whole_frames", "has_targets"), _FLAG),
    "method_parameters": ("JSON of an object", _is_json_of(dict)),
    "excluded": ("JSON of a list of keys", _is_json_of(list)),
    "crop": ("height and width in pixels", _is_crop),
    "empty_masks": ("a number", _is_whole),
}


def _fault(file: h5py.File, name: str, column: layout.Column) -> str:
    """Find a fault in the structure of a data set, without following links; empty if there is none."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return "is a link, but must be a data set"
    if file.get(name, getclass=True) is not h5py.Dataset:
        return "is not a data set"
    data = file[name]
    created = data.id.get_create_plist()
    if created.get_external_count() or created.get_layout() == h5py.h5d.VIRTUAL:
        return "is stored in another file, but must be in this one"
    filters = [created.get_filter(place)[0] for place in range(created.get_nfilters())]
    if len([each for each in filters if each not in _HARMLESS_FILTERS]) > 1:
        return "is compressed twice"
    if data.chunks and (size := math.prod(data.chunks) * data.dtype.itemsize) > _LARGEST_CHUNK:
        return f"has chunks of {size:,} bytes; the limit is {_LARGEST_CHUNK:,}"
    text = h5py.check_string_dtype(data.dtype)
    is_type = data.dtype == column.dtype and (text is None or (text.encoding, text.length) == ("utf-8", None))
    if data.shape is None or data.shape[1:] != column.shape or data.ndim != 1 + len(column.shape) or not is_type:
        shape = ("N", *column.shape)
        return f"is {data.dtype} of shape {data.shape}, but must be {column.dtype} of ({', '.join(map(str, shape))})"
    return ""


def _chunk_fault(data: h5py.Dataset) -> str:
    """Find a compressed chunk that is larger than its data, as it could unpack to any size; empty if there is none."""
    if not (data.chunks and data.id.get_create_plist().get_nfilters()):
        return ""
    size = math.prod(data.chunks) * data.dtype.itemsize
    stored: list[int] = []
    data.id.chunk_iter(lambda chunk: stored.append(chunk.size))
    if stored and max(stored) > 1.1 * size + 1024:
        return f"has a chunk of {size:,} bytes that takes {max(stored):,}"
    return ""


def _promised(data: h5py.Dataset) -> int:
    """Return the bytes of a data set according to its shape."""
    return int(math.prod(data.shape) * data.dtype.itemsize)


def _most_bytes(data: h5py.Dataset, path: Path, column: layout.Column) -> int:
    """Return the most bytes that a data set can unpack to. For pictures, it uses the file's size, which is fast."""
    stored = path.stat().st_size if math.prod(column.shape) > 2 else data.id.get_storage_size()
    return int(stored) * (_LARGEST_RATIO if data.id.get_create_plist().get_nfilters() else 1)


def check_index(
    path: Path, keys: Sequence[str], origins: Sequence[Origin], sizes: Sequence[Size], header: Header
) -> None:
    """Check that each frame occurs once, as crops that cover it or as one padded crop.

    Raises:
        PackError: At the first fault.
    """
    faults = _size_faults(keys, sizes, header) if header.is_padded else iter(())
    fault = next(itertools.chain(_index_faults(keys, origins, header.crop), faults), "")
    if fault:
        raise PackError(f"{path}: {fault}; pack it again")


def _index_faults(keys: Sequence[str], origins: Sequence[Origin], crop: tuple[int, int]) -> Iterator[str]:
    seen: set[str] = set()
    for key, group in itertools.groupby(range(len(keys)), keys.__getitem__):
        rows = list(group)
        if not key or "\0" in key or key.startswith("/") or ".." in key.split("/"):
            yield f"crop {rows[0]} belongs to a frame named {key!r}, which is not a valid sequence/name"
        if key in seen:
            yield f"{key} occurs twice"
        seen.add(key)
        corners = [origins[row] for row in rows]
        places = [sorted(set(along)) for along in zip(*corners, strict=True)]
        if corners != list(itertools.product(*places)) or not all(map(_covers, places, crop)):
            yield f"crops {rows[0]} to {rows[-1]} ({key}) do not cover the frame in a grid"


def _size_faults(keys: Sequence[str], sizes: Sequence[Size], header: Header) -> Iterator[str]:
    for row, (key, size) in enumerate(zip(keys, sizes, strict=True)):
        if not all(1 <= side <= whole for side, whole in zip(size, header.crop, strict=True)):
            yield f"crop {row} ({key}) has size {size}; the limit is {header.crop}"
        if row and keys[row - 1] == key:
            yield f"{key} is padded and has more than one crop"


def _covers(places: Sequence[int], side: int) -> bool:
    """Return whether crops of this side at these places cover a frame along one axis."""
    return places[0] == 0 and all(after - before <= side for before, after in itertools.pairwise(places))
