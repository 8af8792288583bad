"""Scale and colour pictures for a page, and encode them as data URIs.

Legend: H, W height and width of a frame; h, w height and width on the page.
"""

import base64
import zlib
from collections.abc import Sequence
from typing import TypeVar, cast

import cv2
import numpy as np

from prep.arrays import Bytes, Codes

Pixels = TypeVar("Pixels", bound=Bytes | Codes)
_QUALITY = 86  # JPEG quality of 100; at 480 pixels width a frame takes about 40 KB and shows no blocks
SCALE_STEPS = 256  # number of colours for S
_VIRIDIS: Bytes = np.asarray(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1], np.uint8
)


def as_jpeg(image: Bytes, width: int) -> str:
    """Encode a photograph as a JPEG data URI, scaled down to ``width`` pixels; never enlarged.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        width: Largest width on the page, in pixels.
    """
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(shrink(image, width), _QUALITY)).decode('ascii')}"


def as_png(image: Bytes) -> str:
    """Encode a map as an unscaled PNG data URI, which keeps its colours exact.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)`` uint8 RGB.
    """
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode('ascii')}"


def png(image: Bytes) -> bytes:
    """Encode a map as a PNG file, which keeps its colours exact; ``image`` as in ``as_png``."""
    return _encoded("png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def jpeg(image: Bytes, quality: int) -> bytes:
    """Encode a photograph as a JPEG file that keeps the colour of thin lines; ``image`` is ``(H, W, 3)`` uint8 RGB."""
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full]
    return _encoded("jpeg", image, options)


def on_white(pixels: Pixels) -> Pixels:
    """Return a picture as it looks on a white page; a picture without alpha is returned unchanged.

    Args:
        pixels: ``(H, W)``, or ``(H, W, 2)`` grey and alpha, ``(H, W, 3)`` or ``(H, W, 4)`` RGB and alpha; uint8 or
            uint16.

    Returns:
        The picture without alpha: ``(H, W)`` or ``(H, W, 3)``, of the same type.
    """
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    white = np.iinfo(pixels.dtype).max
    alpha = pixels[:, :, -1:].astype(np.float32) / white
    mixed = np.rint(pixels[:, :, :-1] * alpha + white * (1 - alpha)).astype(pixels.dtype)
    return cast(Pixels, mixed[:, :, 0] if mixed.shape[2] == 1 else mixed)


def pack_codes(codes: Codes) -> str:
    """Pack S without loss, as the page expects it: differences along rows, all high bytes, all low bytes; zlib, base64.

    Args:
        codes: ``(H, W)`` uint16.
    """
    steps = np.diff(codes, axis=1, prepend=np.zeros((len(codes), 1), np.uint16))  # modulo 65536
    planes = np.concatenate([(steps >> 8).astype(np.uint8).ravel(), (steps & 255).astype(np.uint8).ravel()])
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")


def _encoded(kind: str, image: Bytes, options: Sequence[int]) -> bytes:
    swapped = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode("." + kind, swapped, options)
    return data.tobytes()


def fitted(shape: tuple[int, ...], width: int) -> tuple[int, int]:
    """Return the size ``(h, w)`` on the page of a picture of ``shape``: same aspect, at most ``width`` wide."""
    height, own = shape[:2]
    if own <= width:
        return height, own
    return max(1, round(height * width / own)), width


def shrink(image: Bytes, width: int) -> Bytes:
    """Scale ``(H, W[, 3])`` uint8 down to ``width`` pixels by area; smaller pictures stay as they are."""
    height, width = fitted(image.shape, width)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def colour(codes: Codes) -> Bytes:
    """Colour S with viridis, from dark violet at 0 to yellow at 1; never stretched to the map's own range.

    Args:
        codes: ``(H, W)`` uint16, S as stored.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Source: van der Walt & Smith 2015, viridis: equal steps of S look equally far apart, in grey as well.
    """
    colours: Bytes = _VIRIDIS[codes >> 8]
    return colours


def small_map(codes: Codes, width: int) -> Bytes:
    """Scale S down to ``width``, then colour it; in this order every colour is on the colour scale."""
    height, width = fitted(codes.shape, width)
    return colour(np.asarray(cv2.resize(codes, (width, height), interpolation=cv2.INTER_AREA), np.uint16))


def greatest_square(values: np.ndarray, side: int) -> tuple[slice, slice]:
    """Return rows and columns of the square of ``side`` pixels whose sum is farthest from 0.

    Args:
        values: ``(H, W)`` float64.
        side: Side in pixels; limited to the size of the picture.
    """
    height, width = (min(side, length) for length in values.shape)
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(np.abs(inside).argmax(), inside.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)
