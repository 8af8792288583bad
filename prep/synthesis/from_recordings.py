"""Recordings at a high rate -> blurry and sharp pairs: each window of frames is averaged, its middle frame is sharp.

As in GoPro a ``frames N offset M.txt`` beside the pairs says which frames were averaged. The same call resumes where it
was killed.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prep import parallel
from prep.arrays import Bytes, Codes, Floats
from prep.io import files, frames
from prep.synthesis import flow, output, recordings
from prep.synthesis.recipes import RecordingRecipe
from prep.synthesis.recordings import Recording, Survey

_WINDOWS_A_TASK = 4  # consecutive ones: frames that they share are read once


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


def plan(
    inputs: Sequence[Recording],
    surveys: Sequence[Survey],
    recipe: RecordingRecipe,
    out: Path,
    splits: Mapping[str, str],
) -> list[Clip]:
    """The windows of all recordings; ``splits`` from ``output.begin`` for recordings whose folder names none."""
    return [
        Clip(
            recording=recording,
            survey=survey,
            folder=out / (recording.split or splits[recording.name]) / recording.name,
            windows=_windows(recording, survey, recipe),
        )
        for recording, survey in zip(inputs, surveys, strict=True)
    ]


def _windows(recording: Recording, survey: Survey, recipe: RecordingRecipe) -> list[Window]:
    rng = np.random.default_rng([recipe.seed, zlib.crc32(recording.name.encode())])
    windows: dict[str, Window] = {}
    for run in survey.runs():
        at = 0
        while fitting := [length for length in recipe.lengths if at + length <= len(run)]:
            length = int(rng.choice(fitting))
            middle = run[at + length // 2]
            name = f"{recording.numbers[middle] if recording.numbers else middle + 1:06}"
            windows.setdefault(name, Window(name=name, frames=tuple(run[at : at + length])))
            at += recipe.stride or length
    return list(windows.values())


@dataclass(frozen=True, kw_only=True)
class PairTask:
    """Consecutive windows, made by one process in one go."""

    recording: Recording
    survey: Survey
    folder: Path
    windows: Sequence[Window]
    recipe: RecordingRecipe


def make(clips: Sequence[Clip], recipe: RecordingRecipe, jobs: int) -> Iterator[str]:
    """Make the pairs that are not there, and give every pair's name in order, there or made.

    Raises:
        ReadError: If a frame cannot be read.
    """
    for clip in clips:
        _write_frame_list(clip, recipe)
    tasks = [
        PairTask(
            recording=clip.recording,
            survey=clip.survey,
            folder=clip.folder.absolute(),
            windows=clip.windows[start : start + _WINDOWS_A_TASK],
            recipe=recipe,
        )
        for clip in clips
        for start in range(0, len(clip.windows), _WINDOWS_A_TASK)
    ]
    for names in parallel.over(tasks, _make, jobs, ahead=16):
        yield from names


def _write_frame_list(clip: Clip, recipe: RecordingRecipe) -> None:
    if not clip.windows:
        return
    numbers = clip.recording.numbers or range(1, clip.survey.count + 1)
    lines = [
        f"{window.name}: {len(window.frames)} frames, {numbers[window.frames[0]]} to {numbers[window.frames[-1]]}\n"
        for window in clip.windows
    ]
    lengths = str(recipe.shortest) if recipe.shortest == recipe.longest else f"{recipe.shortest}-{recipe.longest}"
    name = f"frames {lengths} offset {clip.windows[0].frames[0]}.txt"
    files.write_text(clip.folder / name, "".join(lines))


def _make(task: PairTask) -> list[str]:
    kind = output.variant(task.recipe.exposure)
    missing = [window for window in task.windows if not (task.folder / kind / f"{window.name}.png").exists()]
    wanted = sorted({frame for window in missing for frame in window.frames})
    reader = recordings.read(task.recording, task.survey, wanted) if wanted else iter(())
    loaded: dict[int, Bytes | Codes] = {}  # those that this window or a later one needs
    for window in missing:
        loaded = {frame: pixels for frame, pixels in loaded.items() if frame >= window.frames[0]}
        while max(loaded, default=-1) < window.frames[-1]:
            frame, pixels = next(reader)
            loaded[frame] = pixels
        seed = [task.recipe.seed, zlib.crc32(f"{task.recording.name}/{window.name}".encode())]
        shots = [loaded[frame] for frame in window.frames]
        blurry, extent = _expose(shots, task.recipe, np.random.default_rng(seed))
        output.write_pair(task.folder, window.name, kind, blurry, frames.to_rgb8(shots[len(shots) // 2]), extent)
    return [window.name for window in task.windows]


def _expose(shots: Sequence[Bytes | Codes], recipe: RecordingRecipe, rng: np.random.Generator) -> tuple[Bytes, Floats]:
    """The blurry frame of a window, and its extents."""
    step = flow.steps(shots)
    parts = 1
    if recipe.limit is not None:
        parts = max(1, int(np.ceil(flow.longest_step(len(shots), step) / recipe.limit)))
    if parts == 1:
        blurry = recipe.exposure.expose(shots, rng)
    else:
        lights = [recipe.exposure.brightened(shot) for shot in shots]
        blurry = recipe.exposure.expose_light(flow.interpolate(lights, step, parts), rng)
    return blurry, flow.extent(shots, step)
