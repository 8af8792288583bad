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

from cdgnet.config import PRESETS, VARIANTS, ModelConfig
from cdgnet.deform import DeformConv, deform_conv2d, measure_offsets
from cdgnet.errors import WeightsError
from cdgnet.images import restore
from cdgnet.losses import Losses, component_targets, deblurring_losses
from cdgnet.metrics import psnr, ssim, ssim_matlab3d, to_bytes
from cdgnet.network import CDGNet, Components
from cdgnet.weights import PRETRAINED, load_weights, read_metadata, save_weights

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
