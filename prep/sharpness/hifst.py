"""S by HiFST: Golestaneh & Karam 2017, "Spatially-varying blur detection based on multiscale fused and sorted
transform coefficients of gradient magnitudes".

Sharp places have high frequencies in every window and at every angle, so that even the smallest of their coefficients
are large. The high-frequency DCT coefficients of the gradient magnitude are taken together from windows of 7, 15, 31
and 63 pixels around each pixel and sorted; the smallest ones form the layers. The maximum of the layers, weighted by
local entropy and smoothed along the frame's edges, is the map F. Every pixel is computed, none interpolated.

Unlike this module, the released code rounds the smoothed frame to 8 bits before the gradient, and it stretches the
filter's guide to [0, 1] and smooths it again. In both, the entropy is that of the layers' maximum in 256 levels.

Legend: H, W a frame's height and width; K = 117 layers.
"""

import cv2
import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Codes, Floats
from prep.compiled import compiled
from prep.sharpness import hifst_layers, size

THRESHOLD = 0.09  # threshold on F in the published method's masks, the same for defocus and motion
STEEPNESS = 2.0  # k, chosen freely: S = 0.5 at F = 0.018; masks do not depend on k, as S = 0.96 at F = THRESHOLD always
ODDS = 24.0  # S / (1 - S) at S = 0.96
CEILING = float(np.float32(ODDS / (ODDS + THRESHOLD**STEEPNESS)))  # S at F = 1, in float32 like S
_SMOOTHING = 0.5  # standard deviation in pixels
_ENTROPY_WINDOW = 7
_SPACE, _RANGE, _ITERATIONS = 15.0, 0.25, 3  # sigmas of the domain transform in pixels and in grey levels of 0..1

PARAMETERS = {
    "layers": hifst_layers.LAYERS,
    "smallest_window": hifst_layers.WINDOWS[0],
    "largest_window": hifst_layers.WINDOWS[-1],
    "smoothing": _SMOOTHING,
    "entropy_window": _ENTROPY_WINDOW,
    "sigma_s": _SPACE,
    "sigma_r": _RANGE,
    "iterations": _ITERATIONS,
    "threshold": THRESHOLD,
    "steepness": STEEPNESS,
}

Doubles = npt.NDArray[np.float64]

_COUNTS = np.arange(_ENTROPY_WINDOW**2 + 1)
_TERMS = _COUNTS * np.log2(np.maximum(_COUNTS, 1)) / _COUNTS[-1]  # c log2 c / n


def sharpness(blurry: Bytes, sharp: Bytes | None = None) -> Floats:
    """Compute S of one frame.

    S = sigmoid(ln 24 + k ln(F / 0.09)), k = 2: the published threshold F = 0.09 becomes S = 0.96. F is scaled over the
    frame, so the sharpest place of any frame reaches the ceiling. The gradient is zero outside the frame.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: Ignored; all methods share one signature.

    Returns:
        ``(H, W)`` float32 in [0, 0.99966]. A constant frame gets 0 everywhere.

    Raises:
        ValueError: If the frame is smaller than 16 pixels.

    Source: Golestaneh & Karam 2017.
    """
    size.check(blurry)
    grey = smoothed(blurry)
    fused = fuse(hifst_layers.sorted_layers(gradient(grey)))
    weighted = fused * local_entropy(np.rint(255 * scaled(fused)).astype(np.uint8))
    return to_sharpness(scaled(edge_aware(weighted, grey / np.float32(255))))


def smoothed(frame: Bytes) -> Floats:
    """Convert a frame to grey levels, 0..255, and smooth them with a Gaussian of sigma 0.5 pixels; not rounded."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), _SMOOTHING), np.float32)


def gradient(grey: Floats) -> Floats:
    """Compute the Sobel gradient magnitude, ``(H, W)`` in [0, 1443]; the frame's border is replicated."""
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.hypot(across, down), np.float32)


def to_sharpness(fraction: Floats) -> Floats:
    """Compute S from F in [0, 1]: sigmoid(ln 24 + k ln(F / 0.09)), written without logarithms; 0.96 at F = 0.09."""
    odds = ODDS * fraction.astype(np.float64) ** STEEPNESS
    return np.asarray(odds / (odds + THRESHOLD**STEEPNESS), np.float32)


