"""Restore pictures; size, bit depth and colours stay the same. Consecutive pictures of one size form a batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import psutil

from cdgnet.images import restore_all
from cdgnet.tiling import Progress
from pipelines.restore.jobs import Outcome, RestoreJob, RestoreSettings
from pipelines.restore.restorer import Restorer, is_out_of_memory, out_of_memory
from pipelines.restore.threads import map_in_order
from prep.errors import FrameError, ReadError
from prep.io import photographs
from prep.io.photographs import Photo
from prep.io.storage import Source
from prep.units import file_size

_READERS = _WRITERS = 2  # threads
_PIXEL_BYTES = 60  # bytes of memory per pixel of the picture, in addition to the memory of a tile; measured

_Picture = tuple[RestoreJob, Photo | str]  # job, and its photo or the reason why it cannot be read


def restore_pictures(
    jobs: Sequence[RestoreJob], restorer: Restorer, settings: RestoreSettings, on_tile: Progress | None = None
) -> Iterator[Outcome]:
    """Restore pictures in order, and report unreadable ones; reading and writing run in other threads.

    Args:
        jobs: Jobs of pictures.
        restorer: Restores them.
        settings: Settings of batches and results.
        on_tile: Called after each tile with the finished work of the current batch in pictures; 1 is a whole picture.

    Raises:
        OSError: If a result cannot be written.
    """
    pictures = map_in_order(_read, jobs, _READERS)
    restored = _restore(_batches(pictures, settings.batch), restorer, on_tile or (lambda _: None))
    yield from map_in_order(lambda picture: _write(picture, settings), restored, _WRITERS)


def _read(job: RestoreJob) -> _Picture:
    try:
        return job, photographs.read(job.source)
    except ReadError as error:
        return job, str(error)


def _batches(pictures: Iterable[_Picture], size: int) -> Iterator[list[_Picture]]:
    """Yield batches of at most ``size`` consecutive pictures of equal size."""
    batch: list[_Picture] = []
    for picture in pictures:
        if batch and (len(batch) == size or _shape(picture) != _shape(batch[0])):
            yield batch
            batch = []
        batch.append(picture)
    if batch:
        yield batch


def _shape(picture: _Picture) -> tuple[int, ...]:
    return () if isinstance(picture[1], str) else picture[1].pixels.shape[:2]


def _restore(batches: Iterable[list[_Picture]], restorer: Restorer, on_tile: Progress) -> Iterator[_Picture]:
    for batch in batches:
        readable = [(job, photo) for job, photo in batch if isinstance(photo, Photo)]
        yield from ((job, fault) for job, fault in batch if isinstance(fault, str))
        if readable:
            yield from _restore_batch(readable, restorer, on_tile)


def _restore_batch(
    batch: Sequence[tuple[RestoreJob, Photo]], restorer: Restorer, on_tile: Progress
) -> Iterator[_Picture]:
    """Restore pictures of equal size; if memory runs out, report each of them, so that the next batch can follow."""
    (job, photo), *_ = batch
    try:
        check_memory(photo, job.source, _PIXEL_BYTES * len(batch))
        on_share = partial(_report, on_tile, len(batch))
        restored = restore_all([each.pixels for _, each in batch], partial(restorer, on_tile=on_share))
    except FrameError as error:
        yield from ((job, str(error)) for job, _ in batch)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        yield from ((job, out_of_memory(job.source)) for job, _ in batch)
    else:
        for (job, photo), pixels in zip(batch, restored, strict=True):
            yield job, replace(photo, pixels=pixels)


def check_memory(photo: Photo, source: Source, pixel_bytes: int) -> None:
    """Refuse a picture that needs more memory than is free, because the system might kill the process.

    Args:
        photo: Picture as it was read.
        source: Source of the picture, which the error names.
        pixel_bytes: Bytes of memory per pixel.

    Raises:
        FrameError: If too little memory is free.
    """
    needed, free = photo.pixels.shape[0] * photo.pixels.shape[1] * pixel_bytes, psutil.virtual_memory().available
    if needed > free:
        raise FrameError(
            f"{source} needs {file_size(needed)} of memory, and {file_size(free)} are free; close other programs, or "
            "make the picture smaller"
        )


def _report(on_tile: Progress, pictures: int, share: float) -> None:
    on_tile(pictures * share)


def _write(picture: _Picture, settings: RestoreSettings) -> Outcome:
    job, photo = picture
    if isinstance(photo, str):
        return Outcome(job=job, fault=photo)
    try:
        photographs.write(job.target, photo, settings.quality)
    except FrameError as error:
        return Outcome(job=job, fault=str(error))
    except MemoryError:
        return Outcome(
            job=job, fault=f"{job.target} cannot be written, too little free memory; make its source smaller"
        )
    return Outcome(job=job)
