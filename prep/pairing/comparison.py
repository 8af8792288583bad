"""Check by their content whether a blurry and a sharp frame are a pair.

Legend: H, W a frame's height and width.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from prep.arrays import Bytes, Floats
from prep.pairing import alignment
from prep.pairing.alignment import Shift
from prep.sharpness import paired
from prep.sharpness.size import SMALLEST

EQUAL, SCENE, SHIFT, SCALE, CHANNELS, GAMMA = "equal", "scene", "shift", "scale", "channels", "gamma"

_LEAST_SIDE = 32  # pixels: smaller frames are only tested for equality
_SURE_CORRELATION = 0.75  # correlation that alone proves the same scene; another moment of it has up to 0.7
# Least correlation and largest unexplained variance of a partner: one blurred by 60 pixels of 768 has 0.4 and 0.19;
# other scenes have an unexplained variance of 0.5 or more.
_LEAST_CORRELATION = 0.4
_MOST_UNEXPLAINED = 0.3
_LIT_CORRELATION = 0.33  # least correlation at night, if lights that are saturated in the sharp frame draw trails
_LIT_CONTRAST = 1.5  # least variance of blurry over sharp there: trails add contrast, which no other blur does
_LEAST_SHIFT = 0.01  # share of the longer side; smaller shifts show only over a whole data set (``search.py``)
_LEFT = 0.5  # largest share of the difference between the frames that remains once a true shift is undone
_FAR = 0.15  # share of the longer side; at larger shifts, the overlap of two scenes may look alike by chance
_OUTSIDE = 0.75  # share of the blur's length; a sharp frame from within the exposure is shifted by at most half of it
_EXCHANGED = -0.8  # correlation of red minus blue, below which red and blue are swapped
_LEAST_COLOUR = 4.0  # least root mean square of red minus blue, in grey levels
_LEAST_CHANGE = 8.0  # least root mean square difference that another gamma makes, in grey levels
_GAMMA_LEAVES = 0.35  # largest share of that difference that remains once the gamma is undone
_BESIDE_LINE = 0.9  # largest share of the residual of a linear fit, which covers exposure and black level: no faults
_UNSATURATED = 0.9  # least share of unsaturated pixels in a coarse pixel whose tones are compared
_LEAST_KNOWN = 0.1  # least share of such coarse pixels
_GAMMAS = np.exp(np.linspace(-1.2, 1.2, 25))  # gammas to try, 0.3 to 3.3
_FINER_GAMMAS = np.exp(np.linspace(-0.04, 0.04, 5))  # factors to try on the best of those
_LEAST_GAMMA = 1.15  # gammas between 1 / 1.15 and 1.15 are no fault
_ZOOMS = [2 ** (step / 8) for step in range(-12, 13) if step]  # factors to try, 0.35 to 2.8


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the two frames of a pair differ."""

    fault: str = ""  # one of the kinds above; empty if the frames match
    figure: str = ""  # the measured values, in words
    shift: Shift | None = None  # shift of blurry against sharp, x, y in pixels; None if unknown
    blur: float = 0.0  # median blur length in pixels; 0 if unknown
    left: float = 1.0  # share of the difference that remains after undoing the shift


def compare(blurry: Bytes, sharp: Bytes) -> Comparison:
    """Compare the frames of a pair.

    Blur of any length and direction, noise, compression, saturation and another exposure are not faults, nor is a
    sharp frame from the start or the end of the exposure. Frames without texture, or smaller than 32 pixels, cannot be
    judged and count as a pair.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: The same, of any size.
    """
    if blurry.shape != sharp.shape:
        return _compare_sizes(blurry, sharp)
    small = alignment.reduced(blurry), alignment.reduced(sharp)
    b, g = map(alignment.brightness, small)
    if cv2.norm(blurry, sharp, cv2.NORM_INF) == 0:
        return Comparison(fault=EQUAL if g.std() >= 1 else "")
    if min(b.shape) < _LEAST_SIDE:
        return Comparison()
    shift, is_same = _aligned(b, g)
    if is_same is None:
        return Comparison()
    if not is_same:
        zoom = _zoom(b, g)
        if zoom is not None:
            return Comparison(fault=SCALE, figure=f"about {zoom:.1f} times as large")
        correlation, _ = alignment.explained(b, g)
        return Comparison(fault=SCENE, figure=f"correlation {correlation:.2f}")
    factor = blurry.shape[1] / b.shape[1]
    found, left = (shift[0] * factor, shift[1] * factor), alignment.left_by(b, g, shift)
    blur = _blur(small, shift)
    fault, figure = _fault(small, shift, left, blur)
    if fault == SHIFT:
        figure = f"by {found[0]:.0f}, {found[1]:.0f} pixels (x, y)"
    return Comparison(fault=fault, figure=figure, shift=found, blur=blur * factor, left=left)


def _fault(small: tuple[Bytes, Bytes], shift: Shift, left: float, blur: float) -> tuple[str, str]:
    """Return the fault of two frames of the same scene, and the measured values in words; both empty if none."""
    least = _LEAST_SHIFT * max(small[0].shape)
    if left <= _LEFT and is_outside(shift, blur, least):
        return SHIFT, ""
    if _are_exchanged(*small):
        return CHANNELS, ""
    gamma = _gamma(*small, shift)
    return ("", "") if gamma is None else (GAMMA, f"about sharp to the power of {gamma:.2f}")


