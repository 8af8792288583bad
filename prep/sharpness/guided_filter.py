"""The guided filter: smooths images along the edges of another one, in time that does not depend on the radius.

A window's sum is a sum of column sums. These slide down the frame in float64: one row is added and one subtracted, and
float64 leaves no trace of a subtracted row. Along a row, 33 column sums are added by doubling: 2, 4, 8, 16, 32 and one
more; float32 suffices there. The lines (slope and offset) fitted at a row are applied 16 rows later, so only 34 rows of
them are kept, which stay in the cache.

Legend: H, W height and width; L number of sources, which are filtered together.

Source: He, Sun & Tang 2010, "Guided image filtering".
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from prep.arrays import Floats
from prep.compiled import compiled

RADIUS, EPSILON = 16, 1e-3
_SIDE = 2 * RADIUS + 1
_KEPT = _SIDE + 1  # rows of fitted lines to keep: those of a window and the row that leaves it
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
    filtered = np.empty(sources.shape, np.float32)
    _filter(guide, sources, filtered)
    return filtered


@compiled
def _filter(guide: Floats, sources: Floats, filtered: Floats) -> None:
    """Fit source = slope * guide + offset in each window; at each pixel, average the lines of all windows around it."""
    layers, height, width = sources.shape
    moments, lines = np.zeros((2 + 2 * layers, width)), np.zeros((2 * layers, width))  # column sums
    means, kept = np.empty(moments.shape, np.float32), np.empty((_KEPT, 2 * layers, width), np.float32)
    room, nothing = np.empty((3, width + 2 * RADIUS), np.float32), np.zeros(width, np.float32)
    for row in range(height + RADIUS):
        if row < height:
            _slide_moments(guide, sources, row, nothing, moments)
            for moment in range(2 + 2 * layers):
                _average(moments[moment], room, means[moment])
            for layer in range(layers):
                source, product = means[2 + 2 * layer], means[3 + 2 * layer]
                line = kept[row % _KEPT, 2 * layer : 2 * layer + 2]
                _fit_row(means[0], means[1], source, product, line[0], line[1])
        behind = row - RADIUS
        if behind >= 0:
            _slide_lines(kept, behind, height, nothing, lines)
            for value in range(2 * layers):
                _average(lines[value], room, means[value])
            for layer in range(layers):
                _apply_row(guide[behind], means[2 * layer], means[2 * layer + 1], filtered[layer, behind])


@compiled
def _slide_moments(guide: Floats, sources: Floats, row: int, nothing: Floats, moments: Doubles) -> None:
    """Slide to ``row`` the column sums of guide, guide squared, each source, and each source times guide."""
    height = guide.shape[0]
    for entering in range(row + RADIUS if row else -RADIUS, row + RADIUS + 1):
        new, old = _mirrored(entering, height), _mirrored(row - RADIUS - 1, height) if row else 0
        old_guide = guide[old] if row else nothing
        _exchange(guide[new], old_guide, moments[0])
        _exchange_products(guide[new], guide[new], old_guide, old_guide, moments[1])
        for layer in range(sources.shape[0]):
            old_source = sources[layer, old] if row else nothing
            _exchange(sources[layer, new], old_source, moments[2 + 2 * layer])
            _exchange_products(sources[layer, new], guide[new], old_source, old_guide, moments[3 + 2 * layer])


@compiled
def _slide_lines(kept: Floats, row: int, height: int, nothing: Floats, lines: Doubles) -> None:
    for entering in range(row + RADIUS if row else -RADIUS, row + RADIUS + 1):
        new, old = _mirrored(entering, height) % _KEPT, _mirrored(row - RADIUS - 1, height) % _KEPT
        for value in range(lines.shape[0]):
            _exchange(kept[new, value], kept[old, value] if row else nothing, lines[value])


@compiled
def _mirrored(place: int, size: int) -> int:
    """Mirror a place into 0 to size - 1; the border pixel itself is repeated."""
    return -1 - place if place < 0 else 2 * size - 1 - place if place >= size else place


@compiled
def _exchange(new: Any, old: Any, column: Any) -> None:
    for x in range(column.size):
        column[x] += np.float64(new[x]) - old[x]


@compiled
def _exchange_products(new: Any, new_factor: Any, old: Any, old_factor: Any, column: Any) -> None:
    for x in range(column.size):
        column[x] += np.float64(new[x]) * new_factor[x] - np.float64(old[x]) * old_factor[x]


@compiled
def _average(column: Any, room: Floats, mean: Any) -> None:
    """Add up the 33 column sums around each column and divide by the number of pixels in the window."""
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
def _fit_row(mean: Any, square: Any, source: Any, product: Any, slopes: Any, offsets: Any) -> None:
    for x in range(slopes.size):
        slope = (product[x] - mean[x] * source[x]) / (square[x] - mean[x] * mean[x] + _REGULAR)
        slopes[x] = slope
        offsets[x] = source[x] - slope * mean[x]


@compiled
def _apply_row(guide: Any, slopes: Any, offsets: Any, filtered: Any) -> None:
    for x in range(guide.size):
        filtered[x] = min(max(slopes[x] * guide[x] + offsets[x], np.float32(0)), np.float32(1))
