"""RealBlur's own protocol: each picture is aligned to its sharp frame by a homography before it is scored.

RealBlur's blurry and sharp frames come from two cameras behind a beam splitter, so that they lie off each other by what
calibration leaves, and a network's result lies where the blurry frame does. The steps and constants here are those of
the script that its authors score with: brightness is matched by one factor, ECC (Evangelidis & Psarakis 2008) finds
the homography, and PSNR and SSIM count the pixels that the aligned picture covers. Two things differ. Their script
stops where ECC finds none; here such a picture is scored as it lies, and counted. And it aligns results alone; here
blurry frames are aligned too, or a part of the gain would be that of the alignment.

Source: Rim et al. 2020, Real-world blur dataset for learning and benchmarking deblurring algorithms, section 5.

Legend: H, W a frame's height and width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor

from cdgnet.metrics import PEAK, PSNR_CEILING, RADIUS, similarity
from pipelines.errors import EvaluationError
from pipelines.evaluate.frame_sources import RULES, EvaluationFrame, FrameSource
from pipelines.evaluate.mask_source import Contents
from pipelines.evaluate.measures import FrameScores, check_size
from pipelines.packs import to_array
from prep.arrays import Floats
from prep.io.storage import Source

UNALIGNED = "unaligned"  # how many pictures of a frame ECC found no homography for
PROTOCOL = (
    "each picture aligned to its sharp frame before scoring, as RealBlur's authors do (homography by ECC, brightness "
    "by one factor); psnr and ssim of the pixels that it covers; nothing else is scored"
)
_ITERATIONS = 100  # all of them: the authors' least change is 0
_SMOOTHING = 5  # pixels: size of ECC's Gaussian filter


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A picture laid over its sharp frame."""

    picture: Floats  # (H, W, 3) in about [0, 1], 0 where it does not reach
    sharp: Floats  # the same, and 0 there too
    valid: Floats  # (H, W, 3), 1 where the picture reaches, 0 elsewhere
    is_found: bool  # whether ECC found a homography; else the picture lies as it was


class AlignedFrames(FrameSource):
    """The frames of a source, to be aligned before they are scored: without masks and extents, which are not."""

    is_aligned = True

    def __init__(self, source: FrameSource) -> None:
        self.source, self.name, self.folders, self.keys = source, source.name, source.folders, source.keys
        self.identity = {**source.identity, "align": "ECC, homography"}
        self.protocol = f"{source.protocol.partition(f': {RULES}')[0]}: {RULES}; {PROTOCOL}"
        self.scored = source.scored

    def sources(self, number: int) -> Sequence[Source]:
        return self.source.sources(number)

    def decode(self, number: int, contents: Contents) -> EvaluationFrame:
        return replace(self.source.decode(number, contents), mask=None, extent=None)


def check_against(frames: FrameSource, earlier: Mapping[str, FrameScores]) -> None:
    """Refuse to compare scores of aligned frames with scores of frames that are not aligned, before any is scored.

    Raises:
        EvaluationError: If only one of the two has aligned frames.
    """
    were_aligned = any(UNALIGNED in row for row in earlier.values())
    if were_aligned != frames.is_aligned:
        which = "were aligned" if were_aligned else "were not aligned"
        raise EvaluationError(f"the frames of the earlier scores {which}; score both with --align or both without it")


def unaligned_keys(rows: Sequence[FrameScores]) -> list[str]:
    """The frames of which a picture was scored without alignment, because ECC found no homography."""
    return [str(row["key"]) for row in rows if row.get(UNALIGNED)]


def measure_aligned(frame: EvaluationFrame, restored: Tensor) -> FrameScores:
    """PSNR and SSIM of a frame, of the blurry picture (``_blurry``) and of the restored one, each aligned on its own.

    Args:
        frame: To score.
        restored: ``(3, H, W)`` uint8.

    Raises:
        EvaluationError: If the frame is smaller than the window of SSIM.
    """
    check_size(frame)
    scores: dict[str, Any] = {"key": frame.key}
    failed = 0
    for suffix, picture in (("_blurry", frame.blurry), ("", restored)):
        if picture is None:
            continue
        aligned = align(_to_floats(picture), _to_floats(frame.truth))
        failed += not aligned.is_found
        scores["psnr" + suffix] = masked_psnr(aligned)
        scores["ssim" + suffix] = masked_ssim(aligned)
    return {**scores, UNALIGNED: float(failed)}


def align(picture: Floats, sharp: Floats) -> Aligned:
    """Match a picture's brightness to that of its sharp frame and lay it over it.

    Args:
        picture: ``(H, W, 3)`` float32 in [0, 1], RGB.
        sharp: The same.
    """
    energy = np.sum(picture * picture)
    matched = picture * (np.sum(sharp * picture) / energy) if energy else picture
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, 0)
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (sharp, matched)]
    start, no_mask = np.eye(3, dtype=np.float32), cast(Any, None)
    try:
        _, homography = cv2.findTransformECC(
            grey[0], grey[1], start, cv2.MOTION_HOMOGRAPHY, criteria, no_mask, _SMOOTHING
        )
    except cv2.error:
        return Aligned(picture=matched, sharp=sharp, valid=np.ones_like(sharp), is_found=False)
    size = (sharp.shape[1], sharp.shape[0])
    moved = cv2.warpPerspective(
        matched, homography, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
    )
    valid = np.asarray(
        cv2.warpPerspective(
            np.ones_like(sharp), homography, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=0
        ),
        np.float32,
    )
    return Aligned(picture=np.asarray(moved * valid, np.float32), sharp=sharp * valid, valid=valid, is_found=True)


def masked_psnr(aligned: Aligned) -> float:
    """PSNR in dB of the pixels that the picture reaches; ``PSNR_CEILING`` for equal ones."""
    squares = np.sum((aligned.sharp - aligned.picture) ** 2, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return min(float(10 * np.log10(aligned.valid.sum(dtype=np.float64) / squares)), PSNR_CEILING)


def masked_ssim(aligned: Aligned) -> float:
    """The mean over the channels of SSIM's map where the picture reaches; windows that leave the frame do not count."""
    one, other = (_to_batch(each).mul(PEAK) for each in (aligned.picture, aligned.sharp))
    inner = slice(RADIUS, -RADIUS)
    valid = _to_batch(aligned.valid)[..., inner, inner]  # (1, 3, H - 10, W - 10)
    likeness = similarity(one, other) * valid
    return float((likeness.sum(dim=(2, 3)) / valid.sum(dim=(2, 3))).mean())


def _to_floats(picture: Tensor) -> Floats:
    """``(3, H, W)`` uint8 -> ``(H, W, 3)`` float32 in [0, 1]."""
    return np.asarray(to_array(picture).astype(np.float32) / PEAK, np.float32)


def _to_batch(picture: Floats) -> Tensor:
    """``(H, W, 3)`` -> ``(1, 3, H, W)`` float64."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].double()
