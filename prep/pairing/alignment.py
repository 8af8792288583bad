"""Align two frames of the same scene: measure the shift between them, and how much of one the other explains.

Both are measured at reduced size, where motion blur is short, and on the mean of the channels, so that the channels'
order does not matter.

Legend: h, w the reduced frame's height and width.
"""

from typing import Any, TypeAlias, TypeVar, cast

import cv2
import numpy as np

from prep.arrays import Bytes, Floats

Frame = TypeVar("Frame", Bytes, Floats)
Shift: TypeAlias = tuple[float, float]
"""x, y in pixels: the blurry frame at p shows what the sharp one shows at p - shift."""

_SIDE = 320  # longer side in pixels of the reduced frames, in which shifts are measured
_COARSE_SIDE = 40  # approximate longer side in pixels of the coarse frames, in which scenes are compared
_STEPS = 3  # Gauss-Newton steps per level
_BAND = 4.0  # sigma in coarse pixels of the filter that removes a scene's slow shading and keeps its layout
_PEAK_BAND = 8.0  # the same for the search for a large shift, in pixels of half the reduced size
_LEAST_OVERLAP = 0.4  # least share of each side that shifted frames must have in common
_MARGIN = 2  # pixels left out at the overlap's edges, for the filters
_FLAT = 2.0  # grey levels: if the standard deviation of both coarse frames is below, they cannot be compared


def reduced(frame: Bytes) -> Bytes:
    """Reduce a frame to the size at which it is compared; a small frame is returned unchanged."""
    height, width = frame.shape[:2]
    scale = _SIDE / max(height, width)
    if scale >= 1:
        return frame
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def brightness(frame: Bytes) -> Floats:
    """Compute the mean of the channels, ``(h, w)``, which does not depend on their order."""
    return np.asarray(cv2.transform(frame, np.full((1, 3), 1 / 3)), np.float32)


def coarse(image: Floats) -> Floats:
    """Halve an image until its longer side is about 40 pixels."""
    for _ in range(max(0, round(np.log2(max(image.shape[:2]) / _COARSE_SIDE)))):
        image = np.asarray(cv2.pyrDown(image), np.float32)
    return image


def explained(blurry: Floats, sharp: Floats) -> tuple[float, float]:
    """Measure how well one frame explains the layout of the other, whatever the blur.

    A blurred frame lacks contrast that its partner has; another scene has contrast of its own. So correlation alone
    cannot tell strong blur from another scene. The unexplained variance relative to the sharp frame's variance can: it
    stays small for a partner blurred by any kernel.

    Args:
        blurry: ``(h, w)`` brightness.
        sharp: The same.

    Returns:
        The correlation, in [-1, 1], and the unexplained variance of ``blurry`` as a multiple of the variance of
        ``sharp``. Both are NaN if neither frame has texture.
    """
    b, g = (_band(coarse(each), _BAND) for each in (blurry, sharp))
    blurry_variance, sharp_variance = float((b * b).mean()), float((g * g).mean())
    if max(blurry_variance, sharp_variance) < _FLAT**2:
        return float("nan"), float("nan")
    product = float((b * g).mean())
    correlation = product / np.sqrt(max(blurry_variance * sharp_variance, 1e-12))
    unexplained = blurry_variance * (1 - correlation**2) / max(sharp_variance, 1e-6)
    return float(correlation), float(unexplained)


def small_shift(blurry: Floats, sharp: Floats) -> Shift:
    """Find the shift nearest to zero that aligns the frames; in a true pair it is the mean of the blur's kernel.

    Least squares with gain and offset, from coarse to fine (Lucas & Kanade 1981).

    Args:
        blurry: ``(h, w)`` brightness.
        sharp: The same.

    Returns:
        The shift, accurate to about a tenth of a pixel.
    """
    return _refined(blurry, sharp, (0.0, 0.0), is_known=False)


