"""Layers in front of layers: the loops of ``scene``, compiled.

From the nearest layer to the background: ``clear`` is the visible share of what is behind.

Legend: h, w a part of a frame.
"""

from prep.arrays import Floats
from prep.compiled import compiled


@compiled
def add_layer(total: Floats, clear: Floats, view: Floats) -> None:
    """Add the visible part of a layer, and subtract what it covers from ``clear``; both in place.

    Args:
        total: ``(h, w, 3)`` light.
        clear: ``(h, w)`` in [0, 1].
        view: ``(h, w, 4)``: the layer's light times its cover, and its cover.
    """
    height, width = clear.shape
    for y in range(height):
        for x in range(width):
            alpha = view[y, x, 3]
            if alpha == 0:
                continue
            seen = clear[y, x]
            for channel in range(3):
                total[y, x, channel] += seen * view[y, x, channel]
            clear[y, x] = seen * (1 - alpha)


@compiled
def add_behind(total: Floats, clear: Floats, view: Floats) -> None:
    """Add the visible part of the background, ``(h, w, 3)``, in place; otherwise like ``add_layer``."""
    height, width = clear.shape
    for y in range(height):
        for x in range(width):
            seen = clear[y, x]
            for channel in range(3):
                total[y, x, channel] += seen * view[y, x, channel]
