"""Tensors in channels_last memory format, which the compiled backends read and write."""

import torch
from torch import Tensor


def channels_last(images: Tensor) -> Tensor:
    """Convert ``(B, C, H, W)`` to channels_last; copies only if necessary."""
    return images.contiguous(memory_format=torch.channels_last)


def like(maps: Tensor) -> Tensor:
    """Return an uninitialised channels_last tensor of the same shape and type."""
    return torch.empty_like(maps, memory_format=torch.channels_last)


def new(features: Tensor, channels: int, place: Tensor) -> Tensor:
    """Return an uninitialised ``(B, channels, h, w)`` of the features' type, with height and width of ``place``.

    The tensor is not a view, so that a ReLU can work in place.
    """
    shape = (features.shape[0], channels, *place.shape[2:])
    return torch.empty(shape, dtype=features.dtype, device=features.device, memory_format=torch.channels_last)