def large_shift(blurry: Floats, sharp: Floats) -> Shift:
    """Find the shift of any length at which the frames' textures correlate best, in the format of ``small_shift``."""
    b, g = (np.asarray(cv2.pyrDown(each), np.float32) for each in (blurry, sharp))
    height, width = b.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    first, second = (np.fft.rfft2(_band(each, _PEAK_BAND) * window) for each in (b, g))
    product = first * np.conj(second)
    size = np.abs(product)
    surface = np.fft.irfft2(product / np.sqrt(size + 1e-3 * size.max() + 1e-9), s=b.shape)
    most_y, most_x = (int((1 - _LEAST_OVERLAP) * side) for side in b.shape)
    near = np.roll(surface, (height // 2, width // 2), (0, 1))[
        height // 2 - min(most_y, height // 2) : height // 2 + most_y + 1,
        width // 2 - min(most_x, width // 2) : width // 2 + most_x + 1,
    ]
    y, x = np.unravel_index(int(near.argmax()), near.shape)
    start = (2.0 * (x - min(most_x, width // 2)), 2.0 * (y - min(most_y, height // 2)))
    return _refined(blurry, sharp, start, is_known=True)


def overlap(blurry: Frame, sharp: Frame, shift: Shift) -> tuple[Frame, Frame]:
    """Crop two frames to the part that both show, with the sharp one moved by ``shift``; any number of channels."""
    window = _inner(blurry.shape, shift)
    return blurry[window], _moved(sharp, shift)[window]


def left_by(blurry: Floats, sharp: Floats, shift: Shift) -> float:
    """Compute the share of the difference between two frames that remains once the shift is undone.

    Differences in gain and offset are ignored.
    """
    window = _inner(blurry.shape, shift)
    target, before, after = (each[window].ravel() for each in (blurry, sharp, _moved(sharp, shift)))
    differences = [1 - float(np.corrcoef(target, each)[0, 1]) ** 2 for each in (before, after)]
    return differences[1] / max(differences[0], 1e-9)


def _refined(blurry: Floats, sharp: Floats, start: Shift, *, is_known: bool) -> Shift:
    """Refine ``start`` by Gauss-Newton steps, from the coarsest level on; ``is_known``: at the finest level only."""
    levels = [(blurry, sharp)]
    while not is_known and max(levels[-1][0].shape) > _COARSE_SIDE * 1.5 and min(levels[-1][0].shape) >= 32:
        b, g = (np.asarray(cv2.pyrDown(each), np.float32) for each in levels[-1])
        levels.append((b, g))
    scale = 2.0 ** (len(levels) - 1)
    x, y = start[0] / scale, start[1] / scale
    for level, (b, g) in enumerate(reversed(levels)):
        if level:
            x, y = 2 * x, 2 * y
        b, g = _smooth(b), _smooth(g)
        for _ in range(_STEPS):
            step = _step(b, g, (x, y))
            x, y = x + step[0], y + step[1]
            if not _is_possible(b.shape, (x, y)):
                return start
    return float(x), float(y)


def _step(blurry: Floats, sharp: Floats, shift: Shift) -> Shift:
    """Compute one step of least squares: blurry = gain * (sharp - step . grad sharp) + offset."""
    window = _inner(blurry.shape, shift)
    moved = _moved(sharp, shift)
    along, down = (cv2.Sobel(moved, -1, 1 - axis, axis, scale=1 / 8) for axis in (0, 1))
    terms = np.stack([each[window].ravel() for each in (-along, -down, moved, np.ones_like(moved))])
    left, right = terms @ terms.T, terms @ blurry[window].ravel()
    x, y, gain, _ = np.linalg.lstsq(left.astype(np.float64), right.astype(np.float64), rcond=None)[0]
    gain = max(float(gain), 0.2)
    return float(x) / gain, float(y) / gain


def _is_possible(shape: tuple[int, ...], shift: Shift) -> bool:
    """Return whether frames with this shift still overlap enough to be compared."""
    share = min(1 - abs(distance) / side for distance, side in zip(shift, (shape[1], shape[0]), strict=True))
    return bool(share >= _LEAST_OVERLAP)  # False for NaN


def _inner(shape: tuple[int, ...], shift: Shift) -> tuple[slice, slice]:
    """Return the rows and columns that both frames cover, less a margin for the filters."""
    first, second = (
        slice(max(0, int(np.ceil(distance))) + _MARGIN, side + min(0, int(np.floor(distance))) - _MARGIN)
        for distance, side in zip(shift, (shape[1], shape[0]), strict=True)
    )
    return second, first


def _moved(image: Frame, shift: Shift) -> Frame:
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    size = (image.shape[1], image.shape[0])
    moved: Any = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cast(Frame, moved)


def zoomed(blurry: Floats, sharp: Floats, zoom: float) -> tuple[Floats, Floats]:
    """Crop two frames to the part that both show, with the sharp one enlarged by ``zoom`` about its middle."""
    height, width = sharp.shape
    matrix = np.array([[zoom, 0, (1 - zoom) * (width - 1) / 2], [0, zoom, (1 - zoom) * (height - 1) / 2]], np.float32)
    flags = cv2.INTER_LINEAR if zoom > 1 else cv2.INTER_AREA
    larger = cv2.warpAffine(sharp, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    x, y = (int(np.ceil(max(0.0, 1 - zoom) * side / 2)) for side in (width, height))
    window = np.s_[y : height - y, x : width - x]
    return blurry[window], np.asarray(larger, np.float32)[window]


def _smooth(image: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE), np.float32)


def _band(image: Floats, sigma: float) -> Floats:
    slow = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(image - slow, np.float32)
