"""Measurement of the offsets of a network's deformable convolutions, by forward hooks."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from cdgnet.deform.conv import DeformConv


class OffsetMeter:
    """Collector of offsets while ``measure_offsets`` is active; only ``mean`` waits for the device."""

    def __init__(self) -> None:
        self._means: list[Tensor] = []

    def add(self, offset: Tensor) -> None:
        """Add the offsets of one layer in one forward pass, ``(B, 2GK, H, W)`` in pixels."""
        self._means.append(offset.detach().float().abs().mean())

    def mean(self) -> float:
        """Return the mean absolute offset per coordinate, in pixels.

        All layers and passes have the same weight, whatever the size of their maps. NaN if no deformable convolution
        ran.
        """
        return float(torch.stack(self._means).mean()) if self._means else float("nan")


@contextmanager
def measure_offsets(network: nn.Module) -> Iterator[OffsetMeter]:
    """Measure the offsets of every ``DeformConv`` in a network during the forward passes in a ``with`` block.

    There is no overhead outside the block.

    Args:
        network: Any module that contains ``DeformConv`` layers, such as ``CDGNet``.

    Yields:
        A meter, whose ``mean()`` is the mean absolute offset in pixels.

    Examples:
        >>> import torch
        >>> from cdgnet import CDGNet, ModelConfig
        >>> network = CDGNet(ModelConfig.preset("tiny"))
        >>> with measure_offsets(network) as meter:
        ...     components = network(torch.zeros(1, 3, 32, 32))
        >>> meter.mean()
        0.0
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
