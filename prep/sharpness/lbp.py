"""S by local binary patterns: Yi & Eramian 2016, "LBP-based segmentation of defocus blur".

A sharp place has many non-uniform patterns, a blurred one few. The share of such patterns in windows of three sizes
gives three rough maps; an edge-aware filter aligns each with the frame's edges; belief propagation combines them.

Differences from the released code: a guided filter (He et al. 2010) replaces closed-form matting, the threshold T
follows the frame's noise, and the layers are padded before the propagation (without padding, no pixel at the frame's
border can exceed 0.96).

Legend: H, W a frame's height and width; L = 3 layers, for windows of 21, 15 and 11 pixels; T = max(4.08, 3 sigma) grey
levels, with sigma the standard deviation of the noise.
"""

import cv2
import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Floats
from prep.sharpness import guided_filter, patterns, propagation, size

WINDOWS = (21, 15, 11)  # sides in pixels; S is read from the first layer
CEILING = 0.96163  # largest belief at the fixed point: a node of log-ratio 1 with five incoming messages
THRESHOLD = 0.016 * 255
NOISE_FACTOR = 3.0
FOREGROUND, BACKGROUND = 0.3, 0.01
_PAD = 21

PARAMETERS = {
    "threshold": THRESHOLD,
    "noise_factor": NOISE_FACTOR,
    "foreground": FOREGROUND,
    "background": BACKGROUND,
    "guided_radius": guided_filter.RADIUS,
    "guided_epsilon": guided_filter.EPSILON,
    "pad": _PAD,
    "iterations": propagation.TURNS,
}


def sharpness(blurry: Bytes, sharp: Bytes | None = None) -> Floats:
    """Compute S of one frame.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: Ignored; all methods share one signature.

    Returns:
        ``(H, W)`` float32 in [0.03837, 0.96163]. A frame without any pattern, such as a constant one,
        gets the lowest value everywhere.

    Raises:
        ValueError: If the frame is smaller than 16 pixels.

    Source: Yi & Eramian 2016.
    """
    size.check(blurry)
    grey = to_grey(blurry)
    marks = patterns.non_uniform(grey, max(THRESHOLD, NOISE_FACTOR * noise(grey)))
    ramps = ramp(scaled(shares(marks)))
    return believe(score(guided_filter.guided_filter(unit(grey), ramps)))


def to_grey(frame: Bytes) -> Bytes:
    """Convert a frame to grey levels, ``(H, W)``."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def unit(grey: Bytes) -> Floats:
    """Scale grey levels to [0, 1]."""
    return np.asarray(grey * np.float32(1 / 255), np.float32)


def shares(marks: Bytes) -> Floats:
    """Compute the share of marked pixels in each window around every pixel, ``(L, H, W)`` in [0, 1]."""
    layers = np.empty((len(WINDOWS), *marks.shape), np.float32)
    for layer, window in zip(layers, WINDOWS, strict=True):
        cv2.boxFilter(marks, cv2.CV_32F, (window, window), dst=layer, borderType=cv2.BORDER_REPLICATE)
    return layers


def scaled(shares: Floats) -> Floats:
    """Scale each layer linearly to [0, 1] over the frame, in place; a constant layer becomes 0."""
    for layer in shares:
        layer -= layer.min()
        layer /= layer.max() or np.float32(1)
    return shares


def ramp(shares: Floats) -> Floats:
    """Map shares up to the trimap's background to 0, from its foreground on to 1, and linearly in between; in place."""
    shares -= np.float32(BACKGROUND)
    shares /= np.float32(FOREGROUND - BACKGROUND)
    return np.clip(shares, 0, 1, out=shares)


def score(mattes: Floats) -> Floats:
    """Turn mattes ``(L, H, W)`` into node log-ratios by z-scores over all layers: S is relative to the frame."""
    mean, spread = (float(part[0, 0]) for part in cv2.meanStdDev(mattes.reshape(len(mattes), -1)))
    return log_ratios(mattes, mean, spread or 1)  # constant mattes have z-scores of 0


def log_ratios(mattes: Floats, mean: float, spread: float) -> Floats:
    """Compute clip(2 z - 1, -1, 1) with z = (matte - mean) / spread, in place."""
    mattes *= np.float32(2 / spread)
    mattes -= np.float32(2 * mean / spread + 1)
    return np.clip(mattes, -1, 1, out=mattes)


def believe(ratios: Floats) -> Floats:
    """Compute S of node log-ratios ``(L, H, W)``: beliefs of the first layer, padded so borders can exceed 0.96."""
    return propagation.propagate(ratios, _PAD)


def noise(grey: Bytes) -> float:
    """Estimate the standard deviation of white noise in grey levels, robustly against the picture's edges.

    The estimate is the median of the absolute diagonal Haar details, divided by 0.6745. Details are multiples of half a
    grey level; the median is interpolated within its step, because the threshold 3 sigma would otherwise jump by 2
    levels.

    Source: Donoho & Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage".
    """
    counts = np.bincount(np.abs(haar(grey)).ravel())
    below = np.concatenate([[0], np.cumsum(counts)])
    edges = np.maximum(np.arange(len(below)) - 0.5, 0)
    return float(np.interp(below[-1] / 2, below, edges)) / 2 / 0.6745


def haar(grey: Bytes) -> npt.NDArray[np.int16]:
    """Compute twice the diagonal Haar details, ``(H / 2, W / 2)``: white noise doubles, straight edges vanish."""
    height, width = (side // 2 * 2 for side in grey.shape)
    whole = grey[:height, :width].astype(np.int16)
    rows = whole[0::2] - whole[1::2]
    return np.asarray(rows[:, 0::2] - rows[:, 1::2], np.int16)
