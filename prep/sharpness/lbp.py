"""S by local binary patterns: Yi & Eramian 2016, "LBP-based segmentation of defocus blur".

A sharp place shows many non-uniform patterns, a blurred one few. The share of such patterns in three window sizes
gives three rough maps; an edge-aware filter carries each to the frame's edges; belief propagation joins them.

What differs from the released code: a guided filter (He et al. 2010) in place of closed-form matting, the threshold
T follows the frame's noise, and the layers are padded before the propagation (without it no pixel at the frame's
border can pass 0.96).

Legend: H, W a frame's height and width; L = 3 layers, of windows 21, 15, 11.
"""

import cv2
import numpy as np

from prep.arrays import Bytes, Floats

WINDOWS = (21, 15, 11)  # the layer that is read off, 21, first
ITERATIONS = 20  # up to convergence (50 to 80) 1e-5 of the pixels of the mask change; after 10 it is 8e-4
COUPLING = 0.5  # edge potential exp(-0.5) for different labels
CEILING = 0.96163  # largest belief: five messages and a node of log-ratio 1, at the fixed point
SMALLEST = 16  # pixels; smaller frames hold no window worth the name
_THRESHOLD = 0.016 * 255
_NOISE_FACTOR = 3.0
_FOREGROUND, _BACKGROUND = 0.3, 0.01
_RADIUS, _EPSILON = 16, 1e-3
_PAD = 21
_FAR = float(np.sqrt(2) / 2)  # bilinear weights of the point at distance 1 along a diagonal
_NEAR = 1 - _FAR

PARAMETERS = {
    "threshold": _THRESHOLD,
    "noise_factor": _NOISE_FACTOR,
    "foreground": _FOREGROUND,
    "background": _BACKGROUND,
    "guided_radius": _RADIUS,
    "guided_epsilon": _EPSILON,
    "pad": _PAD,
    "iterations": ITERATIONS,
}


def sharpness(blurry: Bytes) -> Floats:
    """Compute S of one frame.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.

    Returns:
        ``(H, W)`` float32 in [0.03837, 0.96163]. A frame without any pattern (constant, say) holds no evidence
        and gets the lowest value everywhere.

    Raises:
        ValueError: If the frame is smaller than 16 pixels.

    Source: Yi & Eramian 2016.
    """
    if min(blurry.shape[:2]) < SMALLEST:
        raise ValueError(f"frame is {blurry.shape[0]} x {blurry.shape[1]}; wanted at least {SMALLEST} x {SMALLEST}")
    grey = cv2.cvtColor(blurry, cv2.COLOR_RGB2GRAY).astype(np.float32)  # whole numbers 0..255
    threshold = max(_THRESHOLD, _NOISE_FACTOR * noise(grey))
    bits = non_uniform(grey, threshold)
    layers = np.stack([_matte(grey, bits, window) for window in WINDOWS])  # (L, H, W)
    spread = float(layers.std())
    scores = (layers - layers.mean()) / (spread or 1)  # all zero where there is nothing to tell apart
    ratios = np.clip(2 * scores - 1, -1, 1)
    padded = np.pad(ratios, ((0, 0), (_PAD, _PAD), (_PAD, _PAD)), mode="edge")
    return np.ascontiguousarray(propagate(padded)[0, _PAD:-_PAD, _PAD:-_PAD])


def noise(grey: Floats) -> float:
    """Estimate the standard deviation of white noise in grey levels, robustly against the picture's edges.

    Median of the absolute diagonal Haar details over 0.6745.

    Source: Donoho & Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage".
    """
    height, width = (side // 2 * 2 for side in grey.shape)
    even, odd = grey[0:height:2, :width], grey[1:height:2, :width]
    details = (even[:, 0::2] - even[:, 1::2] - odd[:, 0::2] + odd[:, 1::2]) / 2
    return float(np.median(np.abs(details))) / 0.6745


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


def _matte(grey: Floats, bits: Floats, window: int) -> Floats:
    """The share of bits in a window, scaled over the frame, as an alpha matte that follows the frame's edges."""
    share = _mean(bits, window, cv2.BORDER_REPLICATE)
    low, high = float(share.min()), float(share.max())
    scaled = (share - low) / ((high - low) or 1)
    ramp = np.clip((scaled - _BACKGROUND) / (_FOREGROUND - _BACKGROUND), 0, 1)
    return np.clip(guided_filter(grey / np.float32(255), ramp), 0, 1)


def _mean(image: Floats, window: int, border: int) -> Floats:
    return np.asarray(cv2.blur(image, (window, window), borderType=border), np.float32)


def guided_filter(guide: Floats, source: Floats) -> Floats:
    """Filter ``source`` so that its edges are those of ``guide``; both ``(H, W)`` in [0, 1].

    Source: He, Sun & Tang 2010, "Guided image filtering", equations 5, 6 and 8.
    """

    def mean(image: Floats) -> Floats:
        return _mean(image, 2 * _RADIUS + 1, cv2.BORDER_REFLECT)

    guide_mean, source_mean = mean(guide), mean(source)
    covariance = mean(guide * source) - guide_mean * source_mean
    variance = mean(guide * guide) - guide_mean * guide_mean
    slope = covariance / (variance + np.float32(_EPSILON))
    intercept = np.asarray(source_mean - slope * guide_mean, np.float32)
    return mean(np.asarray(slope, np.float32)) * guide + mean(intercept)


def propagate(ratios: Floats, iterations: int = ITERATIONS) -> Floats:
    """Sum-product belief propagation over two labels, four neighbours in a layer and one in each adjoining layer.

    All messages of a round are computed from those of the round before. With e = exp(-0.5), T the product of a
    node's ratio and its incoming messages and m the message that came back along the edge, the message that goes
    out is (T / m + e) / (e T / m + 1) = (T + e m) / (e T + m).

    Args:
        ratios: ``(L, H, W)`` log of P(sharp) / P(blurred) of each node.
        iterations: Rounds.

    Returns:
        ``(L, H, W)`` belief of "sharp" in (0, 1).
    """
    node = np.exp(ratios, dtype=np.float32)
    # messages[axis] = (those that came from the lower index, those from the higher), at the receiver's place
    messages = [(np.ones_like(node), np.ones_like(node)) for _ in range(3)]
    for _ in range(iterations):
        total = _product(node, messages)
        damped = total * np.float32(np.exp(-COUPLING))
        for axis, (rising, falling) in enumerate(messages):
            lower, upper = _along(axis, slice(None, -1)), _along(axis, slice(1, None))
            up = _message(total[lower], damped[lower], falling[lower])
            falling[lower] = _message(total[upper], damped[upper], rising[upper])
            rising[upper] = up
    total = _product(node, messages)
    return total / (1 + total)


def _product(node: Floats, messages: list[tuple[Floats, Floats]]) -> Floats:
    total = node.copy()
    for rising, falling in messages:
        total *= rising
        total *= falling
    return total


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if place == axis else slice(None) for place in range(3))


def _message(total: Floats, damped: Floats, back: Floats) -> Floats:
    message = back * np.float32(np.exp(-COUPLING))
    message += total
    message /= damped + back
    return message
