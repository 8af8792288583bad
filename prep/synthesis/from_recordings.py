"""Make blurry/sharp pairs from recordings at a high frame rate: average a window; its middle frame is the sharp one.

As in GoPro, ``frames N offset M.txt`` beside the pairs lists the averaged frames. After a kill, the same call resumes.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from prep import parallel
from prep.arrays import Bytes, Codes, Floats
from prep.io import files
from prep.synthesis import flow, output, recordings
from prep.synthesis.recipes import RecordingRecipe
from prep.synthesis.recordings import Recording, Survey

_WINDOWS_A_TASK = 4  # consecutive windows; their common frames are read once


@dataclass(frozen=True, kw_only=True)
class Window:
    """The frames of one pair."""

    name: str  # name of the pair's files
    frames: tuple[int, ...]  # indices in the recording


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
    """Plan all windows; ``splits`` (from ``output.begin``) is used for recordings outside folders train and test."""
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
    """Consecutive windows for one process."""

    recording: Recording
    survey: Survey
    folder: Path
    windows: Sequence[Window]
    recipe: RecordingRecipe


class Made(NamedTuple):
    """A pair that existed before or was made."""

    name: str
    parts: int  # steps from one frame to the next: 1 without interpolation; 0 if the pair existed


def make(clips: Sequence[Clip], recipe: RecordingRecipe, jobs: int) -> Iterator[Made]:
    """Make the missing pairs, and yield every pair in order.

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
    for made in parallel.over(tasks, _make, jobs, ahead=16):
        yield from made


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


def _make(task: PairTask) -> list[Made]:
    kind = output.variant(task.recipe.camera)
    missing = [window for window in task.windows if not (task.folder / kind / f"{window.name}.png").exists()]
    wanted = sorted({frame for window in missing for frame in window.frames})
    reader = recordings.read(task.recording, task.survey, wanted) if wanted else iter(())
    made = dict.fromkeys((window.name for window in task.windows), 0)
    loaded: dict[int, Bytes | Codes] = {}  # frames that this window or a later one needs
    for window in missing:
        loaded = {frame: pixels for frame, pixels in loaded.items() if frame >= window.frames[0]}
        while max(loaded, default=-1) < window.frames[-1]:
            frame, pixels = next(reader)
            loaded[frame] = pixels
        seed = [task.recipe.seed, zlib.crc32(f"{task.recording.name}/{window.name}".encode())]
        shots = [loaded[frame] for frame in window.frames]
        blurry, sharp, extent, made[window.name] = _expose(shots, task.recipe, np.random.default_rng(seed))
        output.write_pair(task.folder, window.name, kind, blurry, sharp, extent)
    return [Made(name, parts) for name, parts in made.items()]


def _expose(
    shots: Sequence[Bytes | Codes], recipe: RecordingRecipe, rng: np.random.Generator
) -> tuple[Bytes, Bytes, Floats, int]:
    """Return a window's blurry frame, sharp frame, blur length, and number of steps from one frame to the next."""
    step = flow.steps(shots)
    setting = recipe.camera.draw(rng)
    parts = 1
    if recipe.limit is not None:
        parts = max(1, int(np.ceil(flow.longest_step(len(shots), step) / recipe.limit)))
    blurry = setting.photograph(_mean(flow.interpolate(map(setting.to_light, shots), step, parts)), rng)
    sharp = setting.photograph(setting.to_light(shots[len(shots) // 2]), rng if recipe.camera.noisy_sharp else None)
    return blurry, sharp, flow.extent(shots, step, parts), parts


def _mean(lights: Iterator[Floats]) -> Floats:
    """Compute the mean, adding one frame at a time, because there are many interpolated frames."""
    total = next(lights).astype(np.float64)
    count = 1
    for light in lights:
        cv2.accumulate(light, total)
        count += 1
    return np.asarray(total / count, np.float32)
