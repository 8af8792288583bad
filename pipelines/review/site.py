"""Make the files of the review page, on which a person checks masks; they are written to a folder or served.

The files are ``index.html`` with its styles and scripts, ``frames.js`` with facts about all frames, and for each frame
N ``thumbs/N.js`` with a small frame and small maps, ``frames/N.js`` with maps at full size, ``frames/N-blurry.jpg`` and
``frames/N-sharp.jpg``. All other data are scripts, because a page that is opened from disk cannot load other data.
"""

import base64
import json
import shlex
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from pipelines.pages import pictures
from pipelines.pages.templates import templates
from pipelines.review import verdicts
from prep import parallel
from prep.arrays import Bytes, Codes
from prep.datasets.layouts import Pair
from prep.errors import MaskError, ReadError
from prep.io import files, frames
from prep.masks.folder import MaskRecord, MasksFolder
from prep.units import counted

SCRIPTS = ("maps.js", "loading.js", "verdicts.js", "grid.js", "modes.js", "large.js", "main.js", "frames.js")
INDEX = "index.html"
_PAGE = Path(__file__).parent / "page"
_THUMB_WIDTH, _SMALL_MAP_WIDTH = 256, 72  # pixels
_THUMB_QUALITY, _QUALITY = 80, 95  # JPEG quality; at 95 no compression block can be mistaken for blur
_MARKER = ".cdg-view"  # written first; contains the names of the files that may be replaced
_GENERATOR = b'content="cdg-prep view"'  # identifies the page; no other file contains it

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".jpg": "image/jpeg"}


@dataclass(frozen=True, kw_only=True)
class SharpnessMaps:
    """Sharpness maps of one masks folder."""

    folder: MasksFolder
    method: str
    mu: float
    rows: Mapping[str, MaskRecord]  # records of the frames that have a mask, by key


@dataclass(frozen=True, kw_only=True)
class Review:
    """Content of the page."""

    name: str  # name of the data set
    pairs: Sequence[Pair]  # pairs with a mask in the first folder, in the order of the page
    maps: Sequence[SharpnessMaps]
    verdicts: Path  # file of verdicts
    is_served: bool


def open_maps(folder: Path, pairs: Sequence[Pair]) -> SharpnessMaps:
    """Read the records of ``pairs`` in a masks folder; if there are none, the error suggests other folders.

    Raises:
        MaskError: If none of the pairs has a mask, or their masks have several thresholds.
    """
    masks = MasksFolder(folder)
    keys = {pair.key for pair in pairs}
    rows = {key: record for key, record in masks.records.items() if record.mu is not None and key in keys}
    mus = masks.mus(rows)
    if not mus:
        others = [f"--masks {shlex.quote(str(other))}" for other in folders_beside(folder, pairs)]
        remedy = f"use {' or '.join(others)}" if others else "choose another folder with --masks"
        found = "contains no masks of these frames" if folder.exists() else "does not exist"
        raise MaskError(f"{folder} {found}; make them with cdg-prep masks, or {remedy}")
    if len(mus) > 1:
        listed = ", ".join(f"{mu:g}" for mu in mus)
        raise MaskError(f"{folder} contains masks of mu = {listed}; give all the same mu with cdg-prep masks --mu MU")
    return SharpnessMaps(folder=masks, method=next(iter(rows.values())).recipe.method, mu=mus[0], rows=rows)


def folders_beside(folder: Path, pairs: Sequence[Pair]) -> list[Path]:
    """Return other masks folders in the same place that have masks of some of ``pairs``, without damaged ones."""
    found = []
    for path in sorted(log.parent for log in folder.parent.glob("*/masks.jsonl")):
        with suppress(MaskError):
            if path != folder and MasksFolder(path).mus(pair.key for pair in pairs):
                found.append(path)
    return found


