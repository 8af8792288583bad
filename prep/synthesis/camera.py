"""Light -> a camera's picture: sensor, noise and development (after Rim et al. 2022, section 4).

Light, linear, brighter than white where the file was clipped -> what exceeds white is white, and has no noise -> the
sensor's own colours (colour matrix and white balance inverted) -> one colour per pixel (Bayer) -> shot and read noise
-> codes of the sensor -> white balance -> three colours per pixel -> colour matrix -> response -> codes of the file ->
JPEG.
Each step is optional. There is no lens, no denoising and no sharpening.

Legend: H, W a frame's height and width. Light is 0 for black, 1 for the brightest that a file can hold; raw values are
0 for black, 1 for a full pixel.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Codes, Floats
from prep.errors import SynthesisError
from prep.synthesis.mosaic import Corner, demosaic, mosaic, planes
from prep.synthesis.response import LINEAR, Response

Interval = tuple[float, float]  # the ends between which a value is drawn
Matrix = tuple[tuple[float, float, float], ...]  # 3 x 3

_CLIPPED = 250 / 255  # of the largest code: from here on a highlight may have been brighter than the file says
_BLACK = 1 / 16  # of a sensor's codes lie below black, so that noise there is not cut: 64 of 1024, 1024 of 16384
_ONE: Interval = (1.0, 1.0)
_NONE: Interval = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera; values with an interval are drawn for each pair of frames.

    Attributes:
        name: As given by the user.
        response: Response curve of the files, both input and output.
        highlights: Factor by which pixels at the top of the range were brighter than stored; then streaks of lights
            stay white (Rim et al. 2022 draw one for each frame). 1 believes the file.
        matrices: From linear sRGB to the sensor's colours, each row's sum 1; one is drawn. Empty: the sensor sees sRGB.
        red, blue: White balance: how much more than green these are amplified.
        mosaic: Whether each pixel of the sensor sees one colour; if not, three.
        shot: Variance of the noise of a full pixel, that falls with the raw value (Foi et al. 2008). Together with
            ``read`` it follows the gain: one number is drawn, and both lie as far along their intervals (logarithms).
        read: Standard deviation of the noise of a dark pixel.
        bits: Of the sensor's codes; None for no rounding there.
        jpeg: Quality at which the picture is compressed, drawn; None for no JPEG.
        noisy_sharp: Whether the sharp frame has noise too, from the same camera at the same setting.
    """

    name: str = "none"
    response: Response = LINEAR
    highlights: Interval = _ONE
    matrices: tuple[Matrix, ...] = ()
    red: Interval = _ONE
    blue: Interval = _ONE
    mosaic: bool = False
    shot: Interval = _NONE
    read: Interval = _NONE
    bits: int | None = None
    jpeg: tuple[int, int] | None = None
    noisy_sharp: bool = False

    def __post_init__(self) -> None:
        for matrix in self.matrices:
            if not np.allclose(np.sum(matrix, axis=1), 1, atol=1e-3):
                raise SynthesisError(
                    f"a colour matrix of {self.name} tints white; the sum of each of its rows must be 1"
                )

    def draw(self, rng: np.random.Generator) -> "Setting":
        """Draw the setting for one pair of frames; ``rng`` is used only for values that vary."""
        matrix = np.eye(3)
        if self.matrices:
            matrix = np.array(self.matrices[rng.integers(len(self.matrices)) if len(self.matrices) > 1 else 0])
        gain = rng.random() if self.shot[0] < self.shot[1] or self.read[0] < self.read[1] else 0.0
        return Setting(
            camera=self,
            highlights=_between(self.highlights, rng),
            matrix=matrix,
            balance=np.array([_between(self.red, rng), 1.0, _between(self.blue, rng)]),
            red=(int(rng.integers(2)), int(rng.integers(2))) if self.mosaic else (0, 0),
            shot=_along(self.shot, gain),
            read=_along(self.read, gain),
            quality=None if self.jpeg is None else int(rng.integers(self.jpeg[0], self.jpeg[1] + 1)),
        )


