"""Frames in, a row of scores a frame out, each on disk before the next."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cdgnet import Components, to_bytes
from pipelines.evaluate import folder as scores_folder
from pipelines.evaluate.examples import Shortlist, scene_of
from pipelines.evaluate.frame_sources import EvaluationFrame, FrameSource
from pipelines.evaluate.lpips import LPIPS
from pipelines.evaluate.measures import FrameScores, measure_frame
from pipelines.packs import to_range
from pipelines.restore.restorer import Restorer
from pipelines.timing import peak_megabytes, wait_for
from pipelines.workers import batches_of
from prep.io.storage import FileStamp

Item = TypeVar("Item")


def score_frames(
    frames: FrameSource,
    folder: Path,
    done: Mapping[str, FrameScores],
    restorer: Restorer | None,
    workers: int = 0,
    lpips: LPIPS | None = None,
    shortlist: Shortlist | None = None,
) -> Iterator[FrameScores]:
    """Score the frames that are not done.

    Args:
        frames: What to score.
        folder: A scores folder that was begun; each row is appended before it is given.
        done: The rows that it holds, by key.
        restorer: Of a trained network; None where the frames are restored already.
        workers: Processes that read frames and make masks.
        lpips: Adds LPIPS.
        shortlist: Is offered each frame.

    Raises:
        DataError: If a process that reads was killed.
        ReadError: If a frame cannot be read.
        EvaluationError: If two pictures of a frame differ in size.
    """
    missing = [number for number, key in enumerate(frames.keys) if key not in done]
    loader = DataLoader(_Stamped(frames), batch_size=None, sampler=missing, num_workers=workers, collate_fn=_unchanged)
    device = restorer.device if restorer else torch.device("cpu")
    for frame, stamps in batches_of(loader):
        if restorer is None:
            restored, components = frame.restored, None
            row = measure_frame(frame, restored, device, lpips)
        else:
            row, restored, components = restore_and_measure(frame, restorer, lpips)
        scores_folder.append(folder, row, stamps)
        if shortlist is not None:
            shortlist.offer(row, partial(scene_of, frame, restored, components))
        yield row


def restore_and_measure(
    frame: EvaluationFrame, restorer: Restorer, lpips: LPIPS | None = None
) -> tuple[FrameScores, Tensor, Components]:
    """Restore a frame and measure it.

    Returns:
        Its scores, ``seconds`` being those of restoring it and ``peak_megabytes`` the most memory until then; the
        result, ``(3, H, W)`` uint8 on the device; and all that the network made.
    """
    assert frame.blurry is not None
    blurry = to_range(frame.blurry[None])
    start = time.perf_counter()
    components = restorer.components(blurry)
    wait_for(restorer.device)
    seconds = time.perf_counter() - start
    restored = to_bytes(components.restored)[0]
    peak = peak_megabytes(restorer.device)
    measured = measure_frame(frame, restored, restorer.device, lpips, components)
    row = {**measured, "seconds": seconds, "peak_megabytes": peak}
    return row, restored, components


class _Stamped(Dataset[tuple[EvaluationFrame, Sequence[FileStamp]]]):
    """Frames with the stamps of the files that they are read from."""

    def __init__(self, frames: FrameSource) -> None:
        self.frames = frames

    def __getitem__(self, number: int) -> tuple[EvaluationFrame, Sequence[FileStamp]]:
        return self.frames.read_stamped(number)


def _unchanged(frame: Item) -> Item:
    return frame
