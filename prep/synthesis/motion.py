"""Photographs -> blurry and sharp pairs whose blur is known at every pixel, for people without a fast camera.

The camera shakes over a photograph while a region before it moves on a path of its own; 7 to 13 sub-frames, or more for
long strokes, are averaged, the middle one is the sharp frame (Nah et al. 2017, section 3).

Legend: H, W the frame's height and width; T sub-frames.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Floats, Size
from prep.synthesis.exposure import PLAIN, Exposure

SUBFRAMES = (7, 9, 11, 13)  # odd: the middle one is the sharp frame
_GAP = 2.0  # pixels
_LARGEST_TURN = 0.01  # radians either way

Path2 = npt.NDArray[np.float64]  # (T, 2): x, y in pixels from the middle sub-frame


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """How something moves during the exposure: lengths and directions are drawn evenly from these."""

    shortest: float  # pixels
    longest: float  # pixels
    tilt: float  # radians to either side of the horizontal; pi / 2 is any direction


# A camera held in two hands and swung mostly sideways, little; a region before it that moves further, anywhere.
CAMERA = Stroke(shortest=5, longest=7, tilt=0.15)
REGION = Stroke(shortest=7, longest=12, tilt=np.pi / 2)


@dataclass(frozen=True, kw_only=True)
class ShakenPair:
    """A pair and the extent of its blur."""

    blurry: Bytes  # (H, W, 3)
    sharp: Bytes  # (H, W, 3)
    extent: Floats  # (H, W) pixels: of the blur, exact


def shake(
    photo: Bytes,
    size: Size,
    rng: np.random.Generator,
    *,
    camera: Stroke = CAMERA,
    region: Stroke = REGION,
    exposure: Exposure = PLAIN,
) -> ShakenPair:
    """Photograph a photograph with a shaking camera, a region of it moving by itself.

    Args:
        photo: ``(h, w, 3)`` uint8 RGB, no smaller than ``size``.
        size: The frame's ``(height, width)``.
        rng: Decides the view, the region and both paths.
        camera: How the camera moves.
        region: How the region before it moves.
        exposure: How sub-frames are averaged.

    Raises:
        ValueError: If the photograph is smaller than ``size``.
    """
    _check_size(photo, size)
    count = max(int(rng.choice(SUBFRAMES)), _subframes_for(max(camera.longest, region.longest)))
    camera_path, region_path = _path(count, camera, rng), _path(count, region, rng)
    turns = rng.uniform(-_LARGEST_TURN, _LARGEST_TURN) * np.linspace(-1, 1, count)
    corner, region_corner = _corner(photo, size, rng), _corner(photo, size, rng)
    alpha = _region(size, rng)
    light = exposure.brightened(photo)
    subframes = []
    for place in range(count):
        background = _view(light, _motion(corner, camera_path[place], turns[place], size), size)
        foreground = _view(light, _motion(region_corner, region_path[place], 0, size), size)
        cover = _view(alpha, _motion((0, 0), region_path[place], 0, size), size)[:, :, None]
        subframes.append(background + (foreground - background) * cover)
    extent = np.where(alpha > 0.5, _length(region_path), _turning_lengths(camera_path, turns, size))
    return ShakenPair(
        blurry=exposure.expose_light(subframes, rng),
        sharp=np.rint(exposure.response.to_codes(subframes[count // 2])).astype(np.uint8),
        extent=extent.astype(np.float32),
    )


def _check_size(photo: Bytes, size: Size) -> None:
    if photo.shape[0] < size[0] or photo.shape[1] < size[1]:
        found, wanted = (f"{width} x {height}" for height, width in (photo.shape[:2], size))
        raise ValueError(f"photograph is {found} pixels; wanted at least {wanted} (width x height)")


def _subframes_for(extent: float) -> int:
    """The odd number of sub-frames that lie ``_GAP`` pixels apart at most, so that a stroke is no row of ghosts."""
    least = int(np.ceil(extent / _GAP)) + 1
    return least + (least + 1) % 2


def _path(count: int, stroke: Stroke, rng: np.random.Generator) -> Path2:
    """A smooth path through 0 at its middle, slightly bent."""
    angle, bend = rng.uniform(-stroke.tilt, stroke.tilt), rng.uniform(-0.25, 0.25)
    length = rng.uniform(stroke.shortest, stroke.longest) * rng.choice([-1, 1])
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    time = np.linspace(-1, 1, count)[:, None]
    path: Path2 = (along * time + across * bend * time**2) * length / 2
    return path


def _length(path: Path2) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def _turning_lengths(path: Path2, turns: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.float64]:
    """Length of each pixel's path under a shift and a turn about the frame's centre, ``(H, W)`` pixels."""
    y, x = np.mgrid[: size[0], : size[1]]
    x, y = x - (size[1] - 1) / 2, y - (size[0] - 1) / 2
    lengths = np.zeros(size)
    for step, turn in zip(np.diff(path, axis=0), np.diff(turns), strict=True):
        lengths += np.hypot(step[0] - turn * y, step[1] + turn * x)
    return lengths


def _corner(photo: Bytes, size: Size, rng: np.random.Generator) -> tuple[int, int]:
    """Top left corner (x, y) of a random view."""
    return int(rng.integers(photo.shape[1] - size[1] + 1)), int(rng.integers(photo.shape[0] - size[0] + 1))


def _region(size: Size, rng: np.random.Generator) -> Floats:
    """A random ellipse with a soft edge, 1 inside; a sixth to a third of the frame's side in radius."""
    side = min(size)
    axes = (int(rng.uniform(side / 6, side / 3)), int(rng.uniform(side / 6, side / 3)))
    centre = (int(rng.uniform(0.25, 0.75) * size[1]), int(rng.uniform(0.25, 0.75) * size[0]))
    alpha = np.zeros(size, np.float32)
    cv2.ellipse(alpha, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, cv2.FILLED, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.8), np.float32)


def _motion(corner: tuple[int, int], shift: Path2, turn: float, size: Size) -> npt.NDArray[np.float64]:
    """The affine map from a frame's pixel to the photograph's, ``(2, 3)``.

    What is seen goes the way of ``shift`` and turns by ``turn``, so the lookup goes the opposite way.
    """
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    cosine, sine = np.cos(turn), np.sin(turn)
    back = np.array([[cosine, sine], [-sine, cosine]])
    offset = np.array(corner) + centre - back @ (centre + shift)
    return np.column_stack([back, offset])


def _view(picture: Floats, motion: npt.NDArray[np.float64], size: Size) -> Floats:
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(picture, motion, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(view, np.float32)
