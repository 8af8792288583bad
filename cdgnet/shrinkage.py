"""Protect what is sharp: keep the light of a frame, and shrink the change that a network makes where it is small.

Legend: B batch, H and W a frame's height and width in pixels.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from cdgnet.padding import crop_to_size, pad_to_multiple

CELL = 8
"""Side in pixels of the cells on whose means the window moves; saves time."""

WINDOW = 51
"""Side of the window in cells: 408 pixels."""

GAMMA = 2.2
"""Exponent from a code to light, as of sRGB and of GoPro's cameras."""

_DARK = 1e-3  # light of white 1; keeps the gain of black windows at 1


def shrink(blurry: Tensor, restored: Tensor, threshold: float) -> Tensor:
    """Scale each colour back to the light of the blurry frame, then multiply the change by E / (E + threshold^2).

    E is the mean square of the change in the window around a pixel. A trained network also changes a sharp frame, by a
    little everywhere: it makes it darker and smooths fine texture. Blur moves light and takes none away, so the light
    in a window is that of the blurry frame. What remains is larger for blurry and noisy frames, so shrinking protects
    sharp frames more than it costs the others. Where the root mean square of the change equals the threshold, half of
    it remains.

    Args:
        blurry: ``(B, 3, H, W)`` float in [-0.5, 0.5], whole frames.
        restored: Result of the network, of the same shape.
        threshold: In grey levels of 255, above 0.

    Returns:
        ``(B, 3, H, W)``, not clamped.

    Source: the gain of Wiener's filter with the signal's energy estimated from the data, as Ghael et al. 1997 apply it
    to wavelet coefficients (*Improved wavelet denoising via empirical Wiener filtering*); here to the whole change.
    Keeping the light is an addition of this project.
    """
    # One colour at a time, and each twice, because the images of a large picture take gigabytes.
    pairs = [(blurry[:, [colour]], restored[:, [colour]]) for colour in range(3)]
    gains = [_gain(before, after) for before, after in pairs]
    energies = [
        _cells((_lit(after, gain) - before).float().square())
        for (before, after), gain in zip(pairs, gains, strict=True)
    ]
    local = _in_window(torch.stack(energies).mean(dim=0))
    share = _enlarged(local / (local + (threshold / 255) ** 2), blurry)
    shrunk = [torch.lerp(before, _lit(after, gain), share) for (before, after), gain in zip(pairs, gains, strict=True)]
    return torch.cat(shrunk, dim=1)


def _gain(blurry: Tensor, restored: Tensor) -> Tensor:
    """Return what the codes of ``restored`` must gain to have the light of ``blurry`` in the window of each cell."""
    before, after = (_in_window(_cells(_light(image))) + _DARK for image in (blurry, restored))
    return (before / after) ** (1 / GAMMA) - 1


def _light(image: Tensor) -> Tensor:
    return (image.float() + 0.5).clamp(min=0) ** GAMMA


def _lit(image: Tensor, gain: Tensor) -> Tensor:
    """Multiply the codes of an image by 1 + ``gain``."""
    return torch.addcmul(image, image + 0.5, _enlarged(gain, image))


def _cells(image: Tensor) -> Tensor:
    """Return the mean of each cell of ``(B, 1, H, W)``: ``(B, 1, ceil(H/8), ceil(W/8))``."""
    return avg_pool2d(pad_to_multiple(image, CELL), CELL)


def _in_window(cells: Tensor) -> Tensor:
    """Return the mean of the window around each cell; beyond the frame the cells at its edge count on."""
    rows = avg_pool2d(pad(cells, (WINDOW // 2,) * 4, mode="replicate"), (WINDOW, 1), stride=1)
    return avg_pool2d(rows, (1, WINDOW), stride=1)


def _enlarged(cells: Tensor, image: Tensor) -> Tensor:
    """Return a value per pixel of ``image``, in its type."""
    pixels = interpolate(cells, scale_factor=CELL, mode="bilinear")
    return crop_to_size(pixels, (image.shape[-2], image.shape[-1])).to(image.dtype)
