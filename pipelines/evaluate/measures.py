"""The measures of one frame, in the standard conventions: whole frames, RGB, rounded to 8 bits.

Legend: H, W a frame's height and width.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cdgnet import Components, psnr, ssim, ssim_matlab3d
from cdgnet.metrics import WINDOW
from pipelines.errors import EvaluationError
from pipelines.evaluate import by_extent, division, no_reference
from pipelines.evaluate.frame_sources import EvaluationFrame
from pipelines.evaluate.lpips import LPIPS
from pipelines.evaluate.no_reference import NoReference

MEASURES = ("psnr", "ssim", "ssim_matlab3d", "psnr_m1", "psnr_m0", "lpips")
_WHERE_SHOWN = f"in frames where that is at least {division.LEAST_SHARE:.0%} of the pixels"
LEGEND = {
    "psnr": "PSNR in dB; RGB, 8 bits",
    "ssim": "as in scikit-image: Gaussian window 11 x 11, sigma 1.5; mean of the channels",
    "ssim_matlab3d": "as MATLAB's ssim of an RGB array: window 11 x 11 x 11",
    "psnr_m1": f"PSNR where M = 1 (small blur), {_WHERE_SHOWN}",
    "psnr_m0": f"PSNR where M = 0 (large blur), {_WHERE_SHOWN}",
    "lpips": "LPIPS 0.1 with AlexNet, by torchmetrics; lower is better",
    **no_reference.LEGEND,
}
"""How each measure is computed."""

# A row of a scores folder: ``key``, the measures (without a sharp frame only those of ``no_reference``), those of
# ``division``, ``mask_share`` if there is a mask, ``seconds`` and ``peak_megabytes`` if a network restored the frame,
# and ``extents`` (``by_extent.squared_errors``) if the extent of the blur is known.
FrameScores = Mapping[str, Any]


def measure_frame(
    frame: EvaluationFrame,
    restored: Tensor,
    device: torch.device,
    lpips: LPIPS | None = None,
    components: Components | None = None,
    blind: Sequence[NoReference] = (),
) -> FrameScores:
    """Compute all measures of one frame, for the blurry picture (``_blurry``) and the restored one.

    Args:
        frame: The frame. Without a mask, measures of components are left out; without a sharp frame, only ``blind``
            is computed.
        restored: ``(3, H, W)`` uint8.
        device: The device to compute PSNR and SSIM on.
        lpips: Computes LPIPS; None to leave it out.
        components: All outputs of the network for the frame, for the measures of the division.
        blind: Measures that need no sharp frame.

    Raises:
        EvaluationError: If the frame is too small for SSIM's window, or for a measure of ``blind``.
    """
    scores: dict[str, Any] = {"key": frame.key}
    if frame.sharp is None:
        return {**scores, **_measure_blindly(frame, restored, blind)}
    check_size(frame)
    sharp = frame.sharp[None].to(device)
    parts = {}
    if frame.mask is not None:
        scores["mask_share"] = float(frame.mask.float().mean())
        masks = {"psnr_m1": frame.mask, "psnr_m0": 1 - frame.mask}
        parts = {name: (part * division.is_large_enough(part))[None].to(device) for name, part in masks.items()}
    for suffix, picture in (("_blurry", frame.blurry), ("", restored)):
        if picture is None:
            continue
        batch = picture[None].to(device)
        scores["psnr" + suffix] = float(psnr(batch, sharp))
        scores["ssim" + suffix] = float(ssim(batch, sharp))
        scores["ssim_matlab3d" + suffix] = float(ssim_matlab3d(batch, sharp))
        for name, part in parts.items():
            scores[name + suffix] = float(psnr(batch, sharp, part))
        if lpips is not None:
            scores["lpips" + suffix] = lpips(picture, frame.sharp)
    scores |= _measure_blindly(frame, restored, blind)
    if components is not None and frame.mask is not None and frame.extent is not None:
        scores |= division.measure(components, frame.sharp, frame.mask, frame.extent)
    if frame.extent is not None:
        scores["extents"] = by_extent.squared_errors(frame.extent, frame.sharp, [frame.blurry, restored.cpu()])
    return scores


def _measure_blindly(frame: EvaluationFrame, restored: Tensor, measures: Sequence[NoReference]) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for measure in measures:
        for suffix, picture in (("_blurry", frame.blurry), ("", restored)):
            if picture is not None:
                try:
                    scores[measure.name + suffix] = measure(picture)
                except EvaluationError as error:
                    raise EvaluationError(f"{frame.key}: {error}; leave this picture out") from error
    return scores


def check_size(frame: EvaluationFrame) -> None:
    """Refuse a frame that is smaller than SSIM's window.

    Raises:
        EvaluationError: If the frame is smaller.
    """
    height, width = frame.truth.shape[1:]
    if min(height, width) < WINDOW:
        raise EvaluationError(
            f"{frame.key} is {width} x {height} pixels, and SSIM needs at least {WINDOW} x {WINDOW}; leave this frame "
            "out"
        )


def columns(scores: FrameScores) -> list[str]:
    """Return the measures in a row of scores, blurry before restored."""
    known = (*MEASURES, *no_reference.NAMES, *division.MEASURES)
    return [name for measure in known for name in (measure + "_blurry", measure) if name in scores]


def measures_of(scores: Mapping[str, Any]) -> list[str]:
    """Return the measures of the restored picture in scores, without those of the division."""
    return [measure for measure in (*MEASURES, *no_reference.NAMES) if measure in scores]


def first_measure(scores: Mapping[str, Any]) -> str:
    """Return the measure to sort frames and compare networks by: PSNR, or without it the first measure in scores."""
    return measures_of(scores)[0]


def worst_and_best(measure: str) -> tuple[str, str]:
    """Name the worst and the best score of a measure, such as ``lowest PSNR``, ``highest PSNR``."""
    ends = ("highest", "lowest") if no_reference.is_lower_better(measure) else ("lowest", "highest")
    worst, best = (f"{end} {'PSNR' if measure == 'psnr' else measure}" for end in ends)
    return worst, best


def merit(scores: FrameScores, suffix: str = "") -> float:
    """Return the first measure, negated if lower is better, so that higher is always better.

    Args:
        scores: The scores of one frame.
        suffix: ``_blurry`` for the blurry picture, empty for the restored one.
    """
    measure = first_measure(scores)
    value = float(scores[measure + suffix])
    return -value if no_reference.is_lower_better(measure) else value


def gain(scores: FrameScores) -> float:
    """Return how much better the restored frame is than the blurry one, by the first measure; 0 if unknown."""
    difference = merit(scores) - merit(scores, "_blurry")
    return 0.0 if math.isnan(difference) else difference


def has_blurry(scores: Mapping[str, Any]) -> bool:
    """Return whether scores include the blurry picture's, in addition to those of the restored one."""
    return f"{first_measure(scores)}_blurry" in scores