def _between(interval: Interval, rng: np.random.Generator) -> float:
    low, high = interval
    return float(rng.uniform(low, high)) if low < high else low


def _along(interval: Interval, part: float) -> float:
    """The place ``part`` of the way along: evenly in the logarithm, or in the value where the lower end is 0."""
    low, high = interval
    return float(low * (high / low) ** part) if low > 0 else high * part if low < high else low


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A camera set for one pair of frames; attributes as drawn from its intervals."""

    camera: Camera
    highlights: float
    matrix: npt.NDArray[np.float64]  # (3, 3)
    balance: npt.NDArray[np.float64]  # (3,): red, green, blue
    red: Corner  # of the Bayer pattern
    shot: float
    read: float
    quality: int | None

    @cached_property
    def to_sensor(self) -> npt.NDArray[np.float64]:
        """From light to raw values, ``(3, 3)``."""
        return np.asarray(self.matrix / self.balance[:, None])

    def to_light(self, pixels: Bytes | Codes) -> Floats:
        """Light of a file's pixels, ``(H, W, 3)``; highlights may exceed 1."""
        light = self.camera.response.to_light(pixels)
        if self.highlights > 1:
            light[pixels >= np.rint(_CLIPPED * np.iinfo(pixels.dtype).max)] *= np.float32(self.highlights)
        return light

    def photograph(self, light: Floats, rng: np.random.Generator | None) -> Bytes:
        """The picture that the camera takes.

        Args:
            light: ``(H, W, 3)``, not below 0.
            rng: For the noise; None for a clean picture: no noise, no rounding on the sensor, no JPEG.

        Returns:
            ``(H, W, 3)`` uint8 RGB.
        """
        developed = self.develop(self.sense(light, rng))
        developed[light >= 1] = 1
        picture = np.rint(self.camera.response.to_codes(developed)).astype(np.uint8)
        return picture if rng is None or self.quality is None else _compress(picture, self.quality)

    def sense(self, light: Floats, rng: np.random.Generator | None) -> Floats:
        """What the sensor reads; ``rng`` as in ``photograph``.

        Returns:
            Raw values, black at 0: ``(H, W)`` under a mosaic, else ``(H, W, 3)``. Noise may be below 0.
        """
        raw = np.minimum(light, np.float32(1))
        if not self._is_plain:
            raw = _transform(raw, self.to_sensor)
        if self.camera.mosaic:
            raw = mosaic(raw, self.red)
        if rng is None:
            return raw
        if self.shot or self.read:
            deviation = np.sqrt(np.float32(self.shot) * raw.clip(0) + np.float32(self.read**2))
            raw = raw + deviation * rng.standard_normal(raw.shape, np.float32)
        if self.camera.bits is None:
            return np.minimum(raw, np.float32(1))
        levels = np.float32((2**self.camera.bits - 1) * (1 - _BLACK))
        return np.asarray(np.rint(raw.clip(-_BLACK / (1 - _BLACK), 1) * levels) / levels, np.float32)

    def develop(self, raw: Floats) -> Floats:
        """Light, ``(H, W, 3)``, from raw values."""
        balanced = raw * self.balance.astype(np.float32) if raw.ndim == 3 else raw.copy()
        if self.camera.mosaic:
            for rows, columns, channel in planes(self.red):
                balanced[rows, columns] *= np.float32(self.balance[channel])
            balanced = demosaic(balanced, self.red)
        if not self.camera.matrices:
            return balanced
        return _transform(balanced, np.asarray(np.linalg.inv(self.matrix), np.float64))

    @cached_property
    def _is_plain(self) -> bool:
        return bool(np.array_equal(self.to_sensor, np.eye(3)))


def _transform(colours: Floats, matrix: npt.NDArray[np.float64]) -> Floats:
    return np.asarray(cv2.transform(colours, matrix), np.float32)


def _compress(picture: Bytes, quality: int) -> Bytes:
    """A picture after JPEG compression, with colour at half the resolution as in cameras."""
    data = cv2.imencode(".jpg", picture[:, :, ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
