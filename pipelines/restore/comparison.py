"""A blurry picture and its result beside each other, whole and the part that changed most enlarged, as one picture.

Legend: H, W a picture's height and width.
"""

from pathlib import Path

import cv2
import numpy as np

from pipelines.pages.pictures import greatest_square, jpeg, on_white
from pipelines.pages.sheet import draw_sheet
from prep.arrays import Bytes
from prep.datasets.path_patterns import COMPARISON
from prep.io import files, photographs
from prep.io.frames import to_rgb8

_WIDEST, _NARROWEST = 900, 360  # pixels, width of a picture on the sheet: its own, between these
_ENLARGED = 4  # times the pixels of the part; interpolation would flatter the result
_QUALITY = 92


def path_of(result: Path) -> Path:
    """Where the comparison of a result lies: beside it."""
    return result.with_name(result.name + COMPARISON)


def write(blurry: Path, restored: Path) -> Path:
    """Draw a picture and its result, and write that beside the result; gives the path.

    Raises:
        ReadError: If either cannot be read.
        OSError: If the comparison cannot be written.
    """
    path = path_of(restored)
    before, after = (to_rgb8(on_white(photographs.read(each).pixels)) for each in (blurry, restored))
    files.write_bytes(path, jpeg(draw(before, after), _QUALITY))
    return path


def draw(before: Bytes, after: Bytes) -> Bytes:
    """Lay out a picture before and after.

    Args:
        before: ``(H, W, 3)`` uint8 RGB, blurry.
        after: The same, restored.

    Returns:
        RGB, uint8: both whole, and below them the square that changed most, each pixel as a square of four by four.
    """
    column = max(_NARROWEST, min(before.shape[1], _WIDEST))
    part = most_changed_part(before, after, column // _ENLARGED)
    enlarged = [image[part].repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1) for image in (before, after)]
    height, width = before[part].shape[:2]
    note = f"{width} x {height} pixels of it, enlarged {_ENLARGED} times"
    rows = [((before, after), ("", "")), (enlarged, (note, note))]
    return draw_sheet(("before: blurry", "after: restored"), rows, column)


def most_changed_part(before: Bytes, after: Bytes, side: int) -> tuple[slice, slice]:
    """Rows and columns of the square of ``side`` pixels in which two pictures differ most; noise counts little."""
    smooth = cv2.blur(after.astype(np.float32) - before, (3, 3))
    change = np.square(smooth).sum(axis=2, dtype=np.float64)
    return greatest_square(change, side)
