"""Find recordings at a high frame rate (videos or folders of frames), find their cuts, repeats and gaps, read frames.

Legend: H, W a frame's height and width.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from prep import parallel
from prep.arrays import Bytes, Codes
from prep.datasets.path_patterns import is_junk
from prep.errors import ReadError, SynthesisError
from prep.io import files, frames, storage, video
from prep.io.folders import files_below
from prep.synthesis import flow

_WIDTH = 320  # pixels: width of the small frames that are compared
_REPEAT_LEVELS = 2  # grey levels; in a repeated frame, few pixels change by more
_REPEAT_SHARE = 1e-3  # a repeated frame has a smaller share of such pixels
_FROZEN = 3  # consecutive repeated frames that count as a freeze, after which time jumps
_CUT_LEVELS, _CUT_RATIO = 10.0, 3.0  # thresholds of the mean change at a cut: grey levels, and times the median nearby
_CUT_NEIGHBOURS = 4  # frames on each side for the median
_GAP_RATIO = 1.5  # threshold of a gap, times the median time from frame to frame


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One shot of one camera, or several consecutive shots."""

    name: str  # name of the sequence to make
    split: str  # "train" or "test" if the recording is in a folder of this name; else empty
    path: Path  # a video, or a folder of frames
    frames: tuple[Path, ...] = ()  # frames in order; empty for a video
    numbers: tuple[int, ...] = ()  # frame numbers, from the file names

    def stamp(self) -> list[int]:
        """Return total bytes and number of files, which show whether the recording has changed since its survey."""
        paths = self.frames or (self.path,)
        return [sum(path.stat().st_size for path in paths), len(paths)]


def find(inputs: Sequence[Path]) -> list[Recording]:
    """Find videos and folders of frames, also in subfolders; return them sorted by name.

    Args:
        inputs: Videos, folders of frames, or folders that contain either.

    Raises:
        SynthesisError: If there are no recordings, or two in a split would get the same name.
    """
    recordings: list[Recording] = []
    for place in inputs:
        if not place.exists():
            raise SynthesisError(f"{place} does not exist; use a video or a folder of frames")
        path = place.absolute()  # for worker processes, which may run in another folder
        here = _in_folder(path) if place.is_dir() else [_of_video(path)] if video.is_video(place) else []
        if not here:
            found = "contains neither a video nor two frames" if place.is_dir() else "is not a video"
            raise SynthesisError(f"{place} {found}; use a video or a folder of frames, or --photos for photographs")
        recordings += here
    seen: dict[tuple[str, str], Recording] = {}
    for recording in recordings:
        if not storage.is_text(recording.name):
            raise SynthesisError(f"the name of {recording.path} is not UTF-8; rename it")
        other = seen.setdefault((recording.split, recording.name), recording)
        if other is not recording:
            raise SynthesisError(
                f"{other.path} and {recording.path} would both become sequence {recording.name}; rename one"
            )
    return sorted(recordings, key=lambda recording: (recording.split, recording.name))


def _in_folder(root: Path) -> list[Recording]:
    recordings, frames_of = [], dict[Path, list[Path]]()
    for path in files_below(root):
        if any(map(is_junk, path.relative_to(root).parts)) or not path.is_file():
            continue
        if video.is_video(path):
            recordings.append(_of_video(path))
        elif frames.is_frame(path):
            frames_of.setdefault(path.parent, []).append(path)
    return recordings + [_of_frames(folder, paths) for folder, paths in frames_of.items() if len(paths) > 1]


def _of_video(path: Path) -> Recording:
    return Recording(name=_name(path.stem), split=split_of(path.parent), path=path)


def _of_frames(folder: Path, paths: Sequence[Path]) -> Recording:
    """Sort frames by the number at the end of their names; without distinct numbers, keep the given order."""
    ends = [re.search(r"\d+$", path.stem) for path in paths]
    numbered = [(int(end[0]), path) for end, path in zip(ends, paths, strict=True) if end]
    if len({number for number, _ in numbered}) != len(paths):
        numbered = list(enumerate(paths, 1))
    numbers, ordered = zip(*sorted(numbered), strict=True)
    return Recording(
        name=_name(_given_name(folder)), split=split_of(folder.parent), path=folder, frames=ordered, numbers=numbers
    )


def _name(name: str) -> str:
    """Return a sequence's name without underscores, because in GoPro's names they separate recording and clip."""
    return name if re.fullmatch(r"GOPR\d+_\d+_\d+", name) else name.replace("_", "-")


def split_of(folder: Path) -> str:
    """Return ``train`` or ``test`` if the folder has this name, else an empty string."""
    return name if (name := _given_name(folder)) in ("train", "test") else ""


