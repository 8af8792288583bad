"""Make blurry/sharp pairs from photographs: the camera shakes, and cut-out pieces of the photograph move in front."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from prep import parallel
from prep.arrays import Bytes, Floats, Size
from prep.errors import ReadError, SynthesisError
from prep.io import files, frames, photographs, storage
from prep.io.folders import files_below
from prep.sharpness.size import SMALLEST
from prep.synthesis import output, recordings, scene
from prep.synthesis.outlines import Segments
from prep.synthesis.recipes import PhotoRecipe
from prep.units import counted

LARGEST: Size = (720, 1280)  # height and width of frames if no size is given, as in GoPro
_PAIRS_A_TASK = 8  # consecutive pairs: the photograph is read and segmented once per task


@dataclass(frozen=True, kw_only=True)
class ShakenPair:
    """A pair and its blur length."""

    blurry: Bytes  # (H, W, 3)
    sharp: Bytes  # (H, W, 3)
    extent: Floats  # (H, W) exact blur length, pixels; NaN where a pixel is covered for part of the exposure


@dataclass(frozen=True, kw_only=True)
class PhotoTask:
    """A photograph to make pairs from, in one process; paths are absolute."""

    path: Path
    name: str  # name of the sequence
    folder: Path  # OUT/SPLIT
    numbers: range  # numbers of the pairs
    recipe: PhotoRecipe


def find(inputs: Sequence[Path]) -> dict[str, Path]:
    """Find photographs: the given files, and all photographs in the given folders and their subfolders.

    Returns:
        Paths by the name of the sequence to make, which comes from the path below the folder.

    Raises:
        SynthesisError: If there are no photographs, or two would get the same name.
    """
    photos: dict[str, Path] = {}
    for place in inputs:
        if not place.exists():
            raise SynthesisError(f"{place} does not exist; use a photograph or a folder of photographs")
        if not place.is_dir() and not photographs.is_photo(place):
            raise SynthesisError(f"{place} is not a photograph; leave it out (or --photos, if it is a video)")
        for path in files_below(place) if place.is_dir() else [place]:
            if path.is_file() and photographs.is_photo(path):
                below = path.relative_to(place).parts[:-1] if place.is_dir() else ()
                name = "-".join([*(part for part in below if part not in ("train", "test")), path.stem])
                name = name.replace("_", "-")
                if not storage.is_text(name):
                    raise SynthesisError(f"the name of {path} is not UTF-8; rename it")
                if name in photos:
                    raise SynthesisError(f"{photos[name]} and {path} would both become sequence {name}; rename one")
                photos[name] = path
    if not photos:
        raise SynthesisError(f"{inputs[0]} contains no photographs; use a photograph or a folder of photographs")
    return photos


def check_sizes(photos: Mapping[str, Path], recipe: PhotoRecipe) -> None:
    """Check from their headers, before any work, that photographs are large enough.

    Raises:
        SynthesisError: If some are too small; the message names the first.
    """
    least = recipe.size or (SMALLEST, SMALLEST)
    small = []
    for path in photos.values():
        with suppress(ReadError):  # an unreadable photograph is reported when its pairs are made
            size = frames.size_of(path)  # not yet rotated in some formats, so compare the sorted sides
            if min(size) < min(least) or max(size) < max(least):
                small.append((path, size))
    if small:
        path, (height, width) = small[0]
        others = f" and {counted(len(small) - 1, 'other photograph')} are" if len(small) > 1 else " is"
        remedy = "use a smaller --size, or leave out" if recipe.size else "leave out"
        raise SynthesisError(
            f"{path} ({width} x {height} pixels){others} smaller than {least[1]} x {least[0]} (width x height); "
            f"{remedy} {'these photographs' if len(small) > 1 else 'this photograph'}"
        )


def make(
    photos: Mapping[str, Path], recipe: PhotoRecipe, out: Path, splits: Mapping[str, str], jobs: int
) -> Iterator[str]:
    """Make the missing pairs, and yield the name of every pair in order.

    Args:
        photos: From ``find``.
        recipe: All settings.
        out: The folder that ``output.begin`` opened.
        splits: The result of ``output.begin``.
        jobs: As in ``parallel.over``.

    Raises:
        SynthesisError: If a photograph is too small.
        ReadError: If a photograph cannot be read.
    """
    tasks = [
        PhotoTask(
            path=path.absolute(),
            name=name,
            folder=(out / (recordings.split_of(path.parent) or splits[name])).absolute(),
            numbers=range(start, min(start + _PAIRS_A_TASK, recipe.count + 1)),
            recipe=recipe,
        )
        for name, path in photos.items()
        for start in range(1, recipe.count + 1, _PAIRS_A_TASK)
    ]
    for names in parallel.over(tasks, _make, jobs, ahead=4):
        yield from names


def _make(task: PhotoTask) -> list[str]:
    _check_photo(task)
    paths = [_blurry_path(task.folder / task.name, number, task.recipe) for number in task.numbers]
    if all(path.exists() for path in paths):
        return [path.stem for path in paths]
    pixels = frames.to_rgb8(recordings.to_rgb(photographs.read(task.path).pixels))
    try:
        written = _write(pixels, task.name, task.folder, task.numbers, task.recipe)
        return [path.stem for path in written]
    except ValueError as error:
        remedy = "use a smaller --size, or leave it out" if task.recipe.size else "leave it out"
        raise SynthesisError(f"{task.path} is {error}; {remedy}") from error


def _check_photo(task: PhotoTask) -> None:
    """Refuse a photograph that has changed since earlier pairs were made; ``OUT/survey/NAME.json`` has its stamp."""
    path = task.folder.parent / "survey" / f"{task.name}.json"
    if not path.exists():
        _, stamp = storage.read_stamped(task.path)
        files.write_text(path, json.dumps(asdict(stamp)) + "\n")
        return
    try:
        stamp = files.as_type(files.read_object(path), storage.FileStamp, path.name)
    except ReadError as error:
        raise SynthesisError(f"{path} is damaged ({error}); remove it, or choose another --out") from error
    if storage.current_stamp(task.path, stamp) is None:
        raise SynthesisError(f"{task.path} has changed since pairs were made from it; choose another --out")


def _blurry_path(folder: Path, number: int, recipe: PhotoRecipe) -> Path:
    return folder / output.variant(recipe.camera) / f"{number:06}.png"


def write_gopro(pictures: Mapping[str, Bytes], out: Path, split: str, recipe: PhotoRecipe) -> Iterator[Path]:
    """Write the pairs of photographs in memory, and yield the path of each blurry frame once it is written.

    Existing pairs are kept; a pair depends only on the recipe, its name and its number.

    Args:
        pictures: Photographs, ``(h, w, 3)`` uint8 RGB, by the name of the sequence.
        out: The data set folder.
        split: Name of the split's folder in ``out``, such as ``train``.
        recipe: All settings.

    Raises:
        ValueError: If a photograph is smaller than the frames.
    """
    for name, photo in pictures.items():
        yield from _write(photo, name, out / split, range(1, recipe.count + 1), recipe)


def _write(photo: Bytes, name: str, folder: Path, numbers: range, recipe: PhotoRecipe) -> Iterator[Path]:
    kind = output.variant(recipe.camera)
    segments: Segments | None = None
    for number in numbers:
        blurry = _blurry_path(folder / name, number, recipe)
        if not blurry.exists():
            if min(photo.shape[:2]) < SMALLEST:
                found = f"{photo.shape[1]} x {photo.shape[0]}"
                raise ValueError(f"{found} pixels, smaller than the least size of {SMALLEST} x {SMALLEST}")
            segments = segments or Segments(photo)
            pair = shake(photo, segments, recipe, [recipe.seed, zlib.crc32(name.encode()), number])
            output.write_pair(folder / name, blurry.stem, kind, pair.blurry, pair.sharp, pair.extent)
        yield blurry


def shake(photo: Bytes, segments: Segments, recipe: PhotoRecipe, seed: Sequence[int]) -> ShakenPair:
    """Make one pair from a photograph: the camera shakes, and pieces move in front.

    Args:
        photo: ``(h, w, 3)`` uint8 RGB.
        segments: The photograph's segments.
        recipe: All settings; ``count`` and ``seed`` are not used.
        seed: Random seed. Motion and camera are drawn separately, so every camera gets the same motion.

    Raises:
        ValueError: If the photograph is smaller than the frames.
    """
    size = recipe.size or (min(LARGEST[0], photo.shape[0]), min(LARGEST[1], photo.shape[1]))
    of_motion, of_camera = (np.random.default_rng([*seed, what]) for what in (0, 1))
    setting = recipe.camera.draw(of_camera)
    things = int(of_motion.integers(recipe.things[0], recipe.things[1] + 1))
    layers = scene.compose(
        photo, segments, size, setting, of_motion, hand=recipe.hand, thing=recipe.thing, things=things
    )
    exposed = scene.expose(layers, size)
    return ShakenPair(
        blurry=setting.photograph(exposed.blurry, of_camera),
        sharp=setting.photograph(exposed.sharp, of_camera if recipe.camera.noisy_sharp else None),
        extent=exposed.extent,
    )
