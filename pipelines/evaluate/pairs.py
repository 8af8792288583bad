"""Check whether the scored frames are pairs: each is compared when it is read for scoring, so none is read twice."""

import math
import statistics
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from cdgnet.metrics import PEAK
from pipelines.evaluate.frame_sources import EvaluationFrame, FrameSource
from pipelines.packs import to_array
from prep.pairing import search
from prep.pairing.comparison import Comparison, compare
from prep.pairing.search import Finding

Comparisons = Mapping[str, Comparison]
"""The comparisons of one frame's pictures with its sharp frame, by name of the picture."""

_LEAST_SHIFT = 0.5  # pixels; smaller shifts are not reported
_ROUNDING = 1 / 12  # grey levels squared; variance of rounding to 8 bits, lower limit of the error
_MOST_LEFT = 0.5  # share of the difference that a shift may leave once undone; blur leaves 0.6 to 1 in GoPro and REDS


def compare_frame(frame: EvaluationFrame, restored: str = "restored") -> Comparisons:
    """Compare a frame's blurry picture and another program's result, but not a network's result, with its sharp frame.

    Args:
        frame: The frame to be scored.
        restored: The name to give to another program's result.
    """
    if frame.sharp is None:
        return {}
    pictures = {"blurry": frame.blurry, restored: frame.restored}
    sharp = to_array(frame.sharp)
    return {name: compare(to_array(each), sharp) for name, each in pictures.items() if each is not None}


def findings(compared: Mapping[str, Comparisons]) -> list[Finding]:
    """List the faults found in compared frames.

    Args:
        compared: The comparisons by key, in the order of the frames.
    """
    names = dict.fromkeys(name for comparisons in compared.values() for name in comparisons)
    return [
        finding
        for name in names
        for finding in search.summarise({key: each[name] for key, each in compared.items() if name in each}, name)
    ]


def compare_sample(frames: FrameSource, keys: Sequence[str]) -> dict[str, Comparisons]:
    """Read and compare a sample of frames scored in an earlier run, because comparisons are not saved."""
    numbers = {key: number for number, key in enumerate(frames.keys)}
    return {key: compare_frame(frames[numbers[key]], frames.scored) for key in search.sample(keys)}


def misalignment(frames: FrameSource, compared: Mapping[str, Comparisons]) -> str:
    """Describe the PSNR lost to misalignment if most frames are shifted and blur does not explain it; otherwise empty.

    Args:
        frames: The scored frames; the one with the median shift is read again.
        compared: As for ``findings``.
    """
    for name in ("restored", "blurry"):
        known = {key: each[name] for key, each in compared.items() if name in each and each[name].shift is not None}
        order = sorted(known, key=lambda key: math.hypot(*(known[key].shift or (0, 0))))
        if len(known) <= len(compared) / 2:
            continue
        middle = order[len(order) // 2]
        shift = known[middle].shift or (0.0, 0.0)
        size, left = math.hypot(*shift), statistics.median(each.left for each in known.values())
        if size >= _LEAST_SHIFT and left <= _MOST_LEFT:
            before, after = _psnr_undone(frames[list(frames.keys).index(middle)], name, shift)
            return (
                f"{name} frames are shifted against their sharp ones by {size:.1f} pixels (median); undoing the shift "
                f"of frame {middle} raises its PSNR from {before:.2f} to {after:.2f} dB; --align aligns frames first"
            )
    return ""


def _psnr_undone(frame: EvaluationFrame, name: str, shift: tuple[float, float]) -> tuple[float, float]:
    """Compute the PSNR of a picture before and after undoing ``shift``, over the pixels that both cover."""
    picture = frame.blurry if name == "blurry" and frame.blurry is not None else frame.restored
    assert picture is not None
    there = to_array(picture).astype(np.float32)
    sharp = to_array(frame.truth).astype(np.float32)
    height, width = sharp.shape[:2]
    matrix = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]], np.float32)
    back = cv2.warpAffine(there, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    x, y = (min(math.ceil(abs(distance)) + 2, side // 4) for distance, side in zip(shift, (width, height), strict=True))
    inner = np.s_[y : height - y, x : width - x]
    errors = (float(np.square(each[inner] - sharp[inner]).mean()) for each in (there, back))
    before, after = (10 * math.log10(PEAK**2 / max(error, _ROUNDING)) for error in errors)
    return before, after
