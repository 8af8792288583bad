"""CDGNet (Wang et al. 2021): a motion-deblurring network with separate branches for small and for large blur.

Networks take and return tensors: ``(B, 3, H, W)``, RGB, float in [-0.5, 0.5]. ``CDGNet`` maps a batch of blurry frames
to ``Components``; ``restore`` does the same for Pillow images, NumPy arrays and tensors of 8 or 16 bits. Only
``load_weights``, ``read_metadata`` and ``save_weights`` access files. The package depends on torch, torchvision and
safetensors and prints nothing.

>>> import torch
>>> from cdgnet import CDGNet, ModelConfig
>>> network = CDGNet(ModelConfig.preset("tiny")).eval()
>>> network(torch.zeros(1, 3, 30, 41)).restored.shape
torch.Size([1, 3, 30, 41])
"""

from importlib import import_module
from typing import TYPE_CHECKING

from cdgnet.config import PRESETS, VARIANTS, ModelConfig
from cdgnet.errors import WeightsError

if TYPE_CHECKING:
    from cdgnet.deform import DeformConv, deform_conv2d, measure_offsets
    from cdgnet.header import PRETRAINED, read_metadata
    from cdgnet.images import restore
    from cdgnet.losses import Losses, component_targets, deblurring_losses
    from cdgnet.metrics import psnr, ssim, ssim_matlab3d, to_bytes
    from cdgnet.network import CDGNet, Components
    from cdgnet.weights import load_weights, save_weights


__all__ = [
    "PRESETS",
    "PRETRAINED",
    "VARIANTS",
    "CDGNet",
    "Components",
    "DeformConv",
    "Losses",
    "ModelConfig",
    "WeightsError",
    "component_targets",
    "deblurring_losses",
    "deform_conv2d",
    "load_weights",
    "measure_offsets",
    "psnr",
    "read_metadata",
    "restore",
    "save_weights",
    "ssim",
    "ssim_matlab3d",
    "to_bytes",
]

# Modules that are loaded on first use: all except ``header`` import torch, which takes seconds.
_MODULES = {
    "deform": (
        "DeformConv",
        "deform_conv2d",
        "measure_offsets",
    ),
    "header": (
        "PRETRAINED",
        "read_metadata",
    ),
    "images": ("restore",),
    "losses": (
        "Losses",
        "component_targets",
        "deblurring_losses",
    ),
    "metrics": (
        "psnr",
        "ssim",
        "ssim_matlab3d",
        "to_bytes",
    ),
    "network": (
        "CDGNet",
        "Components",
    ),
    "weights": (
        "load_weights",
        "save_weights",
    ),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            value: object = getattr(import_module(f"cdgnet.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
