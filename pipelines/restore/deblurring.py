"""Restore pictures, folders and videos."""

from collections.abc import Iterator, Sequence

from cdgnet.tiling import Progress
from pipelines.restore.jobs import Outcome, RestoreJob, RestoreSettings
from pipelines.restore.pictures import restore_pictures
from pipelines.restore.restorer import Restorer, is_out_of_memory, out_of_memory
from pipelines.restore.videos import restore_video
from prep.errors import ReadError
from prep.io import files, locks, video
from prep.io.video import VideoInfo


def deblur(
    jobs: Sequence[RestoreJob], restorer: Restorer, settings: RestoreSettings, on_tile: Progress | None = None
) -> Iterator[Outcome]:
    """Restore the pictures, then the videos; report and skip files that cannot be read.

    ``on_tile``: see ``restore_pictures``.

    Raises:
        OSError: If a result cannot be written.
    """
    for folder in {job.target.parent for job in jobs}:
        files.remove_leftovers(folder)
    yield from restore_pictures([job for job in jobs if not job.is_video], restorer, settings, on_tile)
    for job in jobs:
        if job.is_video:
            try:
                yield from restore_video(job, restorer, settings)
            except ReadError as error:
                yield Outcome(job=job, fault=str(error))
            except locks.FileInUse:
                fault = f"{job.target} is being written by another process; wait until it ends, or use another --out"
                yield Outcome(job=job, fault=fault)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                yield Outcome(job=job, fault=out_of_memory(job.source))


def survey(jobs: Sequence[RestoreJob]) -> tuple[int, list[str]]:
    """Return the number of pictures and video frames together, and a line for each video that will lose something.

    The frames of a video may be an estimate. A file that cannot be read counts as one frame.
    """
    frames, lines = 0, []
    for job in jobs:
        about = _describe(job)
        frames += max(1, about.frames) if about else 1
        if about and about.changes:
            lines.append(f"{job.source}: {'; '.join(about.changes)}")
    return frames, lines


def _describe(job: RestoreJob) -> VideoInfo | None:
    """Return the facts of a video; None for a picture or an unreadable video, which ``deblur`` reports later."""
    try:
        return video.describe(job.source) if job.is_video else None
    except ReadError:
        return None
