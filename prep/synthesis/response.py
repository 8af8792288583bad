"""Camera response: the curve from light to pixel values.

Light is 0 for black, 1 for the brightest pixel value. GoPro was published in two versions: averages of the pixel values
(``LINEAR``; the usual one, ``blur``), and of their power of 2.2 (``GAMMA``; ``blur_gamma``).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from prep.arrays import Bytes, Codes, Floats
from prep.errors import SynthesisError
from prep.units import counted

# Entries in the table of a measured curve, evenly spaced in the square root of light: dark values are close together.
_STEPS = 65536


@dataclass(frozen=True, kw_only=True)
class Response:
    """How a camera turns light into pixel values (codes): a power, a power with a linear start, or a measured curve.

    Attributes:
        name: As given by the user.
        power: Light = ((code + foot) / (1 + foot)) ** power, all from 0 to 1; ignored if there is a curve.
        foot: 0 for a plain power; else the response is a straight line up to code foot / (power - 1), where line and
            power have the same slope. A foot of 0.055 with a power of 2.4 is sRGB (IEC 61966-2-1).
        curve: Light at evenly spaced codes, rising from 0 at black to 1 at white; empty if not measured.
    """

    name: str
    power: float = 1.0
    foot: float = 0.0
    curve: tuple[float, ...] = ()

    def to_light(self, pixels: Bytes | Codes) -> Floats:
        """Convert pixels of any shape to light."""
        table = _light_of_codes(self, np.iinfo(pixels.dtype).max)
        if pixels.dtype == np.uint8 and pixels.ndim > 1:
            return np.asarray(cv2.LUT(pixels, table), np.float32)
        return np.asarray(table[pixels], np.float32)

    def to_codes(self, light: Floats) -> Floats:
        """Convert light to codes from 0 to 255, not rounded; light outside [0, 1] is clipped."""
        seen = np.asarray(light, np.float32).clip(0, 1)
        if self.curve:
            roots = np.rint(np.sqrt(seen) * np.float32(_STEPS - 1)).astype(np.uint16)
            return np.asarray(_codes_of_roots(self)[roots], np.float32)
        if self.power == 1:
            return np.asarray(seen * 255, np.float32)
        codes = np.float32(255 * (1 + self.foot)) * seen ** np.float32(1 / self.power) - np.float32(255 * self.foot)
        if self.foot:
            end, slope = _foot(self)
            codes = np.where(seen < end * slope, seen * np.float32(255 / slope), codes)
        return codes


def _foot(response: Response) -> tuple[float, float]:
    """Return the code up to which a response is a straight line, and the line's slope (light per code)."""
    end = response.foot / (response.power - 1)
    return end, float(((end + response.foot) / (1 + response.foot)) ** response.power / end)


@lru_cache(maxsize=8)
def _light_of_codes(response: Response, largest: int) -> Floats:
    """Compute the light of the codes from 0 to ``largest``."""
    codes = np.linspace(0, 1, largest + 1)
    if response.curve:
        light = np.interp(codes, np.linspace(0, 1, len(response.curve)), response.curve)
    else:
        light = ((codes + response.foot) / (1 + response.foot)) ** response.power
        if response.foot:
            end, slope = _foot(response)
            light = np.where(codes < end, codes * slope, light)
    return light.astype(np.float32)


@lru_cache(maxsize=8)
def _codes_of_roots(response: Response) -> Floats:
    """Compute codes from 0 to 255 of light whose square root rises from 0 to 1 in even steps."""
    light = np.linspace(0, 1, _STEPS) ** 2
    return np.interp(light, response.curve, np.linspace(0, 255, len(response.curve))).astype(np.float32)


LINEAR = Response(name="linear")
GAMMA = Response(name="gamma", power=2.2)
SRGB = Response(name="srgb", power=2.4, foot=0.055)
RESPONSES = {response.name: response for response in (LINEAR, GAMMA, SRGB)}


def read_response(path: Path) -> Response:
    """Read a measured response: the light of each pixel value from black to white, in any unit.

    The numbers may be in lines or columns, separated by spaces or commas; usually there are 256, and at least two.

    Raises:
        SynthesisError: If the file contains anything else, or the numbers do not rise.
        OSError: If the file cannot be read.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        light = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError as error:
        raise SynthesisError(
            f"{path} is not a response curve ({error}); it must contain only numbers: the light of each pixel value, "
            "from black to white"
        ) from error
    if len(light) < 2 or not np.isfinite(light).all() or not (np.diff(light) > 0).all():
        raise SynthesisError(
            f"{path} contains {counted(len(light), 'number')}; it needs at least two, each larger than the one before"
        )
    rising = (light - light[0]) / (light[-1] - light[0])
    return Response(name=path.name, curve=tuple(rising.tolist()))
