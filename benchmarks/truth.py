"""Blurry frames with known blur at every pixel: ground truth for the accuracy of sharpness maps.

(a) Scenes: real sharp frames, moved along known paths and averaged.
(b) Real motion: averages of 3 to 11 frames of GoPro recordings at 240 frames/s, with blur lengths from optical flow.
(c) Photographs of CUHK with hand-drawn masks, blurred or not, without blur lengths.

Legend: H, W = 720, 1280 in (a) and (b).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Floats, Size
from prep.io import frames

KINDS = ("moving region", "tracked region", "pan", "roll", "zoom")
SEEDS = (10, 11, 12)  # lower seeds were used during the development of ``paired``
WINDOW = 11  # frames
AVERAGED = (3, 5, 7, 9, 11)
_TEXTURE = 4.0  # grey levels/pixel: RMS gradient of the sharp frame in a Gaussian window (sigma 5 pixels)
_MARGIN = 8  # pixels ignored at the border, where unknown content moves in
_FLOW_ERROR = 0.5  # pixels, largest forward-backward error of the optical flow

Doubles = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A blurry frame with its ground truth."""

    group: str  # "a", "b" or "c"
    name: str
    blurry: Bytes  # (H, W, 3)
    sharp: Bytes | None  # (H, W, 3)
    extent: Floats  # (H, W), blur length in pixels; 0 or infinite in (c)
    counted: Marks  # (H, W), True where the blur length is known and the frame has texture


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A scene of (a)."""

    kind: str
    seed: int
    sharp: tuple[Path, ...]  # frames to choose from

    def make(self) -> Iterator[Case]:
        """Move a background and in most scenes a region in front of it, and average over the exposure."""
        rng = np.random.default_rng([self.seed, KINDS.index(self.kind)])
        behind, before = (frames.read(self.sharp[place]) for place in rng.choice(len(self.sharp), 2, replace=False))
        size = (behind.shape[0], behind.shape[1])
        camera, region = _motions(self.kind, size, rng)
        shown = self.kind.endswith("region") or rng.random() < 0.5
        alpha = _region(size, rng) if shown else np.zeros(size, np.float32)
        blurry, sharp, cover = _expose(behind, before, alpha, camera, region, float(rng.choice([1, 2.2])))
        extent = np.maximum(
            np.where(cover < 0.95, camera.extent(size), 0), np.where(cover > 0.05, region.extent(size), 0)
        )
        noise = rng.uniform(0, 3)
        pair = [_rounded(frame + rng.normal(0, noise, frame.shape)) for frame in (blurry, sharp)]
        counted = _textured(pair[1])
        name = f"{self.kind}, seed {self.seed}"
        yield Case(group="a", name=name, blurry=pair[0], sharp=pair[1], extent=extent, counted=counted)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Consecutive frames of (b)."""

    paths: tuple[Path, ...]

    def make(self) -> Iterator[Case]:
        """Average 3 to 11 frames around the middle one.

        The blur length is that of the flow from the middle frame to both ends, times n / (n - 1): n frames span n
        frame times, but their centres only n - 1. Pixels with inconsistent forward and backward flow do not count.
        """
        shots = [frames.read(path) for path in self.paths]
        greys = [np.asarray(cv2.cvtColor(shot, cv2.COLOR_RGB2GRAY), np.uint8) for shot in shots]
        middle = len(shots) // 2
        textured = _textured(shots[middle])
        for count in AVERAGED:
            reach = count // 2
            way, error = np.zeros((2, *greys[0].shape), np.float32)
            for end in (middle - reach, middle + reach):
                length, miss = _flow(greys[middle], greys[end])
                way += length
                error = np.maximum(error, miss)
            yield Case(
                group="b",
                name=f"{self.paths[middle].stem}, {count} frames",
                blurry=_rounded(np.mean(shots[middle - reach : middle + reach + 1], axis=0)),
                sharp=shots[middle],
                extent=way * np.float32(count / (count - 1)),
                counted=textured & (error <= _FLOW_ERROR),
            )


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A photograph of (c)."""

    image: Path
    blurred: Path

    def make(self) -> Iterator[Case]:
        """Count every pixel, because there is no sharp frame to detect texture in."""
        marks = frames.read(self.blurred)[:, :, 0] >= 128
        yield Case(
            group="c",
            name=self.image.stem,
            blurry=frames.read(self.image),
            sharp=None,
            extent=np.where(marks, np.float32(np.inf), np.float32(0)),
            counted=np.ones(marks.shape, np.bool_),
        )


def find(data: Path, seeds: Sequence[int] = SEEDS) -> list[Scene | Recording | Photograph]:
    """Return all sources available in the folder of test data; missing data sets are skipped."""
    sharp = tuple(sorted(data.glob("GOPRO_Large/test/*/sharp/*.png")))
    scenes = [Scene(kind=kind, seed=seed, sharp=sharp) for seed in seeds for kind in KINDS] if len(sharp) > 1 else []
    recordings = []
    for folder in sorted(data.glob("GOPRO_Large_all/*/*")):
        paths = sorted(folder.glob("*.png"))
        starts = range(0, len(paths) - WINDOW + 1, WINDOW)
        recordings += [Recording(paths=tuple(paths[start : start + WINDOW])) for start in starts]
    photographs = [
        Photograph(image=image, blurred=data / "blur_detection/gt" / f"{image.stem}.png")
        for image in sorted(data.glob("blur_detection/image/*.jpg"))
    ]
    return [*scenes, *recordings, *photographs]


@dataclass(frozen=True, kw_only=True)
class _Motion:
    """Motion of a surface during the exposure: translation, rotation and scaling about a centre at constant speed."""

    centre: Doubles  # x, y
    shift: Doubles  # pixels
    turn: float  # radians
    growth: float  # natural logarithm of the scale

    def at(self, time: float) -> Doubles:
        """Return the affine map ``(2, 3)`` from the middle of the exposure to ``time`` in [-1/2, 1/2]."""
        angle, scale = self.turn * time, np.exp(self.growth * time)
        matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.column_stack([matrix, self.centre + self.shift * time - matrix @ self.centre])

    def extent(self, size: tuple[int, ...]) -> Floats:
        """Return the blur length of each pixel, ``(H, W)`` in pixels: its speed in the middle of the exposure."""
        y, x = np.mgrid[: size[0], : size[1]]
        x, y = x - self.centre[0], y - self.centre[1]
        across = self.shift[0] - self.turn * y + self.growth * x
        return np.asarray(np.hypot(across, self.shift[1] + self.turn * x + self.growth * y), np.float32)


def _motions(kind: str, size: Size, rng: np.random.Generator) -> tuple[_Motion, _Motion]:
    """Draw the motions of the camera and of the region."""
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2]) + rng.uniform(-150, 150, 2)
    still = np.zeros(2)
    rate = float(rng.uniform(15, 40) / np.hypot(*size) * 2 * rng.choice([-1, 1]))  # 15 to 40 pixels in the corners
    camera = _Motion(
        centre=centre,
        shift=_stroke(1, 25, rng) if kind in ("pan", "tracked region") else still,
        turn=rate if kind == "roll" else 0,
        growth=rate if kind == "zoom" else 0,
    )
    shift = still if kind == "tracked region" else _stroke(8 if kind == "moving region" else 1, 30, rng)
    return camera, _Motion(centre=centre, shift=shift, turn=0, growth=0)


def _stroke(shortest: float, longest: float, rng: np.random.Generator) -> Doubles:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(shortest, longest)


def _region(size: tuple[int, ...], rng: np.random.Generator) -> Floats:
    alpha = np.zeros(size, np.float32)
    middle = (int(rng.uniform(0.25, 0.75) * size[1]), int(rng.uniform(0.3, 0.7) * size[0]))
    axes = (int(rng.uniform(120, 300)), int(rng.uniform(90, 240)))
    cv2.ellipse(alpha, middle, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, cv2.FILLED, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.8), np.float32)


def _expose(
    behind: Bytes, before: Bytes, alpha: Floats, camera: _Motion, region: _Motion, gamma: float
) -> tuple[Doubles, Floats, Doubles]:
    """Return blurry frame, sharp frame and mean coverage by the region; averages linear light, ``grey ** gamma``."""
    longest = max(float(camera.extent(alpha.shape).max()), float(np.hypot(*region.shift)) if alpha.any() else 0)
    steps = 2 * int(longest) + 3  # odd; at most half a pixel each
    total: Doubles = np.zeros(behind.shape)
    cover: Doubles = np.zeros(alpha.shape)
    for step in range(steps):
        time = (step + 0.5) / steps - 0.5
        part = _warp(alpha, region.at(time)).clip(0, 1)
        shot = _warp(behind, camera.at(time)).clip(0, 255)
        shot += (_warp(before, region.at(time)).clip(0, 255) - shot) * part[:, :, None]
        total += (shot / 255) ** gamma / steps
        cover += part / steps
        if step == steps // 2:
            sharp = shot
    return 255 * total ** (1 / gamma), sharp, cover


def _warp(image: Bytes | Floats, motion: Doubles) -> Floats:
    size = (image.shape[1], image.shape[0])
    warped = cv2.warpAffine(
        image.astype(np.float32), motion, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, np.float32)


def _flow(start: Bytes, end: Bytes) -> tuple[Floats, Floats]:
    """Return length and forward-backward error of the optical flow (DIS, Kroeger et al. 2016), in pixels."""
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    there, back = method.calc(start, end, None), method.calc(end, start, None)
    y, x = np.mgrid[: start.shape[0], : start.shape[1]].astype(np.float32)
    returned = there + cv2.remap(
        back, x + there[:, :, 0], y + there[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.hypot(there[:, :, 0], there[:, :, 1]), np.hypot(returned[:, :, 0], returned[:, :, 1])


def _textured(sharp: Bytes) -> Marks:
    grey = cv2.GaussianBlur(cv2.cvtColor(sharp, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order) / 8 for order in ((1, 0), (0, 1)))
    marks = cv2.GaussianBlur(across * across + down * down, (0, 0), 5) > _TEXTURE**2
    marks[:_MARGIN] = marks[-_MARGIN:] = marks[:, :_MARGIN] = marks[:, -_MARGIN:] = False
    return np.asarray(marks, np.bool_)


def _rounded(frame: npt.NDArray[np.floating]) -> Bytes:
    return np.asarray(np.rint(frame).clip(0, 255), np.uint8)
