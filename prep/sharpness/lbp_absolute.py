"""S by local binary patterns, scored against constants from photographs instead of against the frame itself.

``lbp`` measures a frame by its own mean and spread: where more than half of a frame is sharp nothing stands out and
the mask is empty, and where all of it is blurred the least blurred tenth passes. The cure is a fixed measure: shares
of patterns, mattes and the noise that the threshold follows are compared with constants. What that costs: a frame of
weak texture, however sharp, is not called sharp.

Everything else is ``lbp``.
"""

import cv2
import numpy as np

from prep.arrays import Bytes, Floats
from prep.sharpness import guided_filter, lbp, patterns, size

_FULL_SHARE = 0.25  # of patterns in a window, that counts as ``lbp``'s maximum over the frame: 0.3 to 0.6 on CUHK
_MEAN, _SPREAD = 0.30, 0.34  # of ``lbp``'s mattes, averaged over the six CUHK photographs at hand
_QUIET = 0.1  # share of the frame taken for flat: noise is measured there, since a textured frame looks like noise
_BLOCK = 8  # Haar details to a side
_BIAS = 1.1  # what the quietest blocks lack of the mean

PARAMETERS = {
    **lbp.PARAMETERS,
    "full_share": _FULL_SHARE,
    "mean": _MEAN,
    "spread": _SPREAD,
    "quiet": _QUIET,
}


def sharpness(blurry: Bytes, sharp: Bytes | None = None) -> Floats:
    """Compute S of one frame.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: Ignored; all methods share one signature.

    Returns:
        ``(H, W)`` float32 in [0.03837, 0.96163]; a frame without any pattern, or of mere noise, gets the
        lowest value everywhere.

    Raises:
        ValueError: If the frame is smaller than 16 pixels.

    Source: after Yi & Eramian 2016.
    """
    size.check(blurry)
    grey = lbp.to_grey(blurry)
    marks = patterns.non_uniform(grey, max(lbp.THRESHOLD, lbp.NOISE_FACTOR * noise(grey)))
    ramps = lbp.ramp(lbp.shares(marks) / np.float32(_FULL_SHARE))
    mattes = guided_filter.guided_filter(lbp.unit(grey), ramps)
    return lbp.believe(lbp.log_ratios(mattes, _MEAN, _SPREAD))


def noise(grey: Bytes) -> float:
    """Estimate the standard deviation of white noise in grey levels from the quietest tenth of the frame."""
    details = lbp.haar(grey).astype(np.float32) / 2
    energy = cv2.blur(details * details, (_BLOCK, _BLOCK))
    return float(np.sqrt(np.quantile(energy, _QUIET))) * _BIAS