def _given_name(folder: Path) -> str:
    """Return the name of a folder; for a link, the name of the link, not of its target."""
    return folder.resolve().name if folder.name in ("", "..") else folder.name


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Size, frame times and faults of a recording; frames are numbered from 0."""

    stamp: Sequence[int]
    count: int
    size: tuple[int, int]  # (height, width)
    ticks: Sequence[int]  # time stamps of a video's frames; empty for a folder
    cuts: Sequence[int]  # first frames of new scenes
    gaps: Sequence[int]  # first frames after missing ones
    repeated: Sequence[int]  # frames equal to the previous one
    rate: float = 0.0  # frames per second; 0 if unknown

    def runs(self) -> list[list[int]]:
        """Return runs of frames with continuous motion: split at cuts, gaps and freezes, without repeated frames."""
        breaks = {*self.cuts, *self.gaps}
        skipped = set(self.repeated)
        runs: list[list[int]] = [[]]
        still = 0
        for frame in range(self.count):
            if frame in skipped:
                still += 1
                continue
            if frame in breaks or still >= _FROZEN:
                runs.append([])
            still = 0
            runs[-1].append(frame)
        return [run for run in runs if run]


def survey(recordings: Sequence[Recording], folder: Path, jobs: int) -> Iterator[Survey]:
    """Survey recordings in order; surveys are stored in ``folder`` and reused.

    Raises:
        SynthesisError: If a recording has changed since its survey.
        ReadError: If a frame cannot be read.
    """
    tasks = [(recording, folder.absolute()) for recording in recordings]
    yield from parallel.over(tasks, _survey_once, jobs, ahead=4)


def _survey_once(task: tuple[Recording, Path]) -> Survey:
    recording, folder = task
    path = folder / f"{recording.split or 'all'}-{recording.name}.json"
    stamp = recording.stamp()
    if path.exists():
        try:
            earlier = files.as_type(files.read_object(path), Survey, path.name)
        except ReadError as error:
            raise SynthesisError(f"{path} is damaged ({error}); remove it, or choose another --out") from error
        if earlier.stamp != stamp:
            raise SynthesisError(f"{recording.path} has changed since the first run; choose another --out")
        return earlier
    survey = _survey_frames(recording, stamp)
    files.write_text(path, json.dumps(asdict(survey)) + "\n")
    return survey


def _survey_frames(recording: Recording, stamp: Sequence[int]) -> Survey:
    cv2.setNumThreads(1)
    changes, is_repeated, ticks = [0.0], [False], []
    before: Bytes | None = None
    size = (0, 0)
    for small, tick, whole in _small_frames(recording):
        ticks.append(tick)
        if before is None:
            size = whole
        elif whole != size or small.shape != before.shape:
            raise ReadError(
                f"{recording.path} contains frames of several sizes; keep those of one size, or add --photos "
                "if they are photographs"
            )
        else:
            difference = cv2.absdiff(small, before)
            changes.append(float(difference.mean()))
            is_repeated.append(float((difference > _REPEAT_LEVELS).mean()) < _REPEAT_SHARE)
        before = small
    times = ticks if not recording.frames else recording.numbers
    return Survey(
        stamp=stamp,
        count=len(ticks),
        size=size,
        ticks=[] if recording.frames else ticks,
        cuts=_cuts(np.array(changes)),
        gaps=_gaps(np.array(times)),
        repeated=[int(frame) for frame in np.flatnonzero(is_repeated)],
        rate=0.0 if recording.frames else float(video.describe(recording.path).rate),
    )


def _small_frames(recording: Recording) -> Iterator[tuple[Bytes, int, tuple[int, int]]]:
    """Yield each frame small and grey, its time stamp (0 in a folder), and its full size."""
    if not recording.frames:
        size = video.describe(recording.path).size
        for small, tick in video.glance(recording.path, _WIDTH):
            yield small, tick, size
        return
    for path in recording.frames:
        pixels = frames.read(path)
        height, width = pixels.shape[:2]
        shape = (min(_WIDTH, width), max(1, round(height * min(_WIDTH, width) / width)))
        yield (
            np.asarray(cv2.resize(flow.grey(pixels), shape, interpolation=cv2.INTER_AREA), np.uint8),
            0,
            (height, width),
        )


def _cuts(changes: npt.NDArray[np.float64]) -> list[int]:
    """Find the first frames of new scenes; ``changes`` are the mean differences from the previous frame."""
    cuts = []
    for frame in range(1, len(changes)):
        before, after = changes[max(1, frame - _CUT_NEIGHBOURS) : frame], changes[frame + 1 :][:_CUT_NEIGHBOURS]
        around = np.r_[before, after]
        usual = float(np.median(around)) if len(around) else 0.0
        if changes[frame] > max(_CUT_LEVELS, _CUT_RATIO * usual):
            cuts.append(frame)
    return cuts


def _gaps(times: npt.NDArray[np.int64]) -> list[int]:
    steps = np.diff(times)
    if not len(steps):
        return []
    return [int(frame) + 1 for frame in np.flatnonzero(steps > _GAP_RATIO * np.median(steps))]


def read(recording: Recording, survey: Survey, wanted: Sequence[int]) -> Iterator[tuple[int, Bytes | Codes]]:
    """Read frames in order: ``(H, W, 3)`` uint8, or uint16 if the file has more than 8 bits.

    Args:
        recording: The recording.
        survey: The recording's survey.
        wanted: Numbers of the frames to read, ascending.

    Yields:
        The number of a frame, and its pixels.

    Raises:
        ReadError: If a frame cannot be read.
    """
    if recording.frames:
        for place in wanted:
            yield place, to_rgb(frames.decode(storage.read(recording.frames[place]), recording.frames[place]))
        return
    left = {survey.ticks[place]: place for place in wanted}
    for moment in video.read(recording.path, since=survey.ticks[wanted[0]]):
        if (place := left.pop(moment.ticks, -1)) >= 0:
            yield place, moment.pixels
        if not left:
            return
    raise ReadError(f"{recording.path} ends before frame {min(left.values()) + 1}; copy or download it again")


def to_rgb(pixels: Bytes | Codes) -> Bytes | Codes:
    """Convert to RGB: repeat grey, and drop alpha."""
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
    colour = planes[:, :, :3] if planes.shape[2] > 2 else np.repeat(planes[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(colour)
