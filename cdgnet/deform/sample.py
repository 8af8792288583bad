"""Modulated deformable convolution by ``grid_sample`` and a matrix product, for any device and for export.

Legend: B batch, C input channels, D output channels, H and W height and width of the features, h and w those of the
output, K = k * k taps of the kernel, G offset groups.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor

from cdgnet.deform.strips import strip_height
from cdgnet.tracing import is_exporting


def by_sample(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    """Compute ``deform.deform_conv2d`` by ``grid_sample`` for all taps of a strip of rows, then one matrix product."""
    batch, channels = features.shape[:2]
    taps = weight.shape[-1] ** 2
    groups = modulation.shape[1] // taps
    frame = features if is_exporting() else _enlarged(features)  # (B, C, H', W')
    frame = frame.reshape(batch * groups, channels // groups, *frame.shape[-2:])  # (BG, C/G, H', W')
    # Expanded here, because matmul would copy the samples to form one product for the whole batch.
    kernels = weight.flatten(1).expand(batch, -1, -1)  # (B, D, CK)
    row_bytes = features.element_size() * batch * channels * taps * offset.shape[-1]
    rows = min(offset.shape[-2], strip_height(row_bytes, features.device))
    positions = offset + _resting_positions(offset, weight.shape[-1], groups, padding)
    strips = []
    for places, factors in zip(torch.split(positions, rows, dim=2), torch.split(modulation, rows, dim=2), strict=True):
        samples = _sample(frame, places, factors, taps)  # (BG, C/G, K, rows, w)
        columns = samples.view(batch, channels * taps, places.shape[2] * places.shape[3])  # (B, CK, rows * w)
        products = torch.baddbmm(bias.view(1, -1, 1), kernels, columns)  # (B, D, rows * w)
        strips.append(products.view(batch, len(weight), *places.shape[2:]))  # (B, D, rows, w)
    return torch.cat(strips, dim=2)


def _enlarged(features: Tensor) -> Tensor:
    """Pad with zeros on the right and below until height and width are powers of two.

    ``grid_sample`` takes positions as fractions of the frame. Only with powers of two do whole pixels survive the
    conversion exactly; after a rounding error the gradient would come from the wrong pair of pixels. In new layers all
    taps are on whole pixels.
    """
    height, width = features.shape[-2:]
    below, right = (_power_of_two(side) - side for side in (height, width))
    return functional.pad(features, (0, right, 0, below))


def _power_of_two(side: int) -> int:
    return 1 << (side - 1).bit_length()


def _resting_positions(offset: Tensor, size: int, groups: int, padding: int) -> Tensor:
    """Return each tap's position without offset, ``(1, 2GK, h, w)``, row and column in pixels."""
    height, width = offset.shape[-2:]
    steps = torch.arange(size, dtype=offset.dtype, device=offset.device) - padding
    down = torch.arange(height, dtype=offset.dtype, device=offset.device)
    right = torch.arange(width, dtype=offset.dtype, device=offset.device)
    rows = (down + steps.view(-1, 1, 1)).view(size, 1, height, 1).expand(size, size, height, width)
    columns = (right + steps.view(-1, 1, 1)).view(1, size, 1, width).expand(size, size, height, width)
    return torch.stack((rows, columns), dim=2).view(1, -1, height, width).repeat(1, groups, 1, 1)


def _sample(frame: Tensor, positions: Tensor, modulation: Tensor, taps: int) -> Tensor:
    """Sample and modulate one strip: ``frame`` ``(BG, C/G, H', W')`` -> ``(BG, C/G, K, rows, w)``."""
    rows, width = positions.shape[-2:]
    places = positions.reshape(frame.shape[0], taps, 2, rows, width)
    # With align_corners=False, -1 and 1 are the outer edges of the frame, and pixel p has its centre at p + 1/2.
    fractions = [
        (places[:, :, axis] + 0.5) * (2 / side) - 1 for axis, side in enumerate(frame.shape[-2:])
    ]  # down, right: (BG, K, rows, w) each
    grid = torch.stack(fractions[::-1], dim=-1).flatten(1, 2)  # (BG, K * rows, w, 2), x first
    samples: Tensor = functional.grid_sample(frame, grid, padding_mode="zeros", align_corners=False)
    factors = modulation.reshape(frame.shape[0], 1, taps, rows, width)
    return samples.view(*samples.shape[:2], taps, rows, width) * factors
