"""Recordings at a high rate, or photographs -> blurry and sharp pairs in GoPro's layout, with the extent of the blur.

``OUT/{train,test}/SEQUENCE/{blur or blur_gamma,sharp,extent}/NUMBER.png``, the number that of the middle frame, and as
in the original a ``frames N offset M.txt`` that says which frames were averaged. ``OUT/synthesis.json`` says how. A
pair is there when its blurry frame is, which is written last: the same call goes on where it was killed.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prep import parallel
from prep.arrays import Bytes, Codes, Floats, Size
from prep.datasets import layouts
from prep.errors import SynthesisError
from prep.io import extents, files, frames, photographs
from prep.synthesis import flow, motion, recordings
from prep.synthesis.exposure import GAMMA, PLAIN, Exposure
from prep.synthesis.motion import Stroke
from prep.synthesis.recordings import Recording, Survey

_FORMAT, _VERSION = "cdgnet-synthesis", 1
_TOGETHER = 4  # windows behind each other that one process makes: frames they share are read once


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How pairs are made of recordings.

    Attributes:
        shortest, longest: Frames of a window; odd numbers between them are drawn for each.
        stride: Frames from the first of a window to the first of the next; None: windows lie end to end.
        exposure: How they are averaged.
        limit: Frames are interpolated where something goes further than so many pixels between two; None: never.
        seed: Decides what is drawn.
    """

    shortest: int = 7
    longest: int = 13
    stride: int | None = None
    exposure: Exposure = PLAIN
    limit: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shortest < 3 or self.shortest > self.longest or not self.lengths:
            raise SynthesisError(
                f"a window of {self.shortest} to {self.longest} frames has no middle one; pass odd numbers, as 7-13"
            )

    @property
    def lengths(self) -> range:
        """Of windows: the odd numbers, which have a middle frame."""
        return range(self.shortest + (self.shortest + 1) % 2, self.longest + 1, 2)


@dataclass(frozen=True, kw_only=True)
class PhotoRecipe:
    """How pairs are made of photographs."""

    count: int  # pairs a photograph
    size: Size
    camera: Stroke
    region: Stroke
    exposure: Exposure = PLAIN
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Window:
    """Frames that become one pair."""

    name: str  # of the pair's files
    frames: tuple[int, ...]  # places in the recording


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One sequence to make."""

    recording: Recording
    survey: Survey
    folder: Path  # OUT/SPLIT/SEQUENCE
    windows: Sequence[Window]


def variant(exposure: Exposure) -> str:
    """GoPro's name of the folder for blurry frames of an exposure."""
    return "blur_gamma" if exposure.response == GAMMA else "blur"


def begin(out: Path, recipe: Recipe | PhotoRecipe, names: Sequence[str], test_share: float) -> dict[str, str]:
    """Open an output folder; gives the split of each of ``names``, sequences that no folder says a split of.

    Sequences of one source, as GoPro's ``GOPR0372_07_00`` and ``GOPR0372_07_01``, share a split. What an earlier call
    decided stays.

    Raises:
        SynthesisError: If the folder holds something else, or pairs made otherwise.
    """
    path = out / "synthesis.json"
    settings = json.loads(json.dumps({"kind": type(recipe).__name__, **asdict(recipe), "test_share": test_share}))
    splits: dict[str, str] = {}
    if path.exists():
        held = _read_head(path)
        other = sorted(
            name for name in {*settings, *held["settings"]} if held["settings"].get(name) != settings.get(name)
        )
        if other:
            raise SynthesisError(f"{out} holds pairs made with another {', '.join(other)}; pass another --out")
        splits = held["splits"]
    elif out.exists() and any(out.iterdir()):
        raise SynthesisError(f"{out} holds other files; pass another --out")
    of = {name: layouts.source("gopro", f"{name}/") for name in names}
    new = sorted({source for source in of.values() if source not in splits})
    wanted = round(test_share * (len(splits) + len(new))) - sum(split == "test" for split in splits.values())
    drawn = np.random.default_rng(recipe.seed).permutation(len(new))[: max(0, wanted)]
    splits |= {source: "test" if place in drawn else "train" for place, source in enumerate(new)}
    head = {"format": _FORMAT, "version": _VERSION, "settings": settings, "splits": splits}
    files.write_text(path, json.dumps(head, indent=1) + "\n")
    return {name: splits[of[name]] for name in names}