def _compare_sizes(blurry: Bytes, sharp: Bytes) -> Comparison:
    """Compare frames of unequal sizes; other checks report that the sizes differ."""
    (height, width), (sharp_height, sharp_width) = blurry.shape[:2], sharp.shape[:2]
    if abs(np.log(height * sharp_width / (width * sharp_height))) > 0.02 or min(blurry.shape[:2]) < _LEAST_SIDE:
        return Comparison()
    small = alignment.reduced(blurry if width < sharp_width else sharp)
    size = (small.shape[1], small.shape[0])
    frames = (np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA), np.uint8) for each in (blurry, sharp))
    if not _is_same(*map(alignment.brightness, frames)):
        return Comparison()
    sizes = f"{width} x {height} against {sharp_width} x {sharp_height} pixels"
    return Comparison(fault=SCALE, figure=f"{width / sharp_width:.2g} times as large: {sizes}")


def _aligned(blurry: Floats, sharp: Floats) -> tuple[Shift, bool | None]:
    """Find the shift between two frames, and whether they then show the same scene; None if that cannot be judged."""
    shift = alignment.small_shift(blurry, sharp)
    is_same = _is_same(*alignment.overlap(blurry, sharp, shift))
    is_far = np.hypot(*shift) > _FAR * max(sharp.shape)
    if is_same is False or (is_same and is_far and alignment.left_by(blurry, sharp, shift) > _LEFT):
        other = alignment.large_shift(blurry, sharp)
        is_found = alignment.left_by(blurry, sharp, other) <= _LEFT  # parts of any two scenes look alike
        if is_found and _is_same(*alignment.overlap(blurry, sharp, other)):
            return other, True
        return ((0.0, 0.0), True) if _is_same(blurry, sharp) else (shift, False)
    return shift, is_same


def _is_same(blurry: Floats, sharp: Floats) -> bool | None:
    correlation, unexplained = alignment.explained(blurry, sharp)
    if np.isnan(correlation):
        return None
    is_blurred = correlation >= _LEAST_CORRELATION and unexplained <= _MOST_UNEXPLAINED
    is_lit = correlation >= _LIT_CORRELATION and unexplained >= _LIT_CONTRAST * (1 - correlation**2)
    return correlation >= _SURE_CORRELATION or is_blurred or is_lit


def is_outside(shift: Shift, blur: float, least: float) -> bool:
    """Return whether frames are shifted further than their blur can explain; False if the blur is unknown.

    Args:
        shift: In pixels.
        blur: Length of the blur in pixels; 0 if unknown.
        least: Pixels of shift that are always allowed.
    """
    return blur > 0 and float(np.hypot(*shift)) > least + _OUTSIDE * blur


def _blur(small: tuple[Bytes, Bytes], shift: Shift) -> float:
    """Measure the median blur length in pixels, over places with texture; 0 if there are none."""
    b, g = map(np.ascontiguousarray, alignment.overlap(*small, shift))
    if min(b.shape[:2]) < SMALLEST:
        return 0.0
    extent = paired.extent(b, g)
    known = extent[np.isfinite(extent)]
    return float(np.median(known)) if known.size else 0.0


def _are_exchanged(blurry: Bytes, sharp: Bytes) -> bool:
    """Return whether red and blue are swapped."""
    b, g = (alignment.coarse(each[..., 0].astype(np.float32) - each[..., 2]) for each in (blurry, sharp))
    blurry_square, sharp_square = float((b * b).mean()), float((g * g).mean())
    if min(blurry_square, sharp_square) < _LEAST_COLOUR**2:
        return False
    return float((b * g).mean()) < _EXCHANGED * float(np.sqrt(blurry_square * sharp_square))


def _gamma(blurry: Bytes, sharp: Bytes, shift: Shift) -> float | None:
    """Find the power that maps the grey levels of sharp to those of blurry; None if there is none."""
    b, g = map(np.ascontiguousarray, alignment.overlap(blurry, sharp, shift))
    both = np.concatenate([b, g], axis=2)
    is_known = alignment.coarse(((both.min(axis=2) > 0) & (both.max(axis=2) < 255)).astype(np.float32)) > _UNSATURATED
    if is_known.mean() < _LEAST_KNOWN:
        return None

    def seen(frame: Bytes) -> Floats:
        return alignment.coarse(alignment.brightness(frame))[is_known]

    target, plain = seen(b), seen(g)
    change = _root_mean_square(target - plain)
    if change < _LEAST_CHANGE:
        return None

    def left(gamma: float) -> float:
        curve = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
        return _root_mean_square(target - seen(curve[g]))

    near = min(_GAMMAS, key=left)
    gamma = float(min(near * _FINER_GAMMAS, key=left))
    x, y = plain - plain.mean(), target - target.mean()
    by_line = _root_mean_square(y - x * float((x * y).sum() / max(float((x * x).sum()), 1e-6)))
    is_gamma = left(gamma) <= min(_GAMMA_LEAVES * change, _BESIDE_LINE * by_line)
    return gamma if is_gamma and not 1 / _LEAST_GAMMA < gamma < _LEAST_GAMMA else None


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


def _zoom(blurry: Floats, sharp: Floats) -> float | None:
    """Find the factor by which the blurry frame shows the scene larger than the sharp one; None if there is none."""
    b, g = (np.asarray(cv2.pyrDown(each), np.float32) for each in (blurry, sharp))
    found = [(alignment.explained(*alignment.zoomed(b, g, zoom)), zoom) for zoom in _ZOOMS]
    (correlation, unexplained), zoom = max(found, key=lambda each: each[0][0])
    return zoom if correlation >= 0.8 and unexplained <= _MOST_UNEXPLAINED else None
