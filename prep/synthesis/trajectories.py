"""Draw paths of a hand-held camera: random walks with inertia (Boracchi and Foi 2012, section III).

Legend: N the number of points of a path, evenly spaced in time from the start of the exposure to its end.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Path = npt.NDArray[np.float64]  # (N, 2): x, y
Matrix2 = npt.NDArray[np.float64]  # (2, 2)

_POINTS = 129  # points of a path
_PUSH = 1.4  # random change of velocity within the exposure at a tremor of 1, relative to the initial velocity
_PULL = 6.0  # strength of the pull back to the start at a tremor of 1, in 1 / exposure^2
_JOLTS = 1.0  # mean number of sudden changes of direction in an exposure at a tremor of 1


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """The ranges of a motion during the exposure; values are drawn uniformly.

    Attributes:
        shortest, longest: Range of the blur length, pixels: the length of a straight stroke at constant speed with the
            same variance along the main axis, as ``paired`` measures it.
        tilt: Largest angle between the main direction and the horizontal, radians; pi / 2 allows any direction.
        tremor: Largest tremor, 0 to 1: 0 for straight strokes at constant speed, 1 for strokes of a hand.
        roll: Largest blur length, at the farthest pixels, from rotation about the centre; pixels.
        zoom: Largest blur length, at the farthest pixels, from moving closer or away; pixels.
    """

    shortest: float
    longest: float
    tilt: float = np.pi / 2
    tremor: float = 1.0
    roll: float = 0.0
    zoom: float = 0.0


def draw_path(stroke: Stroke, rng: np.random.Generator) -> Path:
    """Draw a path with a stroke's blur length and direction, ``(N, 2)`` pixels; the middle point is 0."""
    path = walk(rng.uniform(0, stroke.tremor), rng)
    path -= path[len(path) // 2]
    spread, axes = np.linalg.eigh(covariance(resample(path, len(path))))
    angle = rng.uniform(-stroke.tilt, stroke.tilt) + np.pi * rng.integers(2)
    main, across = axes[:, 1], axes[:, 0]
    along = np.array([np.cos(angle), np.sin(angle)])
    turned = np.outer(path @ main, along) + np.outer(path @ across, (-along[1], along[0]))
    return np.asarray(turned * rng.uniform(stroke.shortest, stroke.longest) / np.sqrt(12 * spread[1]))


def draw_sway(largest: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw a smooth roll or zoom over the exposure, ``(N,)``, 0 in the middle; its blur length is up to ``largest``."""
    path = walk(rng.uniform(0, 1), rng)[:, 0]
    path -= path[len(path) // 2]
    return np.asarray(path * rng.uniform(-largest, largest) / np.sqrt(12 * resample(path, len(path)).var()))


def walk(tremor: float, rng: np.random.Generator) -> Path:
    """Draw a random walk with inertia, ``(N, 2)``, in units of the length of the straight path without tremor.

    The velocity starts along x. It is pushed at random, pulled back to the start, and sometimes jolted: reversed and
    doubled, as when the shutter is pressed (Boracchi and Foi 2012).
    """
    step = 1 / (_POINTS - 1)
    pushes = rng.standard_normal((_POINTS, 2)) * (_PUSH * tremor * np.sqrt(step))
    is_jolt = rng.random(_POINTS) < _JOLTS * tremor * step
    angles = rng.uniform(np.pi - 0.5, np.pi + 0.5, _POINTS)
    place, velocity = np.zeros(2), np.array([1.0, 0.0])
    path = np.empty((_POINTS, 2))
    for point in range(_POINTS):
        path[point] = place
        if is_jolt[point]:
            cosine, sine = np.cos(angles[point]), np.sin(angles[point])
            velocity = 2 * np.array([[cosine, -sine], [sine, cosine]]) @ velocity
        velocity = velocity + pushes[point] - _PULL * tremor * step * place
        place = place + step * velocity
    return path


def covariance(path: Path) -> Matrix2:
    """Compute the covariance of a path, ``(2, 2)``; all points are exposed for the same time."""
    centred = path - path.mean(axis=0)
    return np.asarray(centred.T @ centred / len(path))


def resample(path: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Resample a path at the centres of ``count`` equal parts of the exposure; the middle point stays the middle.

    Args:
        path: ``(N,)`` or ``(N, 2)``.
        count: Number of parts, odd.
    """
    times = (np.arange(count) + 0.5) / count * (len(path) - 1)
    columns = path.reshape(len(path), -1).T
    found = np.stack([np.interp(times, np.arange(len(path)), column) for column in columns], axis=1)
    return found.reshape(count, *path.shape[1:])
