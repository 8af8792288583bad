"""Lay out pictures in named columns, as one picture.

Legend: H, W height and width of a picture.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.pages import pictures
from prep.arrays import Bytes, Codes

COLUMN = 360  # pixels; default width of a picture
GAP, MARGIN, HEAD, FOOT = 12, 24, 44, 46  # pixels: between pictures, at the sides, line of names, line below a row
_TEXT_SIZE, _BASELINE = 21, 27  # pixels: font size, distance of the baseline from the upper edge of a line
_GROUND, _INK, _QUIET = (22, 23, 25), (236, 236, 234), (163, 166, 170)  # RGB

Colour = tuple[int, int, int]


def draw_sheet(
    names: Sequence[str], rows: Sequence[tuple[Sequence[Bytes | Codes], Sequence[str]]], column: int = COLUMN
) -> Bytes:
    """Lay out pictures in columns, with the names above and a line of text below each picture.

    Args:
        names: Names of the columns.
        rows: Pictures and texts of each row, one per column. A picture is ``(H, W, 3)`` uint8 RGB, ``(H, W)`` uint8
            greyscale, or ``(H, W)`` uint16, which is S and shown in colours.
        column: Width of a picture in pixels.

    Returns:
        The sheet, RGB uint8.
    """
    width = MARGIN * 2 + len(names) * (column + GAP) - GAP
    parts = [_canvas(GAP, width), _line(HEAD, width, names, _INK, column)]
    for cells, texts in rows:
        drawn = [_cell(cell, column) for cell in cells]
        row = _canvas(max(cell.shape[0] for cell in drawn), width)
        for place, cell in enumerate(drawn):
            left = _left(place, column)
            row[: cell.shape[0], left : left + column] = cell
        parts += [row, _line(FOOT, width, texts, _QUIET, column)]
    return np.concatenate(parts)


def _cell(picture: Bytes | Codes, column: int) -> Bytes:
    """Scale a picture up or down to the width of a column, and convert it to RGB."""
    height, width = picture.shape[:2]
    size = column, max(1, round(height * column / width))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if width > column else cv2.INTER_LINEAR)
    if scaled.dtype == np.uint16:
        return pictures.colour(np.asarray(scaled, np.uint16))
    eight = np.asarray(scaled, np.uint8)
    return eight if eight.ndim == 3 else np.repeat(eight[:, :, None], 3, axis=2)


def _line(height: int, width: int, texts: Sequence[str], ink: Colour, column: int) -> Bytes:
    """Draw a line of texts, one per column; a text that is too long loses its beginning."""
    line = _canvas(height, width)
    face = cv2.FontFace("sans")
    for place, text in enumerate(texts):
        while text and cv2.getTextSize((0, 0), text, (0, 0), face, _TEXT_SIZE, 500)[2] > column:
            text = "…" + text[2:]
        if text:
            cv2.putText(line, text, (_left(place, column), _BASELINE), ink, face, _TEXT_SIZE, 500)
    return line


def _canvas(height: int, width: int) -> Bytes:
    canvas: Bytes = np.empty((height, width, 3), np.uint8)
    canvas[:] = _GROUND
    return canvas


def _left(place: int, column: int) -> int:
    return MARGIN + place * (column + GAP)
