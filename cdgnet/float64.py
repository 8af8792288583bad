"""Sums in float64, which not every device has."""

from torch import Tensor

_WITHOUT_FLOAT64 = ("mps",)  # Apple's GPUs


def to_float64(values: Tensor) -> Tensor:
    """Any numbers as float64: where they lie, or on the CPU where their device knows none."""
    return (values.cpu() if values.device.type in _WITHOUT_FLOAT64 else values).double()
