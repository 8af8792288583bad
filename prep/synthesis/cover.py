"""Layers before layers: the loops of ``scene``, compiled.

Legend: h, w a part of a frame.
"""

from prep.arrays import Floats
from prep.compiled import compiled


@compiled
def cover(frame: Floats, view: Floats) -> None:
    """Put a layer before a frame, in place.

    Args:
        frame: ``(h, w, 3)`` light.
        view: ``(h, w, 4)``: the layer's light times its cover, and its cover.
    """
    height, width = view.shape[:2]
    for y in range(height):
        for x in range(width):
            alpha = view[y, x, 3]
            if alpha == 0:
                continue
            rest = 1 - alpha
            for channel in range(3):
                frame[y, x, channel] = frame[y, x, channel] * rest + view[y, x, channel]


@compiled
def hide(clear: Floats, view: Floats) -> None:
    """Take what a layer covers from what is seen behind it, in place; ``clear`` is ``(h, w)``, 1 where nothing is."""
    height, width = view.shape[:2]
    for y in range(height):
        for x in range(width):
            clear[y, x] *= 1 - view[y, x, 3]
