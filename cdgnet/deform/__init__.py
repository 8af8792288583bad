"""Modulated deformable convolution (DCNv2): one interface, several backends."""

from cdgnet.deform.conv import BACKENDS, Backend, DeformConv, current_name, default_backend, deform_conv2d
from cdgnet.deform.offsets import OffsetMeter, measure_offsets

__all__ = [
    "BACKENDS",
    "Backend",
    "DeformConv",
    "OffsetMeter",
    "current_name",
    "default_backend",
    "deform_conv2d",
    "measure_offsets",
]
