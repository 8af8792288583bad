"""The review: a page on which a person checks masks, as files by name, to be written to a folder or served.

``index.html`` and its styles and scripts; ``frames.js``, what is known of all frames; ``thumbs/N.js``, frame N small;
``frames/N.js``, its maps at full size, and ``frames/N-blurry.jpg``, ``frames/N-sharp.jpg``. All data come as scripts,
because a browser loads nothing else beside a page that it opened from a disk.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
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
from prep.errors import MaskError
from prep.io import files, frames
from prep.masks.folder import MaskRecord, MasksFolder

SCRIPTS = ("maps.js", "loading.js", "verdicts.js", "grid.js", "large.js", "main.js", "frames.js")
INDEX = "index.html"
_PAGE = Path(__file__).parent / "page"
_THUMB_WIDTH, _SMALL_MAP_WIDTH = 256, 72  # pixels
_THUMB_QUALITY, _QUALITY = 80, 95  # of a JPEG; at 95 no block can be taken for blur
_MARK = ".cdg-view"  # in a page's folder from its first file on
_GENERATOR = b'content="cdg-prep view"'  # how a page of ours is told from any other file

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".jpg": "image/jpeg"}


@dataclass(frozen=True, kw_only=True)
class Maps:
    """One masks folder."""

    folder: MasksFolder
    method: str
    mu: float
    rows: Mapping[str, MaskRecord]  # those whose mask is done, by key


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the review shows."""

    name: str  # of the data set
    pairs: Sequence[Pair]  # with a mask in the first folder, in the order of the page
    maps: Sequence[Maps]
    verdicts: Path  # where they are kept
    is_served: bool


def open_maps(folder: Path) -> Maps:
    """Read what a masks folder holds.

    Raises:
        MaskError: If it holds no mask, or masks of several thresholds.
    """
    masks = MasksFolder(folder)
    rows = {key: record for key, record in masks.records.items() if record.mu is not None}
    mus = masks.mus(rows)
    if not mus:
        raise MaskError(f"{folder} holds no masks; make them with cdg-prep masks, or pass --masks")
    if len(mus) > 1:
        held = ", ".join(f"{mu:g}" for mu in mus)
        raise MaskError(f"{folder} holds masks of mu {held}; wanted one mu; run cdg-prep masks --mu")
    return Maps(folder=masks, method=next(iter(rows.values())).recipe.method, mu=mus[0], rows=rows)


def ready(pairs: Sequence[Pair], maps: Maps) -> list[Pair]:
    """Those of ``pairs`` whose mask is done.

    Raises:
        MaskError: If there is none.
    """
    found = [pair for pair in pairs if pair.key in maps.rows]
    if not found:
        raise MaskError(f"{maps.folder.path} holds none of {len(pairs)} masks asked for; run cdg-prep masks")
    return found


def names(site: Site) -> list[str]:
    """Every file of the review, the page last: where it is, all is."""
    each = ("thumbs/{}.js", "frames/{}.js", "frames/{}-blurry.jpg", "frames/{}-sharp.jpg")
    numbered = [name.format(number) for number in range(len(site.pairs)) for name in each]
    return [*numbered, "look.css", "review.css", *SCRIPTS, INDEX]


def content(site: Site, name: str) -> bytes | None:
    """A file of the review by its name; None where there is none such.

    Raises:
        FrameError, ReadError: If a frame or its map cannot be read.
    """
    if name == INDEX:
        return _index(site).encode()
    if name == "frames.js":
        return _script("open", _known(site))
    if name == "look.css":
        return templates().get_template("look.css.j2").render().encode()
    if name == "review.css" or name in SCRIPTS:
        return (_PAGE / name).read_bytes()
    folder, _, rest = name.partition("/")
    number = rest.partition(".")[0].partition("-")[0]
    if not (number.isdecimal() and number == str(int(number)) and int(number) < len(site.pairs)):
        return None
    makers = {"thumbs/#.js": _thumb, "frames/#.js": _maps, "frames/#-blurry.jpg": _blurry, "frames/#-sharp.jpg": _sharp}
    maker = makers.get(f"{folder}/#{rest[len(number) :]}")
    return maker(site, int(number)) if maker else None


