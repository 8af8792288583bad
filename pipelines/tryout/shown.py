"""Pictures as a browser shows them: upright, of 8 bits, with their profile, as JPEG or PNG.

Legend: H, W a picture's height and width.
"""

import io
import math
from typing import Any

import cv2
import numpy as np
from PIL import Image

from pipelines.pages.pictures import on_white
from prep.arrays import Bytes
from prep.io.photographs import Photo

_QUALITY = 95  # of a JPEG; at 95 no block can be taken for blur
_THUMB_SIDE = 160  # pixels
_MOST_PIXELS, _LONGEST_SIDE = 50_000_000, 16_384  # above which a browser may show nothing
_MOST_EXACT = 4_000_000  # pixels; up to here a lossless picture is shown without loss
_PNG = b"\x89PNG"


def scale(height: int, width: int) -> float:
    """Factor by which a picture is scaled down for the browser, in (0, 1]."""
    pixels = max(1, height * width)
    return min(1.0, math.sqrt(_MOST_PIXELS / pixels), _LONGEST_SIDE / max(1, height, width))


def encode(photo: Photo) -> bytes:
    """Encode a picture for the browser: PNG if it has alpha, or is small and lossless; else JPEG."""
    pixels = _eight_bits(photo)
    height, width = pixels.shape[:2]
    shrunk = _resized(pixels, scale(height, width))
    has_alpha = shrunk.ndim == 3 and shrunk.shape[2] in (2, 4)
    if has_alpha or (photo.is_lossless and height * width <= _MOST_EXACT):
        return _saved(shrunk, "PNG", photo.profile, compress_level=1)
    return _saved(shrunk, "JPEG", photo.profile, quality=_QUALITY, subsampling=0)


def mime_type(data: bytes) -> str:
    """The MIME type of a result of ``encode``."""
    return "image/png" if data.startswith(_PNG) else "image/jpeg"


def thumbnail(photo: Photo) -> bytes:
    """A small JPEG of a picture, on white where it is transparent."""
    pixels = _resized(_eight_bits(photo), min(1.0, _THUMB_SIDE / max(photo.pixels.shape[:2])))
    return _saved(on_white(pixels), "JPEG", photo.profile, quality=85)


def _eight_bits(photo: Photo) -> Bytes:
    pixels = photo.pixels
    if pixels.dtype == np.uint16:
        pixels = np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257), np.uint8).reshape(pixels.shape)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return np.asarray(pixels, np.uint8)


def _resized(pixels: Bytes, factor: float) -> Bytes:
    if factor >= 1:
        return pixels
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _saved(pixels: Bytes, kind: str, profile: bytes, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind, icc_profile=profile or None, **options)
    return target.getvalue()
