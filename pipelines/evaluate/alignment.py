"""RealBlur's own protocol: each picture is aligned to its sharp frame by a homography before it is scored.

RealBlur's blurry and sharp frames come from two cameras behind a beam splitter. Calibration leaves a small offset
between them, and a network's result has the offset of the blurry frame. The steps and constants here are those of the
authors' scoring script: brightness is matched by one factor, ECC (Evangelidis & Psarakis 2008) finds the homography,
and PSNR and SSIM count the pixels that the aligned picture covers. There are two differences. Their script stops if
ECC finds no homography; here such a picture is scored unaligned, and counted. Their script aligns only results; here
blurry frames are aligned too, because otherwise part of the gain would come from the alignment.

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

UNALIGNED = "unaligned"  # number of a frame's pictures for which ECC found no homography
PROTOCOL = (
    "each picture aligned to its sharp frame before scoring, as RealBlur's authors do (homography by ECC, brightness "
    "by one factor); psnr and ssim of the pixels that it covers; nothing else is scored"
)
_ITERATIONS = 100  # number of ECC iterations; all are run because the authors' convergence threshold is 0
_SMOOTHING = 5  # pixels: size of ECC's Gaussian filter


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A picture aligned to its sharp frame."""

    picture: Floats  # (H, W, 3), nominally in [0, 1]; 0 at pixels that it does not cover
    sharp: Floats  # the same shape and range, set to 0 at the same pixels
    valid: Floats  # (H, W, 3), 1 at pixels that the picture covers, 0 elsewhere
    is_found: bool  # whether ECC found a homography; if not, the picture is unaligned


class AlignedFrames(FrameSource):
    """The frames of a source, aligned before scoring; masks and extents are dropped because they are not aligned."""

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
    """Refuse, before any frame is scored, to compare scores of aligned frames with scores of unaligned ones.

    Raises:
        EvaluationError: If only one of the two sets has aligned frames.
    """
    were_aligned = any(UNALIGNED in row for row in earlier.values())
    if were_aligned != frames.is_aligned:
        which = "were aligned" if were_aligned else "were not aligned"
        raise EvaluationError(f"the frames of the earlier scores {which}; score both with --align or both without it")


def unaligned_keys(rows: Sequence[FrameScores]) -> list[str]:
    """Return the keys of frames with a picture that was scored unaligned because ECC found no homography."""
    return [str(row["key"]) for row in rows if row.get(UNALIGNED)]


def measure_aligned(frame: EvaluationFrame, restored: Tensor) -> FrameScores:
    """Compute PSNR and SSIM of a frame's blurry (``_blurry``) and restored picture, each aligned on its own.

    Args:
        frame: The frame to score.
        restored: ``(3, H, W)`` uint8.

    Raises:
        EvaluationError: If the frame is smaller than SSIM's window.
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
    """Match a picture's brightness to that of its sharp frame, then align the picture to it.

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
    """Compute the PSNR in dB over the pixels that the picture covers; ``PSNR_CEILING`` if they are equal."""
    squares = np.sum((aligned.sharp - aligned.picture) ** 2, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return min(float(10 * np.log10(aligned.valid.sum(dtype=np.float64) / squares)), PSNR_CEILING)


def masked_ssim(aligned: Aligned) -> float:
    """Average the SSIM map over channels and covered pixels; windows that extend past the frame do not count."""
    one, other = (_to_batch(each).mul(PEAK) for each in (aligned.picture, aligned.sharp))
    inner = slice(RADIUS, -RADIUS)
    valid = _to_batch(aligned.valid)[..., inner, inner]  # (1, 3, H - 10, W - 10)
    likeness = similarity(one, other) * valid
    return float((likeness.sum(dim=(2, 3)) / valid.sum(dim=(2, 3))).mean())


def _to_floats(picture: Tensor) -> Floats:
    """Convert ``(3, H, W)`` uint8 to ``(H, W, 3)`` float32 in [0, 1]."""
    return np.asarray(to_array(picture).astype(np.float32) / PEAK, np.float32)


def _to_batch(picture: Floats) -> Tensor:
    """Convert ``(H, W, 3)`` to ``(1, 3, H, W)`` float64."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].double()