def scaled(image: Floats | Doubles) -> Floats:
    """Scale an image linearly to [0, 1] over the frame; a constant image becomes 0."""
    low, high = float(image.min()), float(image.max())
    return ((image - low) / ((high - low) or 1)).astype(np.float32)


def fuse(codes: Codes) -> Floats:
    """Compute the map T: scale each layer to [0, 1] over the frame and take the maximum of the layers at every pixel.

    Args:
        codes: ``(K, H, W)`` from ``sorted_layers``.

    Returns:
        ``(H, W)`` float32 in [0, 1]. A constant layer counts as 0.
    """
    magnitudes = hifst_layers.to_magnitudes(np.arange(2**16, dtype=np.uint16))
    fused = np.zeros(codes.shape[1:], np.float32)
    for layer in codes:
        low, high = magnitudes[layer.min()], magnitudes[layer.max()]
        table = (magnitudes - low) / ((high - low) or np.float32(1))
        np.maximum(fused, cv2.LUT(layer, table), out=fused)
    return fused


def local_entropy(levels: Bytes) -> Floats:
    """Compute the entropy in bits of the 256 levels in the 7x7 window around every pixel; the border is mirrored.

    Returns:
        ``(H, W)`` float32 in [0, 5.615]; the maximum is log2 49, reached if all 49 pixels differ.
    """
    entropy = np.empty(levels.shape, np.float32)
    _fill_entropy(np.pad(levels, _ENTROPY_WINDOW // 2, mode="symmetric"), entropy)
    return entropy


@compiled
def _fill_entropy(padded: Bytes, entropy: Floats) -> None:
    """Slide a histogram along each row: E = log2 n - sum c log2 c / n for n pixels, with c the count of each level."""
    for y in range(entropy.shape[0]):
        counts = np.zeros(256, np.int64)
        total = 0.0
        for x in range(padded.shape[1]):
            for level in padded[y : y + _ENTROPY_WINDOW, x]:
                total += _TERMS[counts[level] + 1] - _TERMS[counts[level]]
                counts[level] += 1
            if x >= _ENTROPY_WINDOW - 1:
                entropy[y, x - _ENTROPY_WINDOW + 1] = max(0.0, np.log2(_ENTROPY_WINDOW**2) - total)
                for level in padded[y : y + _ENTROPY_WINDOW, x - _ENTROPY_WINDOW + 1]:
                    total += _TERMS[counts[level] - 1] - _TERMS[counts[level]]
                    counts[level] -= 1


def edge_aware(image: Floats, guide: Floats) -> Doubles:
    """Smooth ``image`` along the edges of ``guide`` with the domain transform's recursive filter.

    Args:
        image: ``(H, W)``.
        guide: ``(H, W)`` in [0, 1].

    Returns:
        ``(H, W)`` float64.

    Source: Gastal & Oliveira 2011, "Domain transform for edge-aware image and video processing", equations 11 and
    14 and the appendix.
    """
    across, down = (1 + _SPACE / _RANGE * np.abs(np.diff(guide.astype(np.float64), axis=axis)) for axis in (1, 0))
    filtered = image.astype(np.float64)
    for iteration in range(_ITERATIONS):
        sigma = _SPACE * np.sqrt(3) * 2.0 ** (_ITERATIONS - 1 - iteration) / np.sqrt(4.0**_ITERATIONS - 1)
        feedback = np.exp(-np.sqrt(2) / sigma)
        filtered = np.ascontiguousarray(filtered.T)
        _recur(filtered, feedback ** np.ascontiguousarray(across.T))
        filtered = np.ascontiguousarray(filtered.T)
        _recur(filtered, feedback**down)
    return filtered


def _recur(rows: Doubles, weights: Doubles) -> None:
    """Mix each row with the previous one, downwards and then upwards; ``weights[i]`` is for rows i and i + 1."""
    for i in range(1, len(rows)):
        rows[i] += weights[i - 1] * (rows[i - 1] - rows[i])
    for i in reversed(range(len(rows) - 1)):
        rows[i] += weights[i] * (rows[i + 1] - rows[i])
