"""S by the extent of the blur itself, measured between a blurry frame and its sharp partner. Ours.

Around each pixel the blurry frame b is the sharp frame g seen through a small kernel. Expanded to second order,

    b - g = -m . grad g + 1/2 tr(C hess g),

where m is the kernel's mean and C its second moments about the sharp frame's pixel. Both follow from least squares
over a window: five unknowns a pixel. C - m m' is the kernel's covariance; a straight stroke of L pixels has L^2 / 12
as its largest eigenvalue. So the map needs no search over directions or lengths, does not mind a shift between the
frames, and looks along the motion even where the texture lies across it.

The expansion holds while L is small against the smoothing, so it is made at half, quarter, eighth and sixteenth
size; a pixel takes the finest level that has texture and at which L is small enough against the smoothing for the
expansion to hold (a level on which it is not reads too short: it saturates). Texture that a level lacks is looked for
in the wider windows of the coarser ones: flat places get the extent of their surroundings.

What lost, on the same pictures (AUC for extents up to 3 against from 8 pixels on 240 fps frames): gradient energy of
blurry over sharp, all directions together (0.975) or least of eight (0.988), neither of which is an extent; the
expansion without m (0.960: frames are not aligned well enough); coarsest level first (0.992: it spreads over still
neighbours); a level at full size (four times the time, more noise).

Legend: H, W the frame's height and width; h, w a level's.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from prep.arrays import Bytes, Floats
from prep.sharpness import size

EXTENT = 3.0  # pixels that S = 0.96 stands for
LEVELS = 4
_SIGMA = 0.8  # smoothing of both frames at each level, in its pixels
_WINDOW = 4.0  # Gaussian window of the least squares, in a level's pixels
_RIDGE = 0.5  # grey levels squared: texture below it counts for nothing
_BEND = 90.0  # the fourth order makes L^2 read L^2 (1 - L^2 / (_BEND s^2)) at smoothing s; chosen on
# 240 fps frames, whose spectra fall more steeply than 1 / f: that would give 40
_SMALLEST_LEVEL = 4  # pixels
_TRUSTED, _SATURATED = 2.5, 3.5  # L / s up to which, and from which not, a level is believed
_SPREAD = 24 * EXTENT**2  # pixels squared: S = 24 / 25 at EXTENT, 1 / 2 at its root

CEILING = 1.0
MU = 0.85  # usual threshold: 6.2 pixels; at 0.96 real frames have almost no small blur
PARAMETERS = {
    "extent": EXTENT,
    "levels": LEVELS,
    "sigma": _SIGMA,
    "window": _WINDOW,
    "ridge": _RIDGE,
    "bend": _BEND,
    "trusted": _TRUSTED,
    "saturated": _SATURATED,
}

_SECOND = np.array([1, -2, 1], np.float32)
_FIRST = np.array([-0.5, 0, 0.5], np.float32)
_KEEP = np.array([1], np.float32)


def sharpness(blurry: Bytes, sharp: Bytes | None = None) -> Floats:
    """Compute S of one frame from the extent L of its blur: S = 1 / (1 + (L / 3)^2 / 24), so S = 0.96 at 3 pixels.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: Its sharp partner, ``(H, W, 3)`` uint8 RGB.

    Returns:
        ``(H, W)`` float32 in [0, 1]: 1 for no blur, 0.77 for 8 pixels, 0.5 for 14.7, 0.12 for 40. Where there is no
        texture within reach nothing can be known and S is 0: the pixel counts as blurred.

    Raises:
        ValueError: If there is no sharp frame, its size differs or the frames are smaller than 16 pixels.
    """
    if sharp is None or sharp.shape != blurry.shape:
        given = "none" if sharp is None else f"{sharp.shape[1]} x {sharp.shape[0]}"
        raise ValueError(f"the sharp frame is {given}, the blurry frame is {blurry.shape[1]} x {blurry.shape[0]}")
    return sharpness_of(extent(blurry, sharp))


def sharpness_of(extent: Floats) -> Floats:
    """S of extents in pixels, of any shape."""
    return np.asarray(1 / (1 + extent * extent / np.float32(_SPREAD)), np.float32)


def extent_of(sharpness: Floats) -> Floats:
    """The extent L in pixels that ``sharpness`` stands for; infinite where S is 0 and nothing could be measured."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(np.float32(_SPREAD) * (1 / np.asarray(sharpness, np.float32) - 1)), np.float32)


