"""Modulated deformable convolution as sums of table rows and a matrix product: for CPUs.

A pixel's channels lie side by side in memory (channels_last), so that reading between four pixels is one weighted sum
of four rows: what ``embedding_bag`` does with vector instructions. The matrix product then takes the samples as they
lie, and no layout is ever changed.

Legend: B batch, C channels in, D channels out, H and W the features' height and width, h and w the output's,
K = k * k taps of the kernel, G offset groups, n rows of a strip.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor

from cdgnet.deform.strips import strip_height

# Pixels of zeros around each frame of the table: positions are clamped to [-2, H], which changes no value and no
# gradient, since from -1 down and from H up nothing else is read.
_RIM = 2


def by_gather(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    """As ``deform.deform_conv2d``; the result is channels_last."""
    batch, channels, height, width = features.shape
    size = weight.shape[-1]
    groups = modulation.shape[1] // size**2
    table = _table(features, groups)  # (B H' W' G, C/G)
    kernel = weight.view(len(weight), groups, channels // groups, size**2).permute(1, 3, 2, 0)  # (G, K, C/G, D)
    kernel = kernel.reshape(-1, len(weight))  # (GKC/G, D)
    place = (batch, *offset.shape[2:], groups, size**2)
    down, right = offset.permute(0, 2, 3, 1).view(*place, 2).unbind(-1)  # (B, h, w, G, K) each
    factors = modulation.permute(0, 2, 3, 1).view(place)  # (B, h, w, G, K)
    steps = torch.arange(size, dtype=offset.dtype, device=offset.device) - padding
    rows = torch.arange(offset.shape[2], dtype=offset.dtype, device=offset.device).view(-1, 1, 1, 1)
    columns = torch.arange(offset.shape[3], dtype=offset.dtype, device=offset.device).view(-1, 1, 1)
    row_bytes = features.element_size() * batch * channels * size**2 * offset.shape[3]
    length = strip_height(row_bytes, features.device)
    strips = []
    for start in range(0, len(rows), length):
        strip = slice(start, start + length)
        y = down[:, strip] + (rows[strip] + steps.repeat_interleave(size))  # (B, n, w, G, K)
        x = right[:, strip] + (columns + steps.repeat(size))
        places, shares = _corners(y, x, factors[:, strip], (height, width))  # (B, n, w, G, K, 4) each
        samples = functional.embedding_bag(
            places.reshape(-1, 4), table, per_sample_weights=shares.reshape(-1, 4), mode="sum"
        )  # (B n w G K, C/G)
        products = torch.addmm(bias, samples.view(y[..., 0, 0].numel(), len(kernel)), kernel)  # (B n w, D)
        strips.append(products.view(*y.shape[:3], len(weight)))  # (B, n, w, D)
    return torch.cat(strips, dim=1).permute(0, 3, 1, 2)


def _table(features: Tensor, groups: int) -> Tensor:
    """One row a pixel and group, with zeros around each frame: ``(B, C, H, W)`` -> ``(B H' W' G, C/G)``."""
    framed = functional.pad(features, (_RIM, _RIM, _RIM, _RIM))
    return framed.permute(0, 2, 3, 1).reshape(-1, features.shape[1] // groups)


def _corners(y: Tensor, x: Tensor, factors: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rows of the table around each position ``(B, n, w, G, K)`` and what each counts, ``(B, n, w, G, K, 4)``."""
    height, width = size
    y, x = y.clamp(-_RIM, height), x.clamp(-_RIM, width)
    top, left = y.detach().floor(), x.detach().floor()
    below, beyond = y - top, x - left
    above, before = (1 - below) * factors, 1 - beyond
    below = below * factors
    shares = torch.stack((above * before, above * beyond, below * before, below * beyond), dim=-1)

    batch, groups = y.shape[0], y.shape[3]
    line = width + 2 * _RIM
    frame = (height + 2 * _RIM) * line
    kind = torch.int32 if batch * frame * groups < 2**31 else torch.int64  # the former is a tenth faster
    frames = torch.arange(batch, dtype=kind, device=y.device).view(-1, 1, 1, 1, 1) * frame
    first = (top.to(kind) + _RIM) * line + (left.to(kind) + _RIM) + frames
    first = first * groups + torch.arange(groups, dtype=kind, device=y.device).view(-1, 1)
    # A NaN is no place, but its shares are NaN too, and so will be the result.
    first = first.clamp(0, max(0, (batch * frame - line - 2) * groups))
    steps = torch.tensor((0, 1, line, line + 1), dtype=kind, device=y.device) * groups
    return first.unsqueeze(-1) + steps, shares
