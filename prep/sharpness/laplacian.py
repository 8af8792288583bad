"""S by the local energy of the Laplacian: Pech-Pacheco et al. 2000. For diagnosis, not for supervision.

This well-known focus measure mostly measures texture: it is low on a sharp, flat wall and high on a blurred fence. It
serves as a baseline for better maps.
"""

import cv2
import numpy as np

from prep.arrays import Bytes, Floats
from prep.sharpness import size

_WINDOW = 5.0  # standard deviation of the Gaussian window, in pixels
_LEVEL = 40.0  # root of the local energy at S = 0.96, in grey levels

PARAMETERS = {"window": _WINDOW, "level": _LEVEL}


def sharpness(blurry: Bytes, sharp: Bytes | None = None) -> Floats:
    """Compute S of one frame from E, the mean square of the 4-neighbour Laplacian: S = 24 E / (24 E + 40^2).

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: Ignored; all methods share one signature.

    Returns:
        ``(H, W)`` float32 in [0, 1); 0.96 where the root of E is 40 grey levels, 0 on a constant frame.

    Raises:
        ValueError: If the frame is smaller than 16 pixels.
    """
    size.check(blurry)
    grey = cv2.cvtColor(blurry, cv2.COLOR_RGB2GRAY).astype(np.float32)
    curvature = cv2.Laplacian(grey, cv2.CV_32F)
    energy = cv2.GaussianBlur(curvature * curvature, (0, 0), _WINDOW)
    return np.asarray(24 * energy / (24 * energy + np.float32(_LEVEL**2)), np.float32)
