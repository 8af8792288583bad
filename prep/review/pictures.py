"""Pictures inside a page: scaled, coloured, encoded as data URIs.

Legend: H, W a frame's height and width; h, w those on the page.
"""

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from prep.arrays import Bytes, Codes, Floats

_QUALITY = 86  # of 100: at 480 pixels a frame takes about 40 KB and shows no blocks
_TINT = np.array([255.0, 0.0, 200.0], np.float32)  # magenta: rare in photographs
_TINT_SHARE = 0.42
_VIRIDIS: Bytes = np.asarray(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1], np.uint8
)


def as_jpeg(image: Bytes, width: int) -> str:
    """A photograph as a JPEG data URI, scaled down to ``width`` pixels; never enlarged.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        width: Largest width on the page, in pixels.
    """
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        _QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,  # thin outlines keep their colour
    ]
    return _uri("jpeg", shrink(image, width), options)


def as_png(image: Bytes) -> str:
    """A map whose colours must stay exact as a PNG data URI, unscaled.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)`` uint8 RGB.
    """
    return _uri("png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _uri(kind: str, image: Bytes, options: Sequence[int]) -> str:
    swapped = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode("." + kind, swapped, options)
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def fitted(shape: tuple[int, ...], width: int) -> tuple[int, int]:
    """Size ``(h, w)`` on the page of a picture of ``shape``: at most ``width`` wide, the aspect kept."""
    height, own = shape[:2]
    if own <= width:
        return height, own
    return max(1, round(height * width / own)), width


def shrink(image: Bytes, width: int) -> Bytes:
    """Scale ``(H, W[, 3])`` uint8 down to ``width`` pixels by area; smaller pictures stay as they are."""
    height, width = fitted(image.shape, width)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def colour(codes: Codes) -> Bytes:
    """S in colours: viridis, from dark violet at 0 to yellow at 1; never stretched to the map's own range.

    Args:
        codes: ``(H, W)`` uint16, S as stored.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Source: van der Walt & Smith 2015, viridis: equal steps of S look equally far apart, in grey as well.
    """
    colours: Bytes = _VIRIDIS[codes >> 8]
    return colours


def small_map(codes: Codes, width: int) -> Bytes:
    """``colour`` of S scaled down to ``width``: scaled first, so that every colour is on the scale."""
    height, width = fitted(codes.shape, width)
    return colour(np.asarray(cv2.resize(codes, (width, height), interpolation=cv2.INTER_AREA), np.uint16))


def overlay(image: Bytes, mask: Bytes, width: int) -> Bytes:
    """Tint and outline M = 1 on a frame, scaled down to ``width``.

    The outline lies outside the marked pixels, white with a black rim: one of the two shows on any frame. It
    runs around every place that holds at least one marked pixel, so none vanishes in the scaling.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        mask: ``(H, W)`` uint8, 0 or 1.
        width: Largest width on the page, in pixels.

    Returns:
        ``(h, w, 3)`` uint8 RGB.
    """
    height, width = fitted(image.shape, width)
    cover: Floats = np.asarray(
        cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA), np.float32
    )
    marked = (cover > 0).astype(np.uint8)
    share = cover[:, :, None] * _TINT_SHARE
    drawn: Bytes = np.rint(shrink(image, width) * (1 - share) + _TINT * share).astype(np.uint8)
    line, rim = _grow(marked, 1), _grow(marked, 2)
    drawn[rim > line] = 0
    drawn[line > marked] = 255
    return drawn


def _grow(mask: Bytes, pixels: int) -> Bytes:
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(mask, kernel, iterations=pixels), np.uint8)
