"""The guided filter: smooths images along the edges of another one, in time that does not depend on the radius.

A window's sum is a sum of columns. Columns slide down the frame: one row comes in, one goes, in float64, which leaves
nothing of what has gone. Along a row 33 columns are added up by doubling: 2, 4, 8, 16, 32 and one; float32 will do.

Legend: H, W height and width; L sources, filtered at once.

Source: He, Sun & Tang 2010, "Guided image filtering".
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from prep.arrays import Floats
from prep.sharpness.compiled import compiled

RADIUS, EPSILON = 16, 1e-3
_SIDE = 2 * RADIUS + 1
_SHARE = np.float32(1 / _SIDE**2)
_REGULAR = np.float32(EPSILON)

Doubles = npt.NDArray[np.float64]


def guided_filter(guide: Floats, sources: Floats) -> Floats:
    """Filter each source so that its edges are those of the guide: windows of 33 x 33 pixels, the border mirrored.

    Args:
        guide: ``(H, W)`` in [0, 1], of 16 pixels or more.
        sources: ``(L, H, W)`` in [0, 1].

    Returns:
        ``(L, H, W)`` float32 in [0, 1].

    Source: He et al. 2010, equations 5, 6 and 8.
    """
    lines = np.empty((2, *sources.shape), np.float32)
    filtered = np.empty(sources.shape, np.float32)
    _fit(guide, sources, lines)
    _apply(guide, lines, filtered)
    return filtered


@compiled
def _fit(guide: Floats, sources: Floats, lines: Floats) -> None:
    """Fit source = slope * guide + offset in the window around every pixel; slopes come first in ``lines``."""
    layers, height, width = sources.shape
    columns, means, room = (
        np.zeros((2 + 2 * layers, width)),
        np.empty((2 + 2 * layers, width), np.float32),
        _room(width),
    )
    for entering in range(-RADIUS, height + RADIUS):
        _add_row(guide, sources, _mirrored(entering, height), 1.0, columns)
        if entering - _SIDE >= -RADIUS:
            _add_row(guide, sources, _mirrored(entering - _SIDE, height), -1.0, columns)
        row = entering - RADIUS
        if row >= 0:
            for moment in range(2 + 2 * layers):
                _average(columns[moment], room, means[moment])
            for layer in range(layers):
                of_layer = means[2 + 2 * layer], means[3 + 2 * layer]
                _fit_row(means[0], means[1], of_layer, lines[0, layer, row], lines[1, layer, row])


@compiled
def _apply(guide: Floats, lines: Floats, filtered: Floats) -> None:
    """Average the lines of all windows that hold a pixel, and read its value off."""
    layers, height, width = filtered.shape
    columns, means, room = np.zeros((2, width)), np.empty((2, width), np.float32), _room(width)
    for layer in range(layers):
        columns[:] = 0
        for entering in range(-RADIUS, height + RADIUS):
            for value in range(2):
                _add(lines[value, layer, _mirrored(entering, height)], 1.0, columns[value])
                if entering - _SIDE >= -RADIUS:
                    _add(lines[value, layer, _mirrored(entering - _SIDE, height)], -1.0, columns[value])
            row = entering - RADIUS
            if row >= 0:
                _average(columns[0], room, means[0])
                _average(columns[1], room, means[1])
                _apply_row(guide[row], means[0], means[1], filtered[layer, row])


@compiled
def _room(width: int) -> Floats:
    return np.empty((3, width + 2 * RADIUS), np.float32)


@compiled
def _mirrored(place: int, size: int) -> int:
    """The place within 0 to size - 1 that mirrors this one, the border itself doubled."""
    return -1 - place if place < 0 else 2 * size - 1 - place if place >= size else place


@compiled
def _add_row(guide: Floats, sources: Floats, row: int, sign: float, columns: Doubles) -> None:
    """Add a row's moments: the guide, its square, and for each source itself and its product with the guide."""
    _add(guide[row], sign, columns[0])
    _add_product(guide[row], guide[row], sign, columns[1])
    for layer in range(sources.shape[0]):
        _add(sources[layer, row], sign, columns[2 + 2 * layer])
        _add_product(sources[layer, row], guide[row], sign, columns[3 + 2 * layer])


@compiled
def _add(row: Any, sign: float, column: Any) -> None:
    for x in range(column.size):
        column[x] += sign * row[x]


@compiled
def _add_product(one: Any, other: Any, sign: float, column: Any) -> None:
    for x in range(column.size):
        column[x] += sign * one[x] * other[x]


@compiled
def _average(column: Any, room: Floats, mean: Any) -> None:
    """Sum 33 columns around each, over the number of pixels in the window."""
    padded, sums, doubled = room[0], room[1], room[2]
    width = column.size
    padded[RADIUS : RADIUS + width] = column
    for place in range(RADIUS):
        padded[place] = column[_mirrored(place - RADIUS, width)]
        padded[RADIUS + width + place] = column[_mirrored(width + place, width)]
    _double(padded, 1, sums)
    _double(sums, 2, doubled)
    _double(doubled, 4, sums)
    _double(sums, 8, doubled)
    _double(doubled, 16, sums)
    for x in range(width):
        mean[x] = (sums[x] + padded[x + 2 * RADIUS]) * _SHARE


@compiled
def _double(sums: Any, reach: int, doubled: Any) -> None:
    for x in range(sums.size - reach):
        doubled[x] = sums[x] + sums[x + reach]


@compiled
def _fit_row(mean: Any, square: Any, source: Any, slopes: Any, offsets: Any) -> None:
    for x in range(slopes.size):
        slope = (source[1][x] - mean[x] * source[0][x]) / (square[x] - mean[x] * mean[x] + _REGULAR)
        slopes[x] = slope
        offsets[x] = source[0][x] - slope * mean[x]


@compiled
def _apply_row(guide: Any, slopes: Any, offsets: Any, filtered: Any) -> None:
    for x in range(guide.size):
        filtered[x] = min(max(slopes[x] * guide[x] + offsets[x], np.float32(0)), np.float32(1))
