"""Photographs -> blurry and sharp pairs: each is shaken before a camera, a region of it by itself."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prep import parallel
from prep.arrays import Bytes
from prep.errors import SynthesisError
from prep.io import frames, photographs
from prep.synthesis import motion, output, recordings
from prep.synthesis.recipes import PhotoRecipe


@dataclass(frozen=True, kw_only=True)
class PhotoTask:
    """A photograph to make pairs of, in one process; paths are absolute."""

    path: Path
    name: str  # of the sequence
    folder: Path  # OUT/SPLIT
    recipe: PhotoRecipe


def find(inputs: Sequence[Path]) -> dict[str, Path]:
    """Photographs, there or anywhere below, by the name of the sequence that is made of each: the path below.

    Raises:
        SynthesisError: If there are none, or two share a name.
    """
    photos: dict[str, Path] = {}
    for place in inputs:
        if not place.exists():
            raise SynthesisError(f"{place} is not there; pass a photograph, or a folder of photographs")
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and photographs.is_photo(path):
                below = path.relative_to(place).parts[:-1] if place.is_dir() else ()
                name = "-".join([*(part for part in below if part not in ("train", "test")), path.stem])
                name = name.replace("_", "-")
                if name in photos:
                    raise SynthesisError(f"{photos[name]} and {path} would share one name; rename one of them")
                photos[name] = path
    if not photos:
        raise SynthesisError(f"{inputs[0]} holds no photograph; pass a photograph, or a folder of photographs")
    return photos


def make(
    photos: Mapping[str, Path], recipe: PhotoRecipe, out: Path, splits: Mapping[str, str], jobs: int
) -> Iterator[str]:
    """Make the pairs of photographs that are not there, and give every pair's name in order.

    Args:
        photos: From ``find``.
        recipe: How.
        out: The folder that ``output.begin`` opened.
        splits: From it too.
        jobs: As in ``parallel.over``.

    Raises:
        SynthesisError: If a photograph is too small.
        ReadError: If one cannot be read.
    """
    tasks = [
        PhotoTask(
            path=path.absolute(),
            name=name,
            folder=(out / (recordings.split_of(path.parent) or splits[name])).absolute(),
            recipe=recipe,
        )
        for name, path in photos.items()
    ]
    for names in parallel.over(tasks, _make, jobs, ahead=4):
        yield from names


def _make(task: PhotoTask) -> list[str]:
    pixels = frames.to_rgb8(recordings.to_rgb(photographs.read(task.path).pixels))
    try:
        written = write_gopro({task.name: pixels}, task.folder.parent, task.folder.name, task.recipe)
        return [path.stem for path in written]
    except ValueError as error:
        raise SynthesisError(f"{task.path}: {error}; pass a smaller --size, or leave it out") from error


def write_gopro(pictures: Mapping[str, Bytes], out: Path, split: str, recipe: PhotoRecipe) -> Iterator[Path]:
    """Write the pairs of photographs at hand, giving each blurry frame's path once written.

    Pairs that are there are left as they are; each depends on the recipe, its name and number alone.

    Args:
        pictures: ``(h, w, 3)`` uint8 RGB by the sequence's name.
        out: Above the split.
        split: Its name.
        recipe: How.

    Raises:
        ValueError: If a photograph is smaller than the frames asked for.
    """
    kind = output.variant(recipe.exposure)
    for name, photo in pictures.items():
        for number in range(1, recipe.count + 1):
            blurry = out / split / name / kind / f"{number:06}.png"
            if not blurry.exists():
                shaken = motion.shake(
                    photo,
                    recipe.size,
                    np.random.default_rng([recipe.seed, zlib.crc32(name.encode()), number]),
                    camera=recipe.camera,
                    region=recipe.region,
                    exposure=recipe.exposure,
                )
                output.write_pair(out / split / name, blurry.stem, kind, shaken.blurry, shaken.sharp, shaken.extent)
            yield blurry
