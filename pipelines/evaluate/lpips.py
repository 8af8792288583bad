"""LPIPS, a learned distance between pictures. Needs the extra ``lpips`` and AlexNet's weights."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from pipelines.errors import EvaluationError


class LPIPS:
    """Learned perceptual distance by AlexNet, version 0.1: 0 for equal pictures, lower is better.

    Args:
        device: The device to compute it on.

    Raises:
        EvaluationError: If torchmetrics or AlexNet's weights are missing; nothing is downloaded.

    Source: Zhang et al. 2018, The unreasonable effectiveness of deep features as a perceptual metric; the
    implementation and the linear weights are torchmetrics'.
    """

    def __init__(self, device: torch.device) -> None:
        weights = alexnet_weights()
        try:
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        except ImportError as error:
            raise EvaluationError(
                "--lpips needs torchmetrics, which is not installed; run: pip install 'cdgnet[lpips]'"
            ) from error
        with weights.open("rb") as file:
            self.weights = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        self.device, self.network = device, LearnedPerceptualImagePatchSimilarity("alex").to(device)

    @torch.no_grad()
    def __call__(self, restored: Tensor, sharp: Tensor) -> float:
        """Compute the distance of two ``(3, H, W)`` uint8 pictures of at least 32 x 32 pixels."""
        pair = [picture[None].to(self.device).float() / 127.5 - 1 for picture in (restored, sharp)]
        self.network.reset()
        return float(self.network(*pair))


def alexnet_weights() -> Path:
    """Return the path of AlexNet's weights.

    Raises:
        EvaluationError: If the file is missing.
    """
    from torchvision.models import AlexNet_Weights

    name: str = AlexNet_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        raise EvaluationError(
            f"--lpips needs AlexNet's weights, and {path} does not exist; put the file there, or run "
            "torchvision.models.alexnet(weights='IMAGENET1K_V1') in Python on a machine with internet access"
        )
    return path