def extent(blurry: Bytes, sharp: Bytes) -> Floats:
    """Measure the extent of the blur at each pixel, as that of a straight, even stroke.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: ``(H, W, 3)`` uint8 RGB.

    Returns:
        ``(H, W)`` float32 pixels: the stroke with the kernel's largest variance; up to about 100. Infinite where no
        level has texture.
    """
    size.check(blurry)
    *finer, (length, _, seen) = _levels(blurry, sharp)
    for fine, weight, texture in reversed(finer):
        length = weight * fine + (1 - weight) * _resize(length, fine.shape)
        seen = np.maximum(texture, _resize(seen, texture.shape))
    length[seen < _RIDGE] = np.inf
    return _enlarge(length, blurry.shape[:2])


def _levels(blurry: Bytes, sharp: Bytes) -> Iterator[tuple[Floats, Floats, Floats]]:
    """From fine to coarse, each ``(h / 2, w / 2)``: extent in the frame's pixels, trust in [0, 1], texture."""
    pair = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in (blurry, sharp)]
    for level in range(1, LEVELS + 1):
        pair = [np.asarray(cv2.pyrDown(frame), np.float32) for frame in pair]  # (h, w)
        if min(pair[0].shape) < _SMALLEST_LEVEL:
            return
        variance, texture = _moments(*pair)  # (h / 2, w / 2)
        smoothing = np.float32(_SIGMA**2 + (1 - 4.0**-level) / 3)  # the pyramid's own is 1/4 + 1/16 + ...
        ratio = np.sqrt(_unbend(12 * variance / smoothing))
        trust = np.clip((_SATURATED - ratio) / (_SATURATED - _TRUSTED), 0, 1) * texture / (texture + _RIDGE)
        yield ratio * (np.sqrt(smoothing) * 2**level), trust, texture


def _moments(blurry: Floats, sharp: Floats) -> tuple[Floats, Floats]:
    """Largest variance of the local kernel in square pixels, and texture: mean square of the second differences."""
    smooth, target = (cv2.GaussianBlur(frame, (0, 0), _SIGMA) for frame in (sharp, blurry))
    terms = [
        cv2.sepFilter2D(smooth, -1, along, down)
        for along, down in ((_SECOND, _KEEP), (_FIRST, _FIRST), (_KEEP, _SECOND), (_FIRST, _KEEP), (_KEEP, _FIRST))
    ]
    terms[1] *= 2
    difference = target - smooth
    count = len(terms)
    right = np.stack([_window(term * difference) for term in terms], axis=-1)  # (h / 2, w / 2, 5)
    left = np.empty((*right.shape, count), np.float32)  # (h / 2, w / 2, 5, 5)
    for row in range(count):
        for column in range(row, count):
            left[..., row, column] = left[..., column, row] = _window(terms[row] * terms[column])
    texture = left[..., 0, 0] + left[..., 2, 2]
    left += _RIDGE * np.eye(count, dtype=np.float32)
    solution = np.linalg.solve(left, right[..., None])[..., 0]
    return _largest_variance(solution), texture


def _largest_variance(solution: Floats) -> Floats:
    """From C_xx / 2, C_xy / 2, C_yy / 2 and -m, ``(..., 5)``: the larger eigenvalue of C - m m', at least 0."""
    x, y = solution[..., 3], solution[..., 4]
    xx, xy, yy = (2 * solution[..., place] - product for place, product in enumerate((x * x, x * y, y * y)))
    return np.asarray(np.maximum((xx + yy) / 2 + np.hypot((xx - yy) / 2, xy), 0), np.float32)


def _window(image: Floats) -> Floats:
    """Mean under the Gaussian window, at half the size: ``(h, w)`` -> ``(h / 2, w / 2)``."""
    half = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(half, (0, 0), _WINDOW / 2), np.float32)


def _unbend(squared: Floats) -> Floats:
    """Solve x (1 - x / _BEND) = ``squared`` for x; past the vertex, the vertex."""
    return np.asarray(_BEND / 2 * (1 - np.sqrt(np.maximum(1 - 4 / _BEND * squared, 0))), np.float32)


def _resize(image: Floats, shape: tuple[int, ...]) -> Floats:
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _enlarge(length: Floats, shape: tuple[int, ...]) -> Floats:
    """To the frame's size; a pixel nearer to a place with texture than to one without has an extent."""
    known = np.isfinite(length)
    full = _resize(np.where(known, length, np.float32(0)), shape)
    share = _resize(known.astype(np.float32), shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share >= 0.5, full / share, np.float32(np.inf))
