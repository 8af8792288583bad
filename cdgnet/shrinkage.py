"""Shrink the change that a network makes where it is small, so that sharp parts of a frame stay as they are.

Legend: B batch, H and W a frame's height and width in pixels.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from cdgnet.padding import crop_to_size, pad_to_multiple

CELL = 8
"""Side in pixels of the cells on whose means the window moves; saves time."""

WINDOW = 25
"""Side of the window in cells: 200 pixels."""


def shrink(blurry: Tensor, restored: Tensor, threshold: float) -> Tensor:
    """Multiply the change of each pixel by E / (E + threshold^2), with E its mean square in the window around.

    A trained network also changes a sharp frame, by a little everywhere: it smooths fine texture. It changes blurry and
    noisy frames more, so this protects sharp frames more than it costs the others. Where the root mean square of the
    change equals the threshold, half of it remains.

    Args:
        blurry: ``(B, 3, H, W)`` float in [-0.5, 0.5], whole frames.
        restored: Result of the network, of the same shape.
        threshold: In grey levels of 255, above 0.

    Returns:
        ``(B, 3, H, W)``, not clamped.

    Source: the gain of Wiener's filter with the signal's energy estimated from the data, as Ghael et al. 1997 apply it
    to wavelet coefficients (*Improved wavelet denoising via empirical Wiener filtering*); here to the whole change.
    """
    # One channel at a time, because the change of a large picture takes gigabytes.
    energies = [_cell_energy(restored[:, [colour]] - blurry[:, [colour]]) for colour in range(3)]
    cells = torch.stack(energies).mean(dim=0)  # (B, 1, ceil(H/8), ceil(W/8))
    local = avg_pool2d(pad(cells, (WINDOW // 2,) * 4, mode="replicate"), WINDOW, stride=1)
    share = interpolate(local / (local + (threshold / 255) ** 2), scale_factor=CELL, mode="bilinear")
    return torch.lerp(blurry, restored, crop_to_size(share, (blurry.shape[-2], blurry.shape[-1])).to(blurry.dtype))


def _cell_energy(change: Tensor) -> Tensor:
    """Return the mean square of each cell of ``(B, 1, H, W)``, in float32."""
    return avg_pool2d(pad_to_multiple(change.float().square(), CELL), CELL)
