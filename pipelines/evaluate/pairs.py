"""Whether the frames that are scored are pairs: each is compared as it comes, at no extra reading."""

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
"""Of one frame: what each of its pictures, by name, looks like beside the sharp one."""

_LEAST_SHIFT = 0.5  # pixels
_ROUNDING = 1 / 12  # grey levels squared, that rounding to 8 bits makes: less is none
_MOST_LEFT = 0.5  # of the difference, once the shift is undone: blur leaves more of it, in GoPro and REDS 0.6 to 1


def compare_frame(frame: EvaluationFrame, restored: str = "restored") -> Comparisons:
    """Compare what a frame brings with it, not what a network is to make of it.

    Args:
        frame: To be scored.
        restored: What another program's picture is called.
    """
    if frame.sharp is None:
        return {}
    pictures = {"blurry": frame.blurry, restored: frame.restored}
    sharp = to_array(frame.sharp)
    return {name: compare(to_array(each), sharp) for name, each in pictures.items() if each is not None}


def findings(compared: Mapping[str, Comparisons]) -> list[Finding]:
    """What is wrong with frames that were compared.

    Args:
        compared: By key, in the frames' order.
    """
    names = dict.fromkeys(name for comparisons in compared.values() for name in comparisons)
    return [
        finding
        for name in names
        for finding in search.summarise({key: each[name] for key, each in compared.items() if name in each}, name)
    ]


def compare_sample(frames: FrameSource, keys: Sequence[str]) -> dict[str, Comparisons]:
    """Read and compare a sample of frames: those that were scored in an earlier run, of which nothing is kept."""
    numbers = {key: number for number, key in enumerate(frames.keys)}
    return {key: compare_frame(frames[numbers[key]], frames.scored) for key in search.sample(keys)}


def misalignment(frames: FrameSource, compared: Mapping[str, Comparisons]) -> str:
    """What scoring frames as they lie costs, where most lie off their sharp ones and blur is not why; else nothing.

    Args:
        frames: That were scored; the one whose shift is the median is read again.
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
    """PSNR of a picture as it lies, and moved back by ``shift``, of the pixels that both show."""
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
