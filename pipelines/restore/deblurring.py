"""Pictures, folders and videos in; the same out, sharper."""

from collections.abc import Iterator, Sequence

from cdgnet.tiling import Progress
from pipelines.restore.jobs import Outcome, RestoreJob, RestoreSettings
from pipelines.restore.pictures import restore_pictures
from pipelines.restore.restorer import Restorer
from pipelines.restore.videos import restore_video
from prep.errors import ReadError
from prep.io import video


def deblur(
    jobs: Sequence[RestoreJob], restorer: Restorer, settings: RestoreSettings, on_tile: Progress | None = None
) -> Iterator[Outcome]:
    """Restore picture after picture, then video after video; one that cannot be read is named and skipped.

    ``on_tile`` is that of ``restore_pictures``.

    Raises:
        OSError: If a result cannot be written.
    """
    yield from restore_pictures([job for job in jobs if not job.is_video], restorer, settings, on_tile)
    for job in jobs:
        if job.is_video:
            try:
                yield from restore_video(job, restorer, settings)
            except ReadError as error:
                yield Outcome(job=job, fault=str(error))


def count_frames(jobs: Sequence[RestoreJob]) -> int:
    """Pictures and about as many frames as the videos have; a file that cannot be read counts as one."""
    return sum(_frames(job) for job in jobs)


def _frames(job: RestoreJob) -> int:
    try:
        return max(1, video.describe(job.source).frames) if job.is_video else 1
    except ReadError:
        return 1
