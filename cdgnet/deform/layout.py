"""Tensors whose pixels' channels lie side by side in memory (channels_last), as the compiled backends read them."""

import torch
from torch import Tensor


def channels_last(images: Tensor) -> Tensor:
    """``(B, C, H, W)``, copied only if need be."""
    return images.contiguous(memory_format=torch.channels_last)


def like(maps: Tensor) -> Tensor:
    """Empty, of the same shape."""
    return torch.empty_like(maps, memory_format=torch.channels_last)


def new(features: Tensor, channels: int, place: Tensor) -> Tensor:
    """An empty ``(B, D, h, w)`` of the features' type, as high and wide as ``place``; no view, so that a ReLU may work
    in place.
    """
    shape = (features.shape[0], channels, *place.shape[2:])
    return torch.empty(shape, dtype=features.dtype, device=features.device, memory_format=torch.channels_last)
