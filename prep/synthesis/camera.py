"""Simulate a camera's picture of light: sensor, noise and development (after Rim et al. 2022, section 4).

The steps are: linear light, brighter than white where the file was clipped -> clipping: light above white becomes white
without noise -> the sensor's colours (inverse of colour matrix and white balance) -> Bayer mosaic, one colour per pixel
-> shot and read noise -> sensor codes -> white balance -> demosaicing, three colours per pixel -> colour matrix ->
response curve -> file codes -> JPEG.
Each step is optional. The lens, denoising and sharpening are not simulated.

Legend: H, W a frame's height and width. Light is 0 for black, 1 for the brightest value of a file; raw values are 0 for
black, 1 for a full pixel.
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

Interval = tuple[float, float]  # lower and upper end of the range from which a value is drawn
Matrix = tuple[tuple[float, float, float], ...]  # 3 x 3

_CLIPPED = 250 / 255  # share of the largest code from which a highlight may have been brighter than stored
_BLACK = 1 / 16  # share of sensor codes below black, so that noise is not clipped: 64 of 1024, 1024 of 16384
_ONE: Interval = (1.0, 1.0)
_NONE: Interval = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera; the values given as intervals are drawn for each pair of frames.

    Attributes:
        name: As given by the user.
        response: Response curve of the files, both input and output.
        highlights: Factor by which the brightest pixels were brighter than stored, so that streaks of lights stay white
            (Rim et al. 2022 draw one per frame). 1 leaves them as stored.
        matrices: Colour matrices from linear sRGB to the sensor's colours, each row's sum 1; one is drawn. Empty: the
            sensor sees sRGB.
        red, blue: White balance: the gains of red and blue relative to green.
        mosaic: Whether each pixel of the sensor sees one colour (Bayer) instead of three.
        shot: Variance of the noise of a full pixel; it is proportional to the raw value (Foi et al. 2008). ``shot`` and
            ``read`` follow the gain: one random number sets the position in both intervals (logarithmic).
        read: Standard deviation of the noise of a dark pixel.
        bits: Bits of the sensor's codes; None: sensor values are not rounded.
        jpeg: Range of the JPEG quality; None for no compression.
        noisy_sharp: Whether the sharp frame also has noise, from the same camera with the same setting.
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
    """Interpolate by the fraction ``part``: in the logarithm, or linearly if the lower end is 0."""
    low, high = interval
    return float(low * (high / low) ** part) if low > 0 else high * part if low < high else low


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The setting of a camera for one pair of frames; the values are drawn from the camera's intervals."""

    camera: Camera
    highlights: float
    matrix: npt.NDArray[np.float64]  # (3, 3) from linear sRGB to the sensor's colours
    balance: npt.NDArray[np.float64]  # (3,) white balance gains of red, green, blue
    red: Corner  # position of the first red pixel in the Bayer pattern
    shot: float
    read: float
    quality: int | None

    @cached_property
    def to_sensor(self) -> npt.NDArray[np.float64]:
        """The matrix from light to raw values, ``(3, 3)``."""
        return np.asarray(self.matrix / self.balance[:, None])

    def to_light(self, pixels: Bytes | Codes) -> Floats:
        """Convert a file's pixels to light, ``(H, W, 3)``; highlights may exceed 1."""
        light = self.camera.response.to_light(pixels)
        if self.highlights > 1:
            light[pixels >= np.rint(_CLIPPED * np.iinfo(pixels.dtype).max)] *= np.float32(self.highlights)
        return light

    def photograph(self, light: Floats, rng: np.random.Generator | None) -> Bytes:
        """Simulate the picture that the camera takes.

        Args:
            light: ``(H, W, 3)``, at least 0.
            rng: Random numbers for the noise; None for a picture without noise, sensor rounding and JPEG compression.

        Returns:
            ``(H, W, 3)`` uint8 RGB.
        """
        developed = self.develop(self.sense(light, rng))
        developed[light >= 1] = 1
        picture = np.rint(self.camera.response.to_codes(developed)).astype(np.uint8)
        return picture if rng is None or self.quality is None else _compress(picture, self.quality)

    def sense(self, light: Floats, rng: np.random.Generator | None) -> Floats:
        """Simulate the sensor's raw values; ``rng`` as in ``photograph``.

        Returns:
            Raw values, 0 for black: ``(H, W)`` with a mosaic, else ``(H, W, 3)``. Noise may make them negative.
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
        """Convert raw values to light, ``(H, W, 3)``."""
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
    """Compress a picture as JPEG and decode it, with colour at half the resolution, as in cameras."""
    data = cv2.imencode(".jpg", picture[:, :, ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