def _read_head(path: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (held["format"], held["version"]) != (_FORMAT, _VERSION):
            raise SynthesisError(f"{path} is of another version of this program; pass another --out")
        return {"settings": dict(held["settings"]), "splits": dict(held["splits"])}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise SynthesisError(f"{path} is damaged ({error}); pass another --out") from error


def plan(
    found: Sequence[Recording], surveys: Sequence[Survey], recipe: Recipe, out: Path, splits: Mapping[str, str]
) -> list[Clip]:
    """The windows of all recordings; ``splits`` from ``begin`` for those whose folders say none."""
    return [
        Clip(
            recording=recording,
            survey=survey,
            folder=out / (recording.split or splits[recording.name]) / recording.name,
            windows=_windows(recording, survey, recipe),
        )
        for recording, survey in zip(found, surveys, strict=True)
    ]


def _windows(recording: Recording, survey: Survey, recipe: Recipe) -> list[Window]:
    rng = np.random.default_rng([recipe.seed, zlib.crc32(recording.name.encode())])
    found: dict[str, Window] = {}
    for run in survey.runs():
        at = 0
        while fitting := [length for length in recipe.lengths if at + length <= len(run)]:
            length = int(rng.choice(fitting))
            middle = run[at + length // 2]
            name = f"{recording.numbers[middle] if recording.numbers else middle + 1:06}"
            found.setdefault(name, Window(name=name, frames=tuple(run[at : at + length])))
            at += recipe.stride or length
    return list(found.values())


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What one process makes in one go."""

    recording: Recording
    survey: Survey
    folder: Path
    windows: Sequence[Window]
    recipe: Recipe


def make(clips: Sequence[Clip], recipe: Recipe, jobs: int) -> Iterator[str]:
    """Make the pairs that are not there, and give every pair's name in order, there or made.

    Raises:
        ReadError: If a frame cannot be read.
    """
    for clip in clips:
        _say_frames(clip, recipe)
    tasks = [
        _Task(
            recording=clip.recording,
            survey=clip.survey,
            folder=clip.folder.absolute(),
            windows=clip.windows[start : start + _TOGETHER],
            recipe=recipe,
        )
        for clip in clips
        for start in range(0, len(clip.windows), _TOGETHER)
    ]
    for names in parallel.over(tasks, _make, jobs, ahead=16):
        yield from names


def _say_frames(clip: Clip, recipe: Recipe) -> None:
    if not clip.windows:
        return
    numbers = clip.recording.numbers or range(1, clip.survey.count + 1)
    lines = [
        f"{one.name}: {len(one.frames)} frames, {numbers[one.frames[0]]} to {numbers[one.frames[-1]]}\n"
        for one in clip.windows
    ]
    lengths = str(recipe.shortest) if recipe.shortest == recipe.longest else f"{recipe.shortest}-{recipe.longest}"
    name = f"frames {lengths} offset {clip.windows[0].frames[0]}.txt"
    files.write_text(clip.folder / name, "".join(lines))


def _make(task: _Task) -> list[str]:
    kind = variant(task.recipe.exposure)
    left = [window for window in task.windows if not (task.folder / kind / f"{window.name}.png").exists()]
    wanted = sorted({frame for window in left for frame in window.frames})
    reader = recordings.read(task.recording, task.survey, wanted) if wanted else iter(())
    held: dict[int, Bytes | Codes] = {}
    for window in left:
        held = {frame: pixels for frame, pixels in held.items() if frame >= window.frames[0]}
        while max(held, default=-1) < window.frames[-1]:
            frame, pixels = next(reader)
            held[frame] = pixels
        seed = [task.recipe.seed, zlib.crc32(f"{task.recording.name}/{window.name}".encode())]
        shots = [held[frame] for frame in window.frames]
        blurry, extent = _expose(shots, task.recipe, np.random.default_rng(seed))
        _write(task.folder, window.name, kind, blurry, frames.to_rgb8(shots[len(shots) // 2]), extent)
    return [window.name for window in task.windows]


def _expose(shots: Sequence[Bytes | Codes], recipe: Recipe, rng: np.random.Generator) -> tuple[Bytes, Floats]:
    """The blurry frame of a window, and its extents."""
    step = flow.steps(shots)
    parts = 1
    if recipe.limit is not None:
        parts = max(1, int(np.ceil(flow.longest_step(len(shots), step) / recipe.limit)))
    if parts == 1:
        blurry = recipe.exposure.expose(shots, rng)
    else:
        lights = [recipe.exposure.brightened(shot) for shot in shots]
        blurry = recipe.exposure.expose_light(flow.finer(lights, step, parts), rng)
    return blurry, flow.extent(shots, step)


def _write(folder: Path, name: str, kind: str, blurry: Bytes, sharp: Bytes, extent: Floats) -> None:
    """The blurry frame last: it vouches for the others."""
    frames.write(folder / "extent" / f"{name}.png", extents.to_codes(extent))
    frames.write(folder / "sharp" / f"{name}.png", sharp)
    frames.write(folder / kind / f"{name}.png", blurry)


def find_photos(inputs: Sequence[Path]) -> dict[str, Path]:
    """Photographs, there or anywhere below, by the name of the sequence that is made of each: the path below.

    Raises:
        SynthesisError: If there are none, or two share a name.
    """
    found: dict[str, Path] = {}
    for place in inputs:
        if not place.exists():
            raise SynthesisError(f"{place} is not there; pass a photograph, or a folder of photographs")
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and photographs.is_photo(path):
                below = path.relative_to(place).parts[:-1] if place.is_dir() else ()
                name = "-".join([*(part for part in below if part not in ("train", "test")), path.stem])
                name = name.replace("_", "-")
                if name in found:
                    raise SynthesisError(f"{found[name]} and {path} would share one name; rename one of them")
                found[name] = path
    if not found:
        raise SynthesisError(f"{inputs[0]} holds no photograph; pass a photograph, or a folder of photographs")
    return found


def make_of_photos(
    found: Mapping[str, Path], recipe: PhotoRecipe, out: Path, splits: Mapping[str, str], jobs: int
) -> Iterator[str]:
    """Make the pairs of photographs that are not there, and give every pair's name in order.

    Args:
        found: From ``find_photos``.
        recipe: How.
        out: From ``begin``.
        splits: From it too.
        jobs: As in ``parallel.over``.

    Raises:
        SynthesisError: If a photograph is too small.
        ReadError: If one cannot be read.
    """
    tasks = [
        (path.absolute(), name, (out / (recordings.split_of(path.parent) or splits[name])).absolute(), recipe)
        for name, path in found.items()
    ]
    for names in parallel.over(tasks, _make_of_photo, jobs, ahead=4):
        yield from names


def _make_of_photo(task: tuple[Path, str, Path, PhotoRecipe]) -> list[str]:
    path, name, folder, recipe = task
    pixels = frames.to_rgb8(recordings.to_rgb(photographs.read(path).pixels))
    try:
        return [made.stem for made in write_gopro({name: pixels}, folder.parent, folder.name, recipe)]
    except ValueError as error:
        raise SynthesisError(f"{path}: {error}; pass a smaller --size, or leave it out") from error


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
    kind = variant(recipe.exposure)
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
                _write(out / split / name, blurry.stem, kind, shaken.blurry, shaken.sharp, shaken.extent)
            yield blurry
