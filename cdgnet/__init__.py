"""CDGNet (Wang et al. 2021): a network that restores motion-blurred frames by dividing large from small blur.

Tensors only: ``(B, C, H, W)``, RGB, float in [-0.5, 0.5]. Frames go in through ``CDGNet`` and come out as
``Components``; ``load_weights`` and ``save_weights`` are all that touches the disk. The package needs torch,
torchvision and safetensors, prints nothing, and can be lifted into another program as it is.

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
