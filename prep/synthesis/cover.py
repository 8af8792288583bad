"""The compiled loops of ``scene``: layers that cover other layers.

Layers are added from the nearest to the background; ``clear`` is the share of a pixel that no added layer covers.

Legend: h, w height and width of a part of a frame.
"""

from prep.arrays import Floats
from prep.compiled import compiled


@compiled
def add_layer(total: Floats, clear: Floats, view: Floats) -> None:
    """Add the visible part of a layer to ``total``, and subtract what it covers from ``clear``; both in place.

    Args:
        total: ``(h, w, 3)`` light.
        clear: ``(h, w)`` uncovered share, in [0, 1].
        view: ``(h, w, 4)``: the layer's light times its opacity, and its opacity.
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
    """Add the visible part of the background, ``(h, w, 3)``, to ``total`` in place; arguments as in ``add_layer``."""
    height, width = clear.shape
    for y in range(height):
        for x in range(width):
            seen = clear[y, x]
            for channel in range(3):
                total[y, x, channel] += seen * view[y, x, channel]
