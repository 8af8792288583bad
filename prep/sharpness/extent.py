"""S from known blur lengths, as in synthesised pairs, on the scale of ``paired``; our own method.

``cdg-prep synth`` writes a blur-length map beside each pair; other data sets may have their own.

Legend: H, W the frame's height and width.
"""

import numpy as np

from prep.arrays import Bytes, Codes, Floats
from prep.io import extents
from prep.sharpness import paired, size

CEILING = 1.0
PARAMETERS = {"extent": paired.EXTENT}


def sharpness(blurry: Bytes, codes: Codes | None = None) -> Floats:
    """Compute S from the extents L of a frame's blur: S = 1 / (1 + (L / 3)^2 / 24), so S = 0.96 at 3 pixels.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB; only its size matters.
        codes: ``(H, W)`` uint16 extents, as returned by ``extents.to_codes``.

    Returns:
        ``(H, W)`` float32 in [0, 1]; 0 where the extent is unknown: the pixel counts as blurred.

    Raises:
        ValueError: If ``codes`` is None or has another size or type, or the frame is smaller than 16 pixels.
    """
    size.check(blurry)
    if codes is None or codes.dtype != np.uint16 or codes.shape != blurry.shape[:2]:
        given = "none" if codes is None else f"{codes.dtype} {codes.shape}"
        raise ValueError(f"the blur-length map is {given}, but must be uint16 {blurry.shape[:2]}")
    return np.nan_to_num(paired.sharpness_of(extents.to_pixels(codes)), nan=0)
