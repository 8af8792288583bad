"""Conversion to float64, which some devices do not support."""

from torch import Tensor

_WITHOUT_FLOAT64 = ("mps",)  # Apple's GPUs


def to_float64(values: Tensor) -> Tensor:
    """Convert to float64, on the tensor's device if it supports float64, otherwise on the CPU."""
    return (values.cpu() if values.device.type in _WITHOUT_FLOAT64 else values).double()
