"""How far the taps of deformable convolutions are moved, watched from outside."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from cdgnet.deform.conv import DeformConv


class OffsetMeter:
    """Gathers offsets while ``measure_offsets`` is open; reading it is what waits for the device."""

    def __init__(self) -> None:
        self._means: list[Tensor] = []

    def add(self, offset: Tensor) -> None:
        """Take in one forward pass of one layer, ``(B, 2GK, H, W)`` in pixels."""
        self._means.append(offset.detach().float().abs().mean())

    def mean(self) -> float:
        """Mean |offset| of a coordinate, in pixels.

        Each layer and pass counts alike, so that a small map's layer does not hide behind a large one's. NaN
        before any deformable convolution ran.
        """
        return float(torch.stack(self._means).mean()) if self._means else float("nan")


@contextmanager
def measure_offsets(network: nn.Module) -> Iterator[OffsetMeter]:
    """Watch the offsets of every ``DeformConv`` in ``network`` for the forward passes inside; free outside.

    Example:
        ``with measure_offsets(network) as meter: network(blurry)``, and then ``meter.mean()``.
    """
    meter = OffsetMeter()
    handles = [_watch(layer, meter) for layer in network.modules() if isinstance(layer, DeformConv)]
    try:
        yield meter
    finally:
        for handle in handles:
            handle.remove()


def _watch(layer: DeformConv, meter: OffsetMeter) -> RemovableHandle:
    def take(module: nn.Module, inputs: tuple[Tensor, ...], moves: Tensor) -> None:
        meter.add(moves[:, : layer.offset_channels])

    return layer.offset_conv.register_forward_hook(take)
