"""The motion of a layer during the exposure, and the exact blur length that results from it.

Legend: H, W a frame's height and width; T the number of sub-frames, at the centres of equal parts of the exposure.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from prep.arrays import Floats, Size
from prep.io import extents
from prep.synthesis.trajectories import Stroke, draw_path, draw_sway, resample

_GAP = 1.5  # mean motion from one sub-frame to the next, pixels; smaller steps look the same
_LEAST = 5  # fewest sub-frames of a layer that moves

Numbers = npt.NDArray[np.float64]
_COMPASS: Numbers = np.array([(1, 0), (0, 1), (-1, 0), (0, -1), (0.7, 0.7), (-0.7, 0.7), (-0.7, -0.7), (0.7, -0.7)])


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Shift, rotation and scale about a centre; the middle sub-frame is the sharp frame.

    A point r of the sharp frame is at centre + shift + exp(growth) R(turn) (r - centre).
    """

    centre: tuple[float, float]  # x, y
    shift: Numbers  # (T, 2) pixels: x, y
    turn: Numbers  # (T,) radians
    growth: Numbers  # (T,) natural logarithm of the scale

    @property
    def count(self) -> int:
        """Number of sub-frames, T."""
        return len(self.shift)

    def at(self, place: int) -> Numbers:
        """Return the affine map of x, y from the sharp frame to a sub-frame, ``(2, 3)``."""
        linear = self._linear[place]
        centre = np.array(self.centre)
        return np.column_stack([linear, centre + self.shift[place] - linear @ centre])

    @cached_property
    def _linear(self) -> Numbers:
        """Rotation and scale of each sub-frame, ``(T, 2, 2)``."""
        scale, cosine, sine = np.exp(self.growth), np.cos(self.turn), np.sin(self.turn)
        turned = np.stack([cosine, -sine, sine, cosine], axis=1).reshape(-1, 2, 2)
        return np.asarray(scale[:, None, None] * turned)

    def extent(self, size: Size, corner: tuple[int, int] = (0, 0), shares: Numbers | None = None) -> Floats:
        """Compute the blur length at every pixel of a box of the sharp frame.

        It is sqrt(12 l), where l is the larger eigenvalue of the covariance of the pixel's path: the length of a
        straight stroke at constant speed with this variance, as ``paired`` measures it. The path is linear in the
        pixel's position, so its covariance is a polynomial of second degree, computed from the sub-frames.

        Args:
            size: The box's ``(H, W)``.
            corner: x, y of its first pixel.
            shares: ``(T,)`` share of the exposure in which each sub-frame is visible; None for equal shares.

        Returns:
            ``(H, W)`` pixels.
        """
        x = (np.arange(size[1]) + corner[0] - self.centre[0]).astype(np.float32)  # (W,)
        y = (np.arange(size[0]) + corner[1] - self.centre[1]).astype(np.float32)[:, None]  # (H, 1)
        # (4, 4) covariance of the shift in x and y, and of a and b in the linear part [[a, -b], [b, a]]
        c = self._covariance(shares).astype(np.float32)
        xx = c[0, 0] + x * (c[2, 2] * x + 2 * c[0, 2]) + y * (c[3, 3] * y - 2 * c[0, 3]) - 2 * c[2, 3] * x * y
        yy = c[1, 1] + x * (c[3, 3] * x + 2 * c[1, 3]) + y * (c[2, 2] * y + 2 * c[1, 2]) + 2 * c[2, 3] * x * y
        xy = c[0, 1] + x * (c[2, 3] * x + c[0, 3] + c[1, 2]) + y * (c[0, 2] - c[1, 3] - c[2, 3] * y)
        xy = xy + (c[2, 2] - c[3, 3]) * x * y
        return extents.of_variances(xx, yy, xy)

    def _covariance(self, shares: Numbers | None) -> Numbers:
        parts = np.column_stack([self.shift, self._linear[:, 0, 0], self._linear[:, 1, 0]])  # (T, 4)
        return np.asarray(np.cov(parts.T, aweights=shares, bias=True))

    def length(self, x: float, y: float) -> float:
        """Return the length of the path of one point of the sharp frame, in pixels."""
        path = self.shift + self._linear @ (np.array((x, y)) - self.centre)
        return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())

    def reach(self, size: Size, corner: tuple[int, int] = (0, 0)) -> int:
        """Return the largest shift along x or y of the pixels in a box of the sharp frame, in pixels, rounded up."""
        ends = [(corner[0] + x, corner[1] + y, 1) for x in (0, size[1] - 1) for y in (0, size[0] - 1)]
        corners = np.array(ends, np.float64).T  # (3, 4)
        ways = [np.abs(self.at(place) @ corners - corners[:2]).max() for place in range(self.count)]
        return int(np.ceil(max(ways)))


def draw(stroke: Stroke, centre: tuple[float, float], radius: float, rng: np.random.Generator) -> Motion:
    """Draw a random motion.

    Args:
        stroke: The ranges to draw from.
        centre: Centre of rotation and scale: x, y.
        radius: Distance of the farthest pixel from the centre.
        rng: Random numbers.
    """
    whole = Motion(
        centre=centre,
        shift=draw_path(stroke, rng),
        turn=draw_sway(stroke.roll, rng) / radius,
        growth=draw_sway(stroke.zoom, rng) / radius,
    )
    length = max(whole.length(centre[0] + x, centre[1] + y) for x, y in radius * _COMPASS)
    count = max(_LEAST, int(np.ceil(length / _GAP))) if length else 1
    count += (count + 1) % 2
    shift, turn, growth = (resample(values, count) for values in (whole.shift, whole.turn, whole.growth))
    return Motion(centre=centre, shift=shift, turn=turn, growth=growth)
