"""Local binary patterns: which neighbours of a pixel are brighter by more than a threshold, and in what order.

Source: Ojala, Pietikäinen & Mäenpää 2002, "Multiresolution gray-scale and rotation invariant texture classification
with local binary patterns".
"""

from typing import Any

import numpy as np

from prep.arrays import Bytes
from prep.compiled import compiled

_FAR = np.float32(np.sqrt(2) / 2)  # bilinear weights of the point at distance 1 along a diagonal
_NEAR = np.float32(1) - _FAR
_CENTRE, _SIDE, _CORNER = _NEAR * _NEAR, _FAR * _NEAR, _FAR * _FAR
_SLACK = np.float32(1e-4)  # above rounding errors, below any distance from p + q sqrt(2) to the next whole number


def non_uniform(grey: Bytes, threshold: float) -> Bytes:
    """Mark the pixels whose rotation-invariant uniform pattern (8 neighbours, radius 1) has a code of 6 or more.

    Args:
        grey: ``(H, W)``.
        threshold: T, in grey levels: a neighbour counts if it is brighter by more than T.

    Returns:
        ``(H, W)`` 0 or 1. The code is the number of brighter neighbours if these are adjacent on the circle, otherwise
        9. Diagonal neighbours are interpolated bilinearly at distance 1 and rounded down.

    Source: Ojala et al. 2002, equation 9; Yi & Eramian 2016, equation 4.
    """
    marks = np.empty(grey.shape, np.uint8)
    _mark(np.pad(grey, 1, mode="edge"), np.float32(threshold), marks)
    return marks


@compiled
def _mark(padded: Bytes, threshold: np.float32, marks: Bytes) -> None:
    for y in range(marks.shape[0]):
        _mark_row(padded[y], padded[y + 1], padded[y + 2], threshold, marks[y])


@compiled
def _mark_row(above: Bytes, row: Bytes, below: Bytes, threshold: np.float32, marks: Bytes) -> None:
    for x in range(marks.size):
        centre, east, west = np.float32(row[x + 1]), np.float32(row[x + 2]), np.float32(row[x])
        north, south = np.float32(above[x + 1]), np.float32(below[x + 1])
        e = east - centre > threshold
        ne = _between(centre, north, east, np.float32(above[x + 2])) - centre > threshold
        n = north - centre > threshold
        nw = _between(centre, north, west, np.float32(above[x])) - centre > threshold
        w = west - centre > threshold
        sw = _between(centre, south, west, np.float32(below[x])) - centre > threshold
        s = south - centre > threshold
        se = _between(centre, south, east, np.float32(below[x + 2])) - centre > threshold
        brighter = e + ne + n + nw + w + sw + s + se
        changes = (e ^ ne) + (ne ^ n) + (n ^ nw) + (nw ^ w) + (w ^ sw) + (sw ^ s) + (s ^ se) + (se ^ e)
        marks[x] = (brighter >= 6) | (changes > 2)


@compiled
def _between(centre: Any, one: Any, other: Any, corner: Any) -> Any:
    return np.floor(centre * _CENTRE + (one + other) * _SIDE + corner * _CORNER + _SLACK)
