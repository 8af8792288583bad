"""Free photographs to train weights on: credits, those that are kept for scores, softer copies and collages."""

import csv
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from pipelines import collage
from pipelines.errors import DataError
from prep import parallel
from prep.io import files, frames, photographs
from prep.io.frames import to_rgb8

SOURCES = "SOURCES.csv"  # in the folder of photographs; columns: file,source,author,licence
# Photographs that are never trained on; they serve for scores and for example pictures.
HELD_OUT = ("kodim05", "kodim08", "kodim15", "kodim19", "kodim23", "life", "wine", "astronaut", "coffee")

SIZE = (384, 480)  # height, width of the frames
COLLAGES = 116  # collages of pieces of the photographs; a network would memorise the thirty or so photographs alone
# Factor of enlargement. Sharp frames of a video are softer than photographs; a network that is trained on photographs
# alone takes this softness for blur.
SOFTENED = 1.5


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A photograph that the recipe uses."""

    file: str
    source: str
    author: str
    licence: str

    @property
    def is_held_out(self) -> bool:
        """Whether the photograph is never trained on."""
        return Path(self.file).stem in HELD_OUT


_OF_SCIKIT_IMAGE = {
    "camera": ("Lav Varshney", "CC0"),
    "rocket": ("SpaceX", "public domain"),
    "astronaut": ("NASA", "public domain"),
    "coffee": ("Rachel Michetti", "CC0"),
}


def gather(folder: Path, out: Path) -> list[Picture]:
    """Copy the photographs into the folders ``train`` and ``test`` in ``out``.

    The folder ``train`` also gets ``NAME-soft.png`` for each photograph, which is the photograph enlarged by
    ``SOFTENED``, and ``COLLAGES`` collages of all its photographs.

    Raises:
        DataError: If the folder contains no photograph, one that SOURCES.csv does not list, or one smaller than
            ``SIZE``.
        ReadError: If a photograph cannot be read.
    """
    named = _read_sources(folder)
    paths = sorted(path for path in folder.iterdir() if photographs.is_photo(path))
    if not paths:
        raise DataError(f"{folder} contains no photographs; pass --photographs with a folder of pictures")
    if unknown := [path.name for path in paths if path.name not in named]:
        raise DataError(
            f"{folder / SOURCES} does not name {', '.join(unknown[:3])}; add a line file,source,author,licence for "
            "each picture: weights are shared with their credits"
        )
    for path in paths:
        height, width = photographs.read(path).pixels.shape[:2]
        if height < SIZE[0] or width < SIZE[1]:
            raise DataError(
                f"{path} is {width} x {height} pixels; the smallest size is {SIZE[1]} x {SIZE[0]}; "
                "move it out of the folder"
            )
    pictures = [named[path.name] for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        _copy(path, _place(out, picture))
    for name, (author, licence) in _OF_SCIKIT_IMAGE.items():
        picture = Picture(file=f"{name}.png", source="scikit-image", author=author, licence=licence)
        if not _place(out, picture).exists():
            frames.write(_place(out, picture), to_rgb8(getattr(data, name)()))
        pictures.append(picture)
    trained_on = [_place(out, picture) for picture in pictures if not picture.is_held_out]
    for path in trained_on:
        _soften(path)
    _make_collages(trained_on, out / "train")
    return pictures


def _place(out: Path, picture: Picture) -> Path:
    return out / ("test" if picture.is_held_out else "train") / picture.file


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(target) as part:
            shutil.copyfile(source, part)


def _soften(path: Path) -> None:
    target = path.with_name(f"{path.stem}-soft.png")
    if not target.exists():
        pixels = to_rgb8(photographs.read(path).pixels)
        soft = cv2.resize(pixels, None, fx=SOFTENED, fy=SOFTENED, interpolation=cv2.INTER_CUBIC)
        frames.write(target, np.asarray(soft, np.uint8))


def _make_collages(sources: Sequence[Path], folder: Path) -> None:
    paths = [folder / f"collage-{number:03d}.png" for number in range(COLLAGES)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    pictures = [to_rgb8(photographs.read(source).pixels) for source in sources] if missing else []

    def make(number: int) -> None:
        frames.write(paths[number], collage.make(pictures, np.random.default_rng(number)))

    deque(parallel.in_threads(missing, make, jobs=-1, ahead=1), maxlen=0)


def _read_sources(folder: Path) -> dict[str, Picture]:
    path = folder / SOURCES
    if not path.exists():
        raise DataError(f"{path} does not exist; write it: file,source,author,licence, one line per picture")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [field.name for field in fields(Picture)]
    try:
        pictures = {row["file"]: Picture(**{name: row[name] for name in names}) for row in rows}
    except KeyError as error:
        raise DataError(f"{path} has no column {error}; the columns are file, source, author, licence") from error
    for picture in pictures.values():
        if empty := [name for name, value in asdict(picture).items() if not (value or "").strip()]:
            raise DataError(f"{path} gives no {' and no '.join(empty)} of {picture.file or 'a picture'}; add it")
    return pictures
