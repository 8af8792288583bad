"""Pictures, folders and videos in; the same out, sharper: same names, sizes, depth, colours, sound."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from cdgnet.images import restore_all
from pipelines.restore.inputs import Job
from pipelines.restore.restorer import Restorer
from pipelines.restore.threads import ahead, mapped
from prep.errors import FrameError, ReadError
from prep.io import files, locks, photographs, video, video_parts
from prep.io.photographs import Photo
from prep.io.video import Moment

_READERS = _WRITERS = 2  # threads
PART_FRAMES = 48  # what a killed video loses at most; each begins with a picture that stands by itself


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a picture or a video, or of one more frame of a video that is not done."""

    job: Job
    fault: str = ""  # empty when it was written
    is_done: bool = True


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides the results beside the restorer."""

    quality: int = 95  # of what loses: JPEG, WebP, AVIF, HEIC, videos
    batch: int = 1  # frames of one size that are restored at once
    marks: Mapping[str, str | int | bool] | None = None  # what else a video that goes on must share with its parts


def count_frames(jobs: Sequence[Job]) -> int:
    """Pictures and, about, the videos' frames; what cannot be read counts as one."""
    return sum(_frames(job) for job in jobs)


def _frames(job: Job) -> int:
    try:
        return max(1, video.describe(job.source).frames) if job.is_video else 1
    except ReadError:
        return 1


def deblur(jobs: Sequence[Job], restorer: Restorer, settings: Settings) -> Iterator[Outcome]:
    """Restore picture after picture, then video after video; one that cannot be read is named and passed over.

    Raises:
        OSError: If a result cannot be written.
    """
    pictures = mapped(_load, [job for job in jobs if not job.is_video], _READERS)
    yield from mapped(
        lambda each: _save(each, settings), _restored(_batches(pictures, settings.batch), restorer), _WRITERS
    )
    for job in jobs:
        if job.is_video:
            try:
                yield from _film(job, restorer, settings)
            except ReadError as error:
                yield Outcome(job=job, fault=str(error))


_Loaded = tuple[Job, Photo | str]  # or what is wrong with it


def _load(job: Job) -> _Loaded:
    try:
        if not photographs.is_photo(job.source):
            raise FrameError(f"{job.source} is named as none of {', '.join(photographs.SUFFIXES)}; convert it")
        return job, photographs.read(job.source)
    except ReadError as error:
        return job, str(error)


def _batches(loaded: Iterable[_Loaded], size: int) -> Iterator[list[_Loaded]]:
    """Neighbours of one size together, up to so many."""
    batch: list[_Loaded] = []
    for each in loaded:
        if batch and (len(batch) == size or _size(each) != _size(batch[0])):
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


def _size(loaded: _Loaded) -> tuple[int, ...]:
    return () if isinstance(loaded[1], str) else loaded[1].pixels.shape[:2]


def _restored(batches: Iterable[list[_Loaded]], restorer: Restorer) -> Iterator[_Loaded]:
    for batch in batches:
        good = [(job, photo) for job, photo in batch if isinstance(photo, Photo)]
        yield from ((job, fault) for job, fault in batch if isinstance(fault, str))
        if good:
            restored = restore_all([photo.pixels for _, photo in good], restorer)
            yield from ((job, replace(photo, pixels=each)) for (job, photo), each in zip(good, restored, strict=True))


def _save(restored: _Loaded, settings: Settings) -> Outcome:
    job, photo = restored
    if isinstance(photo, str):
        return Outcome(job=job, fault=photo)
    photographs.write(job.target, photo, settings.quality)
    return Outcome(job=job)


def _film(job: Job, restorer: Restorer, settings: Settings) -> Iterator[Outcome]:
    """Restore a video part by part, in a folder beside the target; what an earlier run left there is used."""
    about = video.describe(job.source)
    folder = job.target.with_name(job.target.name + ".parts")
    with locks.hold(folder / "lock"):
        done, seconds = _begin(folder, job, settings), about.seconds
        yield from (Outcome(job=job, is_done=False) for _ in range(done * PART_FRAMES))
        moments = _restored_moments(islice(video.read(job.source), done * PART_FRAMES, None), restorer, settings.batch)
        for number, part in enumerate(_parts(moments), done):
            place, suffix = _part(folder, number), job.target.suffix.lower()
            with video_parts.writing(place, about, settings.quality, suffix) as write:
                for shown in mapped(write, part):
                    seconds = shown
                    yield Outcome(job=job, is_done=False)
        video_parts.join(_held_parts(folder), job.source, job.target, settings.quality)
    shutil.rmtree(folder)  # once the lock in it is free: Windows removes no file that is open
    is_cut = seconds < 0.9 * about.seconds - 2  # sound may last a little longer
    fault = f"{job.source} ends after {seconds:.0f} of {about.seconds:.0f} s; what there is was restored"
    yield Outcome(job=job, fault=fault if is_cut else "")


def _begin(folder: Path, job: Job, settings: Settings) -> int:
    """How many parts of just this video, by just this network, lie there; those of another make room."""
    found = job.source.stat()
    asked: dict[str, Any] = {"bytes": found.st_size, "modified": found.st_mtime_ns, "quality": settings.quality}
    text = json.dumps({**asked, "suffix": job.target.suffix.lower(), **(settings.marks or {})}, indent=1) + "\n"
    path = folder / "asked.json"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        for part in folder.glob("*.nut"):
            part.unlink()
        files.write_text(path, text)
    return len(_held_parts(folder))


def _held_parts(folder: Path) -> list[Path]:
    """The parts without a gap."""
    found: list[Path] = []
    while (part := _part(folder, len(found))).exists():
        found.append(part)
    return found


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.nut"


def _parts(moments: Iterator[Moment]) -> Iterator[Iterator[Moment]]:
    for first in moments:
        yield _with(first, islice(moments, PART_FRAMES - 1))


def _with(first: Moment, others: Iterable[Moment]) -> Iterator[Moment]:
    yield first
    yield from others


def _restored_moments(moments: Iterator[Moment], restorer: Restorer, size: int) -> Iterator[Moment]:
    read = ahead(moments)
    while batch := list(islice(read, size)):
        restored = restore_all([moment.pixels for moment in batch], restorer)
        yield from (replace(moment, pixels=each) for moment, each in zip(batch, restored, strict=True))
