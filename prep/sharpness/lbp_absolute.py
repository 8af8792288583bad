"""S by local binary patterns, scored against constants from photographs instead of against the frame itself.

``lbp`` scores a frame by its own mean and standard deviation: if more than half of a frame is sharp, nothing stands out
and the mask is empty; if all of it is blurred, the least blurred tenth passes. This method has a fixed scale instead:
shares of patterns and mattes are compared with constants, and the noise that the threshold follows is measured in a
fixed share of the frame. Its drawback: a frame of weak texture is never marked as sharp.

Everything else is as in ``lbp``.
"""

import cv2
import numpy as np

from prep.arrays import Bytes, Floats
from prep.sharpness import guided_filter, lbp, patterns, size

_FULL_SHARE = 0.25  # share of patterns that replaces ``lbp``'s maximum over the frame, which is 0.3 to 0.6 on CUHK
_MEAN, _SPREAD = 0.30, 0.34  # mean and standard deviation of ``lbp``'s mattes, averaged over six CUHK photographs
_QUIET = 0.1  # share of the frame taken as flat; noise is measured there, because texture looks like noise
_BLOCK = 8  # side of a block, in Haar details
_BIAS = 1.1  # factor that corrects for the quietest blocks being below the mean

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
        ``(H, W)`` float32 in [0.03837, 0.96163]; a frame without any pattern, or with noise only, gets the lowest value
        everywhere.

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
