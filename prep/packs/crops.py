"""The grid of crops over a frame."""

import numpy as np

from prep.arrays import Size

Origin = tuple[int, int]


def grid(size: Size, crop: Size) -> list[Origin]:
    """Place the fewest evenly spaced crops that cover a frame.

    Args:
        size: Frame ``(height, width)`` in pixels.
        crop: Crop ``(height, width)`` in pixels.

    Returns:
        Top left corners ``(y, x)``, row by row; neighbours overlap if the frame is not a multiple of the crop.

    Raises:
        ValueError: If the crop is larger than the frame, or not positive.
    """
    if min(crop) < 1 or crop[0] > size[0] or crop[1] > size[1]:
        raise ValueError(f"a crop of {crop[1]} x {crop[0]} pixels does not fit into a frame of {size[1]} x {size[0]}")
    rows, columns = (_starts(whole, part) for whole, part in zip(size, crop, strict=True))
    return [(y, x) for y in rows for x in columns]


def _starts(whole: int, part: int) -> list[int]:
    count = -(-whole // part)
    return [int(start) for start in np.rint(np.linspace(0, whole - part, count))]