def pairs_with_masks(pairs: Sequence[Pair], maps: SharpnessMaps) -> list[Pair]:
    """Return the pairs that have a mask.

    Raises:
        MaskError: If no pair has a mask.
    """
    masked = [pair for pair in pairs if pair.key in maps.rows]
    if not masked:
        raise MaskError(
            f"{maps.folder.path} has no mask for any of these {counted(len(pairs), 'frame')}; run cdg-prep masks"
        )
    return masked


def file_names(review: Review) -> list[str]:
    """Return the names of all files of the review; the page comes last, so that it proves a complete folder."""
    of_frame = ("thumbs/{}.js", "frames/{}.js", "frames/{}-blurry.jpg", "frames/{}-sharp.jpg")
    numbered = [name.format(number) for number in range(len(review.pairs)) for name in of_frame]
    return [*numbered, "look.css", "review.css", *SCRIPTS, INDEX]


def file_content(review: Review, name: str) -> bytes | None:
    """Return the content of a file of the review by its name; None for any other name.

    Raises:
        FrameError, ReadError: If a frame or its map cannot be read.
    """
    if name == INDEX:
        return files.encoded(_page(review))
    if name == "frames.js":
        return _script("open", _facts(review))
    if name == "look.css":
        return templates().get_template("look.css.j2").render().encode()
    if name == "review.css" or name in SCRIPTS:
        return (_PAGE / name).read_bytes()
    folder, _, rest = name.partition("/")
    number = rest.partition(".")[0].partition("-")[0]
    is_number = number.isdecimal() and len(number) < 10 and number == str(int(number))
    if not (is_number and int(number) < len(review.pairs)):
        return None
    make = _CONTENT_OF_FRAME.get(f"{folder}/#{rest[len(number) :]}")
    return make(review, int(number)) if make else None


def write_folder(review: Review, folder: Path, jobs: int) -> Iterator[str]:
    """Write the review into a folder in ``jobs`` threads; yield each name once written, overwrite earlier files.

    Raises:
        MaskError: If the folder contains files but no review page, or a file of the user's own would be replaced.
        FrameError, ReadError: If a frame or its map cannot be read.
    """
    if folder.is_file():
        raise MaskError(f"{folder} is a file; choose a folder for --out")
    if files.holds_others(folder) and not _is_ours(folder):
        raise MaskError(f"{folder} contains other files, but no page of cdg-prep view; choose another --out")
    names = set(file_names(review))
    if own := _names_written(folder):
        foreign = next((name for name in sorted(names - own) if (folder / name).exists()), None)
        if foreign:
            raise MaskError(
                f"{folder / foreign} would be replaced, but cdg-prep view did not write it; move it away, or "
                "choose another --out"
            )
    marker = {"written_by": "cdg-prep view", "names": sorted(names | own)}
    files.write_text(folder / _MARKER, json.dumps(marker) + "\n")

    def write_file(name: str) -> str:
        data = file_content(review, name)
        assert data is not None
        files.write_bytes(folder / name, data)
        return name

    *others, index = file_names(review)
    yield from parallel.in_threads(others, write_file, jobs, ahead=16)
    yield write_file(index)


def _is_ours(folder: Path) -> bool:
    page = folder / INDEX
    return (folder / _MARKER).exists() or (page.exists() and _GENERATOR in page.read_bytes()[:4096])


def _names_written(folder: Path) -> set[str]:
    """Return the file names of an earlier page; empty if there is no page, or if it did not store them."""
    try:
        return set(files.as_type(files.read_object(folder / _MARKER).get("names"), list[str], _MARKER))
    except (OSError, ReadError):
        return set()


def _page(review: Review) -> str:
    methods = " and ".join(f"{maps.method} at mu = {maps.mu:g}" for maps in review.maps)
    page = templates(_PAGE).get_template("index.html.j2")
    return page.render(
        name=review.name, about=f"{counted(len(review.pairs), 'frame')}; masks by {methods}", scripts=SCRIPTS
    )


