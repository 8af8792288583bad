"""Inputs of one deformable convolution, for the tests of its backends."""

import torch
from torch import Tensor

Inputs = list[Tensor]


def make_inputs(
    groups: int = 2,
    channels: int = 8,
    outputs: int = 5,
    *,
    size: int = 3,
    padding: int = 1,
    place: tuple[int, int] = (4, 5),
    scale: float = 2.0,
    whole: bool = False,
    batch: int = 2,
    seed: int = 0,
) -> Inputs:
    """float32 inputs; ``whole`` offsets lie on pixels."""
    chance = torch.Generator().manual_seed(seed)
    grown = [side + 2 * padding - size + 1 for side in place]
    offset = torch.randn(batch, 2 * groups * size**2, *grown, generator=chance) * scale
    return [
        torch.randn(batch, channels, *place, generator=chance),
        offset.round() if whole else offset,
        torch.rand(batch, groups * size**2, *grown, generator=chance),
        torch.randn(outputs, channels, size, size, generator=chance),
        torch.randn(outputs, generator=chance),
    ]
