"""Comparison of a blurry picture with its result: both side by side, and below them the part that changed most.

Legend: H, W height and width of a picture.
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

_WIDEST, _NARROWEST = 900, 360  # pixels; limits of the width of a picture on the sheet
_ENLARGED = 4  # enlargement by repeated pixels, because interpolation would flatter the result
_QUALITY = 92


def path_of(result: Path) -> Path:
    """Return the path of the comparison of a result, which is in the same folder."""
    return result.with_name(result.name + COMPARISON)


def is_current(result: Path) -> bool:
    """Return whether a result has a comparison, and not one of an earlier result."""
    path = path_of(result)
    return path.exists() and result.exists() and path.stat().st_mtime_ns >= result.stat().st_mtime_ns


def write(blurry: Path, restored: Path) -> Path:
    """Write the comparison of a picture and its result beside the result; return its path.

    Raises:
        ReadError: If one of the two cannot be read.
        OSError: If the comparison cannot be written.
    """
    path = path_of(restored)
    before, after = (to_rgb8(on_white(photographs.read(each).pixels)) for each in (blurry, restored))
    files.write_bytes(path, jpeg(draw(before, after), _QUALITY))
    return path


def draw(before: Bytes, after: Bytes) -> Bytes:
    """Draw a picture before and after restoring.

    Args:
        before: ``(H, W, 3)`` uint8 RGB, blurry.
        after: The same, restored.

    Returns:
        RGB, uint8: both whole pictures, and below them the square that changed most, enlarged four times.
    """
    column = max(_NARROWEST, min(before.shape[1], _WIDEST))
    part = most_changed_part(before, after, column // _ENLARGED)
    enlarged = [image[part].repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1) for image in (before, after)]
    height, width = before[part].shape[:2]
    note = f"{width} x {height} pixels of it, enlarged {_ENLARGED} times"
    rows = [((before, after), ("", "")), (enlarged, (note, note))]
    return draw_sheet(("before: blurry", "after: restored"), rows, column)


def most_changed_part(before: Bytes, after: Bytes, side: int) -> tuple[slice, slice]:
    """Return rows and columns of the square of ``side`` pixels that differs most; a 3 x 3 mean suppresses noise."""
    smooth = cv2.blur(after.astype(np.float32) - before, (3, 3))
    change = np.square(smooth).sum(axis=2, dtype=np.float64)
    return greatest_square(change, side)
