"""Equations 14 and 15 (S -> M -> Sgt, Lgt), and the stored form of S.

Legend: H, W a frame's height and width.
"""

import cv2
import numpy as np

from prep.arrays import Bytes, Codes, Floats

LEVELS = 65535
SHARE_STEPS = 200
SOFT_LEVELS = 255  # code of 1 in a soft mask


def _check_mu(mu: float) -> None:
    if not 0 <= mu <= 1:
        raise ValueError(f"mu is {mu}; it must be in [0, 1] (0.96 in the paper)")


def to_codes(sharpness: Floats) -> Codes:
    """Store S in 16 bits: code = round(S * 65535). S is never rescaled.

    Args:
        sharpness: ``(H, W)`` in [0, 1].

    Raises:
        ValueError: If it holds NaN or leaves [0, 1].
    """
    _check(sharpness)
    return np.rint(sharpness.astype(np.float64) * LEVELS).astype(np.uint16)


def from_codes(codes: Codes) -> Floats:
    """Convert stored codes to S, ``(H, W)`` in [0, 1]."""
    return (codes.astype(np.float64) / LEVELS).astype(np.float32)


def sharpness_mask(sharpness: Floats, mu: float) -> Bytes:
    """Mark the pixels with small blur: M = max(0, sign(S - mu)).

    Args:
        sharpness: ``(H, W)`` in [0, 1]; 1 is sharp.
        mu: Threshold, in the units of ``sharpness``. S equal to ``mu`` counts as blurred.

    Returns:
        ``(H, W)`` uint8, 1 where blur is small, 0 where it is large.

    Raises:
        ValueError: If ``sharpness`` holds NaN or leaves [0, 1], or ``mu`` is outside [0, 1].

    Source: Wang et al. 2021, equation 14.
    """
    _check(sharpness)
    _check_mu(mu)
    return (sharpness > mu).astype(np.uint8)


def mask_of_codes(codes: Codes, mu: float) -> Bytes:
    """Apply equation 14 to stored S. All masks on disk are made this way, so that S and M always agree.

    Compares code / 65535 with ``mu`` in float64, in which a ``mu`` equal to a code's value compares as equal.

    Args:
        codes: ``(H, W)`` uint16.
        mu: Threshold in [0, 1].

    Returns:
        ``(H, W)`` uint8, 0 or 1.
    """
    return (codes >= least_code(mu)).view(np.uint8)


def soft_mask(codes: Codes, mu: float) -> Bytes:
    """Compute each pixel's weight w in the small-blur component: 1/2 if S is ``mu``, 1 if S is 1.

    The odds of w are the odds of S divided by the odds of ``mu``: w / (1 - w) = S / (1 - S) * (1 - mu) / mu. For S of
    the methods ``paired`` and ``extent``, w = 1 / (1 + (L / L_mu)^2); L is the blur length, L_mu the length at ``mu``.

    Args:
        codes: ``(H, W)`` uint16.
        mu: Threshold in [0, 1].

    Returns:
        ``(H, W)`` uint8, round(255 w). If S is only 0 or 1, it is 255 times the mask.
    """
    _check_mu(mu)
    sharpness = codes.astype(np.float64) / LEVELS
    small, large = sharpness * (1 - mu), (1 - sharpness) * mu
    total = small + large
    weight = np.divide(small, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(np.rint(SOFT_LEVELS * weight), np.uint8)


def least_code(mu: float) -> int:
    """Return the smallest code above a threshold; 65536 if there is none."""
    _check_mu(mu)
    passing = np.flatnonzero(np.arange(LEVELS + 1) / LEVELS > mu)
    return int(passing[0]) if len(passing) else LEVELS + 1


def mask_shares(codes: Codes) -> list[float]:
    """Compute the share of a frame with M = 1 at each of the thresholds mu = 0, 0.005, ..., 1.

    Args:
        codes: ``(H, W)`` uint16.

    Returns:
        201 shares in [0, 1], rounded to 1e-4.
    """
    counts = np.bincount(codes.ravel(), minlength=LEVELS + 2)
    above = np.cumsum(counts[::-1])[::-1]  # number of pixels with this code or a higher one
    return [round(float(share), 4) for share in above[_LEAST] / codes.size]


_LEAST = [least_code(step / SHARE_STEPS) for step in range(SHARE_STEPS + 1)]


def component_targets(sharp: Bytes, mask: Bytes) -> tuple[Bytes, Bytes]:
    """Split the sharp frame: Sgt = M * Igt and Lgt = (1 - M) * Igt.

    Args:
        sharp: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` uint8, 0 or 1.

    Returns:
        Sgt and Lgt, ``(H, W, 3)`` uint8 each; masked-out pixels are 0, and their sum is ``sharp``.

    Source: Wang et al. 2021, equation 15.
    """
    sgt = np.asarray(cv2.bitwise_and(sharp, sharp, mask=mask), np.uint8)  # ten times as fast as multiplying
    return sgt, sharp - sgt


def _check(sharpness: Floats) -> None:
    low, high = float(sharpness.min()), float(sharpness.max())
    if not (low >= 0 and high <= 1):  # NaN fails both comparisons
        raise ValueError(f"sharpness is in [{low}, {high}]; it must be in [0, 1], without NaN")
