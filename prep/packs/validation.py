"""What an HDF5 file must be to be read as a pack: checked once, on opening, before any of its data are read.

A pack may come from anywhere. Nothing outside the file is touched, and no memory is taken that the file's own size does
not warrant.
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

HDF5_ERRORS = (OSError, KeyError, RuntimeError, TypeError, ValueError)  # what h5py raises of a damaged file
_LARGEST_RATIO = 1100  # of deflate, which shrinks zeros to a 1032nd
_HARMLESS_FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)  # that change no size
_LARGEST_CHUNK = 2**28  # bytes: HDF5 takes so much memory to read any part of one


def check(file: h5py.File, path: Path, *, is_known: bool = False) -> Header:
    """Check format, version, attributes and the form of all data sets; gives the header.

    Args:
        file: Opened for reading.
        path: Of it.
        is_known: Leave out what takes long in a large pack, because it was checked before.

    Raises:
        PackError: At the first that is not as it must be.
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
        raise PackError(f"{path} is an HDF5 file but no pack; make one with cdg-prep pack")
    version = file.attrs.get("version")
    if not _is_whole(version) or version not in (1, 2):
        raise PackError(f"{path} is a pack of version {_shown(version)}; this tool reads 1 and 2; pack it again")
    for name, (wanted, is_right) in _ATTRIBUTES.items():
        value = file.attrs.get(name)
        if not is_right(value) and not (value is None and name in layout.LATER_ATTRIBUTES):
            raise PackError(f"{path}: attribute {name} is {_shown(value)}; wanted {wanted}; pack it again")
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
        raise PackError(f"{path} holds data sets of unequal length or none ({lengths}); pack it again")
    for name, column in columns.items():
        if _promised(file[name]) > _most_bytes(file[name], path, column):
            raise PackError(f"{path}: {name} claims {_promised(file[name]):,} bytes, which the file does not hold")
    return header


def _shown(value: Any) -> str:
    """A value of any kind in a few words."""
    return "not there" if value is None else " ".join(repr(getattr(value, "tolist", lambda: value)()).split())[:80]


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


_TEXT, _SHARE, _FLAG = ("a text", _is_text), ("a number in [0, 1]", _is_share), ("true or false", _is_flag)
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
    """What is wrong with the form of a data set; empty where nothing is. Follows no link."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return "is a link to another place; wanted the data themselves"
    if file.get(name, getclass=True) is not h5py.Dataset:
        return "is no data set"
    data = file[name]
    created = data.id.get_create_plist()
    if created.get_external_count() or created.get_layout() == h5py.h5d.VIRTUAL:
        return "lies in another file; wanted the data themselves"
    filters = [created.get_filter(place)[0] for place in range(created.get_nfilters())]
    if len([each for each in filters if each not in _HARMLESS_FILTERS]) > 1:
        return "is compressed twice"
    if data.chunks and (size := math.prod(data.chunks) * data.dtype.itemsize) > _LARGEST_CHUNK:
        return f"lies in chunks of {size:,} bytes; wanted at most {_LARGEST_CHUNK:,}"
    text = h5py.check_string_dtype(data.dtype)
    is_type = data.dtype == column.dtype and (text is None or (text.encoding, text.length) == ("utf-8", None))
    if data.shape is None or data.shape[1:] != column.shape or data.ndim != 1 + len(column.shape) or not is_type:
        shape = ("N", *column.shape)
        return f"holds {data.dtype} of shape {data.shape}; wanted {column.dtype} of ({', '.join(map(str, shape))})"
    return ""


def _chunk_fault(data: h5py.Dataset) -> str:
    """What is wrong with the sizes of compressed chunks: one that is stored larger than it is unpacks to anything."""
    if not (data.chunks and data.id.get_create_plist().get_nfilters()):
        return ""
    size = math.prod(data.chunks) * data.dtype.itemsize
    stored: list[int] = []
    data.id.chunk_iter(lambda chunk: stored.append(chunk.size))
    if stored and max(stored) > 1.1 * size + 1024:
        return f"has a chunk of {size:,} bytes that takes {max(stored):,}"
    return ""


def _promised(data: h5py.Dataset) -> int:
    """Bytes of a data set, if it is stored as its shape says."""
    return int(math.prod(data.shape) * data.dtype.itemsize)


def _most_bytes(data: h5py.Dataset, path: Path, column: layout.Column) -> int:
    """The most bytes that can be in what is stored of a data set. Of pictures only the file is asked, which is fast."""
    stored = path.stat().st_size if math.prod(column.shape) > 2 else data.id.get_storage_size()
    return int(stored) * (_LARGEST_RATIO if data.id.get_create_plist().get_nfilters() else 1)


def check_index(
    path: Path, keys: Sequence[str], origins: Sequence[Origin], sizes: Sequence[Size], header: Header
) -> None:
    """Check that each frame stands in the pack once, in crops that cover it, or padded as one.

    Raises:
        PackError: At the first that does not.
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
            yield f"crop {rows[0]} has {key!r} for the name of its frame; wanted sequence/name"
        if key in seen:
            yield f"{key} stands in the pack twice"
        seen.add(key)
        corners = [origins[row] for row in rows]
        places = [sorted(set(along)) for along in zip(*corners, strict=True)]
        if corners != list(itertools.product(*places)) or not all(map(_covers, places, crop)):
            yield f"crops {rows[0]} to {rows[-1]} ({key}) are no whole grid"


def _size_faults(keys: Sequence[str], sizes: Sequence[Size], header: Header) -> Iterator[str]:
    for row, (key, size) in enumerate(zip(keys, sizes, strict=True)):
        if not all(1 <= side <= whole for side, whole in zip(size, header.crop, strict=True)):
            yield f"crop {row} ({key}) has size {size}; wanted at most {header.crop}"
        if row and keys[row - 1] == key:
            yield f"{key} is padded and stands in more than one crop"


def _covers(places: Sequence[int], side: int) -> bool:
    """Whether crops of a side cover a frame along one axis."""
    return places[0] == 0 and all(after - before <= side for before, after in itertools.pairwise(places))
