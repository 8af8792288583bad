"""Score frames: one row per frame and candidate, each saved to disk before the next."""

import time
from collections.abc import Iterator, MutableMapping, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cdgnet import Components, to_bytes
from pipelines.evaluate import folder as scores_folder
from pipelines.evaluate.alignment import measure_aligned
from pipelines.evaluate.candidates import Candidate
from pipelines.evaluate.examples import scene_of
from pipelines.evaluate.frame_sources import EvaluationFrame, FrameSource
from pipelines.evaluate.gallery import Gallery
from pipelines.evaluate.lpips import LPIPS
from pipelines.evaluate.measures import FrameScores, measure_frame
from pipelines.evaluate.no_reference import NoReference
from pipelines.evaluate.pairs import Comparisons, compare_frame
from pipelines.packs import to_range
from pipelines.restore.restorer import Restorer
from pipelines.timing import peak_megabytes, wait_for
from pipelines.workers import batches_of
from prep.io.storage import FileStamp

Item = TypeVar("Item")


def score_frames(
    frames: FrameSource,
    candidates: Sequence[Candidate],
    workers: int = 0,
    gallery: Gallery | None = None,
    compared: MutableMapping[str, Comparisons] | None = None,
) -> Iterator[FrameScores]:
    """Score the frames that have no scores yet; each is read once, and restored once by each candidate.

    Args:
        frames: The frames to score.
        candidates: Candidates after ``begin``. Each row is in the candidate's folder and ``row_of`` before it is
            yielded.
        workers: Number of processes that read frames and compute masks.
        gallery: Receives each frame that all candidates restored in this run.
        compared: Receives the comparisons of each frame with its sharp frame, by key.

    Raises:
        DataError: If a worker process was killed.
        ReadError: If a frame cannot be read.
        EvaluationError: If two pictures of a frame differ in size.
    """
    is_missing = [any(key not in each.row_of for each in candidates) for key in frames.keys]
    missing = [number for number, is_wanted in enumerate(is_missing) if is_wanted]
    loader = DataLoader(_Stamped(frames), batch_size=None, sampler=missing, num_workers=workers, collate_fn=_unchanged)
    for frame, stamps, comparisons in batches_of(loader):
        if compared is not None:
            compared[frame.key] = comparisons
        pictures: dict[str, Tensor] = {}
        for candidate in candidates:
            if frame.key not in candidate.row_of:
                row, pictures[candidate.name] = _score(frame, candidate, stamps, is_aligned=frames.is_aligned)
                yield row
        if gallery is not None and len(pictures) == len(candidates):
            gallery.offer(frame, {each.name: each.row_of[frame.key] for each in candidates}, pictures)


def _score(
    frame: EvaluationFrame, candidate: Candidate, stamps: Sequence[FileStamp], *, is_aligned: bool
) -> tuple[FrameScores, Tensor]:
    """Score one frame for one candidate, save the row, and return it with the restored frame."""
    components: Components | None = None
    lpips, blind = candidate.conditions.lpips, candidate.conditions.blind
    if candidate.restorer is None:
        assert frame.restored is not None
        restored = frame.restored
        row = _measure(frame, restored, torch.device("cpu"), lpips, blind=blind, is_aligned=is_aligned)
    else:
        row, restored, components = restore_and_measure(
            frame, candidate.restorer, lpips, blind=blind, is_aligned=is_aligned
        )
    scores_folder.append(candidate.folder, row, stamps)
    candidate.row_of[frame.key] = row
    candidate.shortlist.offer(row, partial(scene_of, frame, restored, components))
    return row, restored


def restore_and_measure(
    frame: EvaluationFrame,
    restorer: Restorer,
    lpips: LPIPS | None = None,
    *,
    blind: Sequence[NoReference] = (),
    is_aligned: bool = False,
) -> tuple[FrameScores, Tensor, Components]:
    """Restore a frame and measure it; with ``is_aligned``, align the pictures to the sharp frame first.

    Returns:
        Its scores, with the ``seconds`` that restoring took and the peak memory so far in ``peak_megabytes``; the
        result, ``(3, H, W)`` uint8 on the device; and all outputs of the network.
    """
    assert frame.blurry is not None
    blurry = to_range(frame.blurry[None])
    start = time.perf_counter()
    components = restorer.components(blurry)
    wait_for(restorer.device)
    seconds = time.perf_counter() - start
    restored = to_bytes(components.restored)[0]
    peak = peak_megabytes(restorer.device)
    measured = _measure(frame, restored, restorer.device, lpips, components, blind=blind, is_aligned=is_aligned)
    row = {**measured, "seconds": seconds, "peak_megabytes": peak}
    return row, restored, components


def _measure(
    frame: EvaluationFrame,
    restored: Tensor,
    device: torch.device,
    lpips: LPIPS | None = None,
    components: Components | None = None,
    *,
    blind: Sequence[NoReference],
    is_aligned: bool,
) -> FrameScores:
    if is_aligned:
        return measure_aligned(frame, restored)
    return measure_frame(frame, restored, device, lpips, components, blind)


class _Stamped(Dataset[tuple[EvaluationFrame, Sequence[FileStamp], Comparisons]]):
    """Frames with the stamps of their files and the comparisons with their sharp frames."""

    def __init__(self, frames: FrameSource) -> None:
        self.frames = frames

    def __getitem__(self, number: int) -> tuple[EvaluationFrame, Sequence[FileStamp], Comparisons]:
        frame, stamps = self.frames.read_stamped(number)
        return frame, stamps, compare_frame(frame, self.frames.scored)


def _unchanged(frame: Item) -> Item:
    return frame