def write(site: Site, folder: Path, jobs: int) -> Iterator[str]:
    """Write the review into a folder in several threads, giving each name as it is written; earlier files are replaced.

    Raises:
        MaskError: If the folder holds files but no review of ours.
        FrameError, ReadError: If a frame or its map cannot be read.
    """
    if folder.is_file():
        raise MaskError(f"{folder} is a file; pass --out with a folder")
    if folder.exists() and any(folder.iterdir()) and not _is_ours(folder):
        raise MaskError(f"{folder} holds files but no page of ours; pass --out with another name")
    files.write_bytes(folder / _MARK, b"written by cdg-prep view\n")  # a page that was not finished is ours too

    def one(name: str) -> str:
        data = content(site, name)
        assert data is not None
        files.write_bytes(folder / name, data)
        return name

    *parts, index = names(site)
    yield from parallel.in_threads(parts, one, jobs, ahead=16)
    yield one(index)


def _is_ours(folder: Path) -> bool:
    page = folder / INDEX
    return (folder / _MARK).exists() or (page.exists() and _GENERATOR in page.read_bytes()[:4096])


def _index(site: Site) -> str:
    made = ", ".join(f"{maps.method} at mu {maps.mu:g}" for maps in site.maps)
    page = templates(_PAGE).get_template("index.html.j2")
    return page.render(name=site.name, about=f"{len(site.pairs):,} frames; {made}", scripts=SCRIPTS)


def _known(site: Site) -> dict[str, Any]:
    """What the page knows of all frames from the start."""
    first = site.maps[0]
    mark = zlib.crc32(f"{first.folder.path.resolve()} {first.method}".encode())
    scale = pictures.colour(np.arange(0, 65536, 65536 // pictures.SCALE_STEPS, dtype=np.uint16)[None])
    height, width = first.folder.read_sharpness(site.pairs[0].key).shape
    return {
        "aspect": width / height,
        "id": f"{site.name} {mark:08x}",  # of the masks, whichever of their frames are shown
        "since": site.verdicts.stat().st_mtime * 1000
        if site.verdicts.exists()
        else 0,  # milliseconds, as in JavaScript
        "served": site.is_served,
        "scale": base64.b64encode(scale.tobytes()).decode("ascii"),
        "methods": [{"method": maps.method, "mu": maps.mu, "folder": str(maps.folder.path)} for maps in site.maps],
        "verdicts": {key: verdict.as_json() for key, verdict in verdicts.read(site.verdicts).items()},
        "frames": [_known_frame(pair, site.maps) for pair in site.pairs],
    }


def _known_frame(pair: Pair, maps: Sequence[Maps]) -> dict[str, Any]:
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


def _thumb(site: Site, number: int) -> bytes:
    pair = site.pairs[number]
    blurry = frames.read(pair.blurry)
    height, width = pictures.fitted(blurry.shape, _SMALL_MAP_WIDTH)
    small = [None if codes is None else _resized(codes, height, width) for codes in _codes(site, pair)]
    coded = [None if codes is None else base64.b64encode(codes.astype("<u2").tobytes()).decode() for codes in small]
    image = base64.b64encode(pictures.jpeg(pictures.shrink(blurry, _THUMB_WIDTH), _THUMB_QUALITY)).decode()
    given = {"image": f"data:image/jpeg;base64,{image}", "width": width, "height": height, "maps": coded}
    return _script("give", f"thumbs/{number}.js", given)


def _maps(site: Site, number: int) -> bytes:
    found = _codes(site, site.pairs[number])
    height, width = next(codes.shape for codes in found if codes is not None)
    packed = [None if codes is None else pictures.pack_codes(codes) for codes in found]
    return _script("give", f"frames/{number}.js", {"width": width, "height": height, "maps": packed})


def _blurry(site: Site, number: int) -> bytes:
    return _photo(frames.read(site.pairs[number].blurry))


def _sharp(site: Site, number: int) -> bytes:
    return _photo(frames.read(site.pairs[number].sharp))


def _photo(picture: Bytes) -> bytes:
    return pictures.jpeg(picture, _QUALITY)


def _codes(site: Site, pair: Pair) -> list[Codes | None]:
    """S of a frame by each method; None where a folder has none."""
    return [maps.folder.read_sharpness(pair.key) if pair.key in maps.rows else None for maps in site.maps]


def _resized(codes: Codes, height: int, width: int) -> Codes:
    return np.asarray(cv2.resize(codes, (width, height), interpolation=cv2.INTER_AREA), np.uint16)


def _script(call: str, *arguments: Any) -> bytes:
    return f"review.{call}({', '.join(map(json.dumps, arguments))});\n".encode()
