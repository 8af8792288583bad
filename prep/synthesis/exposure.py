"""Sub-frames -> one exposure: averaged as light, under the camera's response, with saturation and noise.

A camera adds light; a file holds light behind the camera's response. GoPro was published averaged both ways: the codes
as they are (``LINEAR``: the usual one, ``blur``) and codes to the power of 2.2 (``GAMMA``: ``blur_gamma``).

Legend: H, W a frame's height and width; T sub-frames. Light is 0 for black, 1 for the brightest that a file can hold.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prep.arrays import Bytes, Codes, Floats
from prep.errors import SynthesisError

_CLIPPED = 250 / 255  # of the largest code: from here on a highlight may have been brighter than the file says


@dataclass(frozen=True, kw_only=True)
class Response:
    """How a camera turns light into codes: a power, or a measured curve.

    Attributes:
        name: As given by the user.
        power: Light = code to this power, both from 0 to 1; ignored where there is a curve.
        curve: Light of evenly spaced codes, rising from 0 at black to 1 at white; empty where there is none.
    """

    name: str
    power: float = 1.0
    curve: tuple[float, ...] = ()

    def to_light(self, pixels: Bytes | Codes) -> Floats:
        """Light of pixels of any shape."""
        codes = np.linspace(0, 1, np.iinfo(pixels.dtype).max + 1)
        light = np.interp(codes, self._places(1), self.curve) if self.curve else codes**self.power
        return light.astype(np.float32)[pixels]

    def to_codes(self, light: Floats) -> Floats:
        """Codes from 0 to 255, not rounded, of light; what is out of range is clipped as by a sensor."""
        seen = light.clip(0, 1)
        if self.curve:
            return np.asarray(np.interp(seen, self.curve, self._places(255)), np.float32)
        return np.asarray(255 * (seen if self.power == 1 else seen ** np.float32(1 / self.power)), np.float32)

    def _places(self, largest: int) -> npt.NDArray[np.float64]:
        return np.linspace(0, largest, len(self.curve))


LINEAR = Response(name="linear")
GAMMA = Response(name="gamma", power=2.2)


def read_response(path: Path) -> Response:
    """Read a measured response: the light of every code from black to white, a number each, in any unit.

    The numbers may stand in lines or columns, divided by blanks or commas; 256 of them are usual, two the least.

    Raises:
        SynthesisError: If there are no such numbers, or they do not rise.
        OSError: If the file cannot be read.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        light = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError as error:
        raise SynthesisError(
            f"{path} holds something else than numbers ({error}); wanted light, code by code"
        ) from error
    if len(light) < 2 or not np.isfinite(light).all() or not (np.diff(light) > 0).all():
        raise SynthesisError(f"{path} holds {len(light)} numbers; wanted two or more that rise from black to white")
    rising = (light - light[0]) / (light[-1] - light[0])
    return Response(name=path.name, curve=tuple(rising.tolist()))


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How sub-frames become a blurry frame.

    Attributes:
        response: Of the camera that took them.
        highlights: Factor by which pixels at the top of the range are taken to be brighter than stored: then streaks of
            lights stay white (Rim et al. 2022, section 4, with one factor for all). 1 believes the file.
        shot: Variance of the noise at full light, in its units squared; it falls with the light (Foi et al. 2008).
        read: Standard deviation of the noise in the dark, in units of full light.
    """

    response: Response = LINEAR
    highlights: float = 1.0
    shot: float = 0.0
    read: float = 0.0

    def expose(self, subframes: Iterable[Bytes | Codes], rng: np.random.Generator) -> Bytes:
        """Average frames into one.

        Args:
            subframes: T of ``(H, W, 3)`` uint8 or uint16 RGB.
            rng: Decides the noise, and is not asked where there is none.

        Returns:
            ``(H, W, 3)`` uint8, rounded once.

        Raises:
            ValueError: If there are none.
        """
        return self.expose_light((self.brightened(pixels) for pixels in subframes), rng)

    def brightened(self, pixels: Bytes | Codes) -> Floats:
        """Light of pixels, highlights brighter than the file can say."""
        light = self.response.to_light(pixels)
        if self.highlights > 1:
            light[pixels >= np.rint(_CLIPPED * np.iinfo(pixels.dtype).max)] *= np.float32(self.highlights)
        return light

    def expose_light(self, lights: Iterable[Floats], rng: np.random.Generator) -> Bytes:
        """As ``expose``, of light that may exceed 1."""
        total: npt.NDArray[np.float64] | None = None
        count = 0
        for light in lights:
            count += 1
            total = light.astype(np.float64) if total is None else np.add(total, light, out=total)
        if total is None:
            raise ValueError("there is no sub-frame to average")
        mean = np.asarray(total / count, np.float32)
        if self.shot or self.read:
            deviation = np.sqrt(np.float32(self.shot) * mean.clip(0, 1) + np.float32(self.read**2))
            mean += deviation * rng.standard_normal(mean.shape, np.float32)
        return np.rint(self.response.to_codes(mean)).astype(np.uint8)


PLAIN = Exposure()