def _facts(review: Review) -> dict[str, Any]:
    """Return facts about all frames, which the page loads when it opens."""
    first = review.maps[0]
    checksum = zlib.crc32(files.encoded(f"{first.folder.path.resolve()} {first.method}"))
    scale = pictures.colour(np.arange(0, 65536, 65536 // pictures.SCALE_STEPS, dtype=np.uint16)[None])
    height, width = first.folder.read_sharpness(review.pairs[0].key).shape
    return {
        "aspect": width / height,
        "id": f"{review.name} {checksum:08x}",  # identifies the masks, no matter which of their frames are shown
        "since": verdicts.modified(review.verdicts) * 1000,  # milliseconds, as in JavaScript
        "served": review.is_served,
        "scale": base64.b64encode(scale.tobytes()).decode("ascii"),
        "methods": [{"method": maps.method, "mu": maps.mu, "folder": str(maps.folder.path)} for maps in review.maps],
        "verdicts": {key: verdict.as_json() for key, verdict in verdicts.read(review.verdicts).items()},
        "frames": [_frame_facts(pair, review.maps) for pair in review.pairs],
    }


def _frame_facts(pair: Pair, maps: Sequence[SharpnessMaps]) -> dict[str, Any]:
    rows = [each.rows.get(pair.key) for each in maps]
    parent = PurePosixPath(pair.key).parent.as_posix()
    return {
        "key": pair.key,
        "name": PurePosixPath(pair.key).name,
        "sequence": "" if parent == "." else parent,
        "split": pair.split,
        "warnings": [row.warning if row else "" for row in rows],
        "shares": [row.shares if row else None for row in rows],
        "tops": [{"top": row.sharpness_max, "share": row.top_share} if row else None for row in rows],
    }


def _thumb(review: Review, number: int) -> bytes:
    pair = review.pairs[number]
    blurry = frames.read(pair.blurry)
    height, width = pictures.fitted(blurry.shape, _SMALL_MAP_WIDTH)
    small = [None if codes is None else _resized(codes, height, width) for codes in _codes(review, pair)]
    encoded = [None if codes is None else base64.b64encode(codes.astype("<u2").tobytes()).decode() for codes in small]
    image = base64.b64encode(pictures.jpeg(pictures.shrink(blurry, _THUMB_WIDTH), _THUMB_QUALITY)).decode()
    thumb = {"image": f"data:image/jpeg;base64,{image}", "width": width, "height": height, "maps": encoded}
    return _script("give", f"thumbs/{number}.js", thumb)


def _maps(review: Review, number: int) -> bytes:
    maps = _codes(review, review.pairs[number])
    height, width = next(codes.shape for codes in maps if codes is not None)
    packed = [None if codes is None else pictures.pack_codes(codes) for codes in maps]
    return _script("give", f"frames/{number}.js", {"width": width, "height": height, "maps": packed})


def _blurry(review: Review, number: int) -> bytes:
    return _photo(frames.read(review.pairs[number].blurry))


def _sharp(review: Review, number: int) -> bytes:
    return _photo(frames.read(review.pairs[number].sharp))


def _photo(picture: Bytes) -> bytes:
    return pictures.jpeg(picture, _QUALITY)


def _codes(review: Review, pair: Pair) -> list[Codes | None]:
    """Return S of a frame from each masks folder; None for a folder without a mask of the frame."""
    return [maps.folder.read_sharpness(pair.key) if pair.key in maps.rows else None for maps in review.maps]


def _resized(codes: Codes, height: int, width: int) -> Codes:
    return np.asarray(cv2.resize(codes, (width, height), interpolation=cv2.INTER_AREA), np.uint16)


def _script(call: str, *arguments: Any) -> bytes:
    return f"review.{call}({', '.join(map(json.dumps, arguments))});\n".encode()


_CONTENT_OF_FRAME = {  # file name with # for the frame's number -> function that makes the content
    "thumbs/#.js": _thumb,
    "frames/#.js": _maps,
    "frames/#-blurry.jpg": _blurry,
    "frames/#-sharp.jpg": _sharp,
}
