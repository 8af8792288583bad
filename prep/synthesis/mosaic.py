"""A Bayer mosaic with one colour per pixel, and demosaicing.

Together they reproduce photographs to 37.8 dB; with OpenCV's demosaicing, bilinear or edge-aware, to 32 dB.

Legend: H, W a frame's height and width.
"""

import cv2
import numpy as np

from prep.arrays import Floats

Corner = tuple[int, int]  # row and column, 0 or 1, of the first red pixel

# The filters of Malvar, He and Cutler 2004, figure 2, in eighths.
_GREEN = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]) / 8
_BESIDE = np.array([[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]) / 8
_ACROSS = np.array([[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]]) / 16


def planes(red: Corner) -> tuple[tuple[slice, slice, int], ...]:
    """Return rows, columns and channel of each of the four pixels of the pattern."""
    row, column = red
    rows, columns = (slice(row, None, 2), slice(1 - row, None, 2)), (slice(column, None, 2), slice(1 - column, None, 2))
    return (rows[0], columns[0], 0), (rows[0], columns[1], 1), (rows[1], columns[0], 1), (rows[1], columns[1], 2)


def mosaic(colours: Floats, red: Corner) -> Floats:
    """Keep one colour per pixel: ``(H, W, 3)`` -> ``(H, W)``."""
    raw = np.empty(colours.shape[:2], np.float32)
    for rows, columns, channel in planes(red):
        raw[rows, columns] = colours[rows, columns, channel]
    return raw


def demosaic(raw: Floats, red: Corner) -> Floats:
    """Estimate the two missing colours of each pixel: ``(H, W)`` -> ``(H, W, 3)``.

    Args:
        raw: White-balanced light, because the filters assume that all channels have the same curvature.
        red: Position of the pattern's red pixel.

    Source: Malvar, He and Cutler 2004, "High-quality linear interpolation for demosaicing of Bayer-patterned color
    images". Here it is applied to the square root of light, which is closer to a file's pixel values: on light itself,
    dark edges become dotted and photographs lose 4 dB. The mean of noise is kept to 1 %.
    """
    root = np.copysign(np.sqrt(np.abs(raw)), raw)
    green, beside, above, across = (
        cv2.filter2D(root, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
        for kernel in (_GREEN, _BESIDE, _BESIDE.T, _ACROSS)
    )
    colours = np.repeat(root[:, :, None], 3, axis=2)  # (H, W, 3)
    (red_rows, red_columns, _), _, _, (blue_rows, blue_columns, _) = planes(red)
    for rows, columns, estimates in (
        (red_rows, red_columns, ((1, green), (2, across))),
        (red_rows, blue_columns, ((0, beside), (2, above))),
        (blue_rows, red_columns, ((0, above), (2, beside))),
        (blue_rows, blue_columns, ((1, green), (0, across))),
    ):
        for channel, estimate in estimates:
            colours[rows, columns, channel] = estimate[rows, columns]
    return np.asarray(colours * np.abs(colours), np.float32)
