"""S by local binary patterns: Yi & Eramian 2016, "LBP-based segmentation of defocus blur".

A sharp place shows many non-uniform patterns, a blurred one few. The share of such patterns in three window sizes
gives three rough maps; an edge-aware filter carries each to the frame's edges; belief propagation joins them.

What differs from the released code: a guided filter (He et al. 2010) in place of closed-form matting, the threshold
T follows the frame's noise, and the layers are padded before the propagation (without it no pixel at the frame's
border can pass 0.96).

Legend: H, W a frame's height and width; L = 3 layers, of windows 21, 15, 11.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from prep.arrays import Bytes, Floats
from prep.sharpness import propagation, size

WINDOWS = (21, 15, 11)  # the layer that is read off, 21, first
CEILING = 0.96163  # largest belief: five messages and a node of log-ratio 1, at the fixed point
THRESHOLD = 0.016 * 255
NOISE_FACTOR = 3.0
FOREGROUND, BACKGROUND = 0.3, 0.01
_RADIUS, _EPSILON = 16, 1e-3
_PAD = 21
_FAR = float(np.sqrt(2) / 2)  # bilinear weights of the point at distance 1 along a diagonal
_NEAR = 1 - _FAR

PARAMETERS = {
    "threshold": THRESHOLD,
    "noise_factor": NOISE_FACTOR,
    "foreground": FOREGROUND,
    "background": BACKGROUND,
    "guided_radius": _RADIUS,
    "guided_epsilon": _EPSILON,
    "pad": _PAD,
    "iterations": propagation.TURNS,
}


def sharpness(blurry: Bytes, sharp: Bytes | None = None) -> Floats:
    """Compute S of one frame.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: Not looked at.

    Returns:
        ``(H, W)`` float32 in [0.03837, 0.96163]. A frame without any pattern (constant, say) holds no evidence
        and gets the lowest value everywhere.

    Raises:
        ValueError: If the frame is smaller than 16 pixels.

    Source: Yi & Eramian 2016.
    """
    size.check(blurry)
    grey = to_grey(blurry)
    bits = non_uniform(grey, max(THRESHOLD, NOISE_FACTOR * noise(grey)))
    ramps = [ramp(scaled(share(bits, window))) for window in WINDOWS]
    return believe(score(np.stack(guided_filter(grey / np.float32(255), ramps))))


def to_grey(frame: Bytes) -> Floats:
    """``(H, W)`` whole numbers 0..255."""
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)


def share(bits: Floats, window: int) -> Floats:
    """Share of the pixels marked in a square window, ``(H, W)`` in [0, 1]."""
    return np.asarray(cv2.blur(bits, (window, window), borderType=cv2.BORDER_REPLICATE), np.float32)


def scaled(image: Floats) -> Floats:
    """Scale over the frame to [0, 1]; 0 where all is the same."""
    low, high = float(image.min()), float(image.max())
    return np.asarray((image - low) / ((high - low) or 1), np.float32)


def ramp(shares: Floats) -> Floats:
    """0 up to the trimap's background, 1 from its foreground, straight between."""
    return np.asarray(np.clip((shares - BACKGROUND) / (FOREGROUND - BACKGROUND), 0, 1), np.float32)


def score(mattes: Floats) -> Floats:
    """Node log-ratios of mattes ``(L, H, W)``: z-scores over all layers, so the frame is its own measure."""
    spread = float(mattes.std())
    scores = (mattes - mattes.mean()) / (spread or 1)  # all zero where there is nothing to tell apart
    return np.asarray(np.clip(2 * scores - 1, -1, 1), np.float32)


def believe(ratios: Floats) -> Floats:
    """S of node log-ratios ``(L, H, W)``: beliefs of the first layer, padded so that the border may pass 0.96."""
    padded = np.pad(ratios, ((0, 0), (_PAD, _PAD), (_PAD, _PAD)), mode="edge")
    return np.ascontiguousarray(propagation.propagate(padded)[_PAD:-_PAD, _PAD:-_PAD])


def noise(grey: Floats) -> float:
    """Estimate the standard deviation of white noise in grey levels, robustly against the picture's edges.

    Median of the absolute diagonal Haar details over 0.6745.

    Source: Donoho & Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage".
    """
    return float(np.median(np.abs(haar(grey)))) / 0.6745


def haar(grey: Floats) -> Floats:
    """Diagonal Haar details, ``(H / 2, W / 2)``: white noise keeps its standard deviation, straight edges vanish."""
    height, width = (side // 2 * 2 for side in grey.shape)
    even, odd = grey[0:height:2, :width], grey[1:height:2, :width]
    return np.asarray((even[:, 0::2] - even[:, 1::2] - odd[:, 0::2] + odd[:, 1::2]) / 2, np.float32)


def non_uniform(grey: Floats, threshold: float) -> Floats:
    """Mark the pixels whose rotation-invariant uniform pattern (8 neighbours, radius 1) has a code of 6 or more.

    Args:
        grey: ``(H, W)`` whole numbers in 0..255.
        threshold: T, in grey levels: a neighbour counts when it is brighter by more than T.

    Returns:
        ``(H, W)`` float32, 0 or 1. The code is the number of brighter neighbours where these lie in one run
        around the circle, 9 elsewhere.

    Source: Ojala et al. 2002, equation 9; Yi & Eramian 2016, equation 4.
    """
    ring = [neighbour - grey > threshold for neighbour in _neighbours(grey)]
    brighter = np.zeros(grey.shape, np.uint8)
    changes = np.zeros(grey.shape, np.uint8)
    for place, mark in enumerate(ring):
        brighter += mark
        changes += mark ^ ring[place - 1]
    return ((brighter >= 6) | (changes > 2)).astype(np.float32)


def _neighbours(grey: Floats) -> list[Floats]:
    """The eight neighbours in order around the circle; diagonal ones bilinear at distance 1, floored."""
    height, width = grey.shape
    padded = np.pad(grey, 1, mode="edge")

    def at(y: int, x: int) -> Floats:
        return padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    def diagonal(y: int, x: int) -> Floats:
        mixed = grey * _NEAR**2 + (at(y, 0) + at(0, x)) * (_FAR * _NEAR) + at(y, x) * _FAR**2
        return np.asarray(np.floor(mixed), np.float32)

    return [
        *(at(0, 1), diagonal(-1, 1), at(-1, 0), diagonal(-1, -1)),
        *(at(0, -1), diagonal(1, -1), at(1, 0), diagonal(1, 1)),
    ]


def guided_filter(guide: Floats, sources: Sequence[Floats]) -> list[Floats]:
    """Filter each source so that its edges are those of ``guide``; all ``(H, W)`` in [0, 1], and so the results.

    Source: He, Sun & Tang 2010, "Guided image filtering", equations 5, 6 and 8.
    """
    guide_mean = _mean(guide)
    variance = _mean(guide * guide) - guide_mean * guide_mean + np.float32(_EPSILON)
    results = []
    for source in sources:
        source_mean = _mean(source)
        slope = np.asarray((_mean(guide * source) - guide_mean * source_mean) / variance, np.float32)
        intercept = np.asarray(source_mean - slope * guide_mean, np.float32)
        results.append(np.clip(_mean(slope) * guide + _mean(intercept), 0, 1))
    return results


def _mean(image: Floats) -> Floats:
    side = 2 * _RADIUS + 1
    return np.asarray(cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)
