"""S from the extent of the blur, measured between a blurry frame and its sharp partner; our own method.

Around each pixel, the blurry frame b is the sharp frame g convolved with a small kernel. Expanded to second order,

    b - g = -m . grad g + 1/2 tr(C hess g),

where m is the kernel's mean and C its second moments about the sharp frame's pixel. Both are estimated by least squares
over a window, with five unknowns per pixel. C - m m' is the kernel's covariance; for a straight stroke of L pixels its
largest eigenvalue is L^2 / 12. So the method needs no search over directions or lengths, tolerates a shift between the
frames, and measures along the motion even where the texture lies across it.

The expansion holds while L is small relative to the smoothing, so it is made at half, quarter, eighth and sixteenth
size. A pixel takes the finest level that has texture and at which the expansion holds; at levels where L is too large
for it, the measured L saturates and is too short. Where a level lacks texture, the coarser levels with their wider
windows are used: flat places get the extent of their surroundings.

Alternatives that did worse on the same pictures, with the AUC for telling extents of up to 3 pixels from those of 8 or
more on 240 fps frames:

* Gradient energy of blurry over sharp, all directions together (0.975) or the least of eight (0.988); neither is an
  extent.
* The expansion without m (0.960): frames are not aligned well enough.
* The coarsest level first (0.992): the blur spreads to neighbours that do not move.
* A level at full size: four times the time, and more noise.

Legend: H, W the frame's height and width; h, w a level's height and width.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from prep.arrays import Bytes, Floats
from prep.sharpness import size

EXTENT = 3.0  # extent at S = 0.96, in pixels
LEVELS = 4
_SIGMA = 0.8  # standard deviation of the smoothing of both frames, in a level's pixels
_WINDOW = 4.0  # standard deviation of the least squares' Gaussian window, in a level's pixels
_RIDGE = 0.5  # ridge of the least squares, and least texture, in grey levels squared
# Because of the fourth-order term, L^2 is measured as L^2 (1 - L^2 / (_BEND s^2)) at smoothing s. The value was chosen
# on 240 fps frames, whose spectra fall more steeply than 1 / f; a spectrum of 1 / f would give 40.
_BEND = 90.0
_SMALLEST_LEVEL = 4  # pixels of the shorter side
_TRUSTED, _SATURATED = 2.5, 3.5  # L / s up to which a level has full trust, and from which on it has none
_SPREAD = 24 * EXTENT**2  # pixels squared: S = 24 / 25 at EXTENT, 1 / 2 at the root of _SPREAD

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
        ``(H, W)`` float32 in [0, 1]: 1 for no blur, 0.77 for 8 pixels, 0.5 for 14.7, 0.12 for 40. S is 0 where no
        texture is within reach, because the extent is unknown there: the pixel counts as blurred.

    Raises:
        ValueError: If there is no sharp frame, its size differs or the frames are smaller than 16 pixels.
    """
    if sharp is None or sharp.shape != blurry.shape:
        given = "none" if sharp is None else f"{sharp.shape[1]} x {sharp.shape[0]}"
        raise ValueError(f"the sharp frame is {given}, the blurry frame is {blurry.shape[1]} x {blurry.shape[0]}")
    return sharpness_of(extent(blurry, sharp))


def sharpness_of(extent: Floats) -> Floats:
    """Compute S from extents in pixels, an array of any shape."""
    return np.asarray(1 / (1 + extent * extent / np.float32(_SPREAD)), np.float32)


def extent_of(sharpness: Floats) -> Floats:
    """Compute the extent L in pixels from S; infinite where S is 0, that is where nothing could be measured."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(np.float32(_SPREAD) * (1 / np.asarray(sharpness, np.float32) - 1)), np.float32)


def extent(blurry: Bytes, sharp: Bytes) -> Floats:
    """Measure the extent of the blur at each pixel, as the length of a straight, even stroke.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: ``(H, W, 3)`` uint8 RGB.

    Returns:
        ``(H, W)`` float32 pixels, up to about 100: the length of the stroke whose variance is the kernel's largest one.
        Infinite where no level has texture.
    """
    size.check(blurry)
    *finer, (length, _, seen) = _levels(blurry, sharp)
    for fine, weight, texture in reversed(finer):
        length = weight * fine + (1 - weight) * _resize(length, fine.shape)
        seen = np.maximum(texture, _resize(seen, texture.shape))
    length[seen < _RIDGE] = np.inf
    return _enlarge(length, blurry.shape[:2])


def _levels(blurry: Bytes, sharp: Bytes) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield extent in the frame's pixels, trust in [0, 1] and texture, each ``(h / 2, w / 2)``, from fine to coarse."""
    pair = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in (blurry, sharp)]
    for level in range(1, LEVELS + 1):
        pair = [np.asarray(cv2.pyrDown(frame), np.float32) for frame in pair]  # (h, w)
        if min(pair[0].shape) < _SMALLEST_LEVEL:
            return
        variance, texture = _moments(*pair)  # (h / 2, w / 2)
        smoothing = np.float32(_SIGMA**2 + (1 - 4.0**-level) / 3)  # s^2; the pyramid adds 1/4 + 1/16 + ...
        ratio = np.sqrt(_unbend(12 * variance / smoothing))
        trust = np.clip((_SATURATED - ratio) / (_SATURATED - _TRUSTED), 0, 1) * texture / (texture + _RIDGE)
        yield ratio * (np.sqrt(smoothing) * 2**level), trust, texture


def _moments(blurry: Floats, sharp: Floats) -> tuple[Floats, Floats]:
    """Compute the local kernel's largest variance in square pixels, and texture: mean square of second differences."""
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
    """Compute the larger eigenvalue of C - m m', at least 0, from C_xx / 2, C_xy / 2, C_yy / 2 and -m, ``(..., 5)``."""
    x, y = solution[..., 3], solution[..., 4]
    xx, xy, yy = (2 * solution[..., place] - product for place, product in enumerate((x * x, x * y, y * y)))
    return np.asarray(np.maximum((xx + yy) / 2 + np.hypot((xx - yy) / 2, xy), 0), np.float32)


def _window(image: Floats) -> Floats:
    """Compute the mean under the Gaussian window, at half the size: ``(h, w)`` -> ``(h / 2, w / 2)``."""
    half = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(half, (0, 0), _WINDOW / 2), np.float32)


def _unbend(squared: Floats) -> Floats:
    """Solve x (1 - x / _BEND) = ``squared`` for x; if there is no solution, return the x of the vertex."""
    return np.asarray(_BEND / 2 * (1 - np.sqrt(np.maximum(1 - 4 / _BEND * squared, 0))), np.float32)


def _resize(image: Floats, shape: tuple[int, ...]) -> Floats:
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _enlarge(length: Floats, shape: tuple[int, ...]) -> Floats:
    """Enlarge to the frame's size; pixels nearer to a place with texture than to one without get an extent."""
    known = np.isfinite(length)
    full = _resize(np.where(known, length, np.float32(0)), shape)
    share = _resize(known.astype(np.float32), shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share >= 0.5, full / share, np.float32(np.inf))
