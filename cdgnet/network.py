"""CDGNet: a blurry frame -> the restored frame and its two components (section 3, Figure 3).

Legend: B batch, H and W the frame's height and width in pixels.
"""

from typing import NamedTuple

from torch import Tensor, nn

from cdgnet.attention import ComponentAttention
from cdgnet.config import ModelConfig
from cdgnet.decoder import large_decoder, small_decoder
from cdgnet.encoder import Encoder
from cdgnet.fusion import OrientationFusion
from cdgnet.tiling import crop_to_size, pad_to_multiple

MINIMUM_SIZE = 16
"""Pixels on the shorter side; below it a quarter-resolution map is smaller than two 3x3 kernels."""


class Components(NamedTuple):
    """All that one forward pass gives. Images are not clamped and may leave [-0.5, 0.5]."""

    restored: Tensor  # (B, 3, H, W), the paper's result
    small: Tensor  # (B, 3, H, W), sharp where blur is small (Sout as an image)
    large: Tensor  # (B, 3, H, W), sharp where blur is large (Lout as an image)
    small_attention: Tensor  # (B, 1, ceil(H/4), ceil(W/4)) in (0, 1), Ms of the small branch
    large_attention: Tensor  # the same, of the large branch


class CDGNet(nn.Module):
    """Blurry component divided guided network.

    Args:
        config: Shapes of all weights, and whether images are residual. With ``config.residual`` each image is
            blurry + convolution and those convolutions start at zero, so that a new network is the identity
            and training starts at the blurry PSNR; the paper's literal reading is ``residual=False``.

    Source: Wang et al. 2021, equation 2.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.small_attention = ComponentAttention(config)
        self.large_attention = ComponentAttention(config)
        self.small_decoder = small_decoder(config)
        self.large_decoder = large_decoder(config)
        self.fusion = OrientationFusion(config)
        if config.residual:
            for head in (self.small_decoder.head, self.large_decoder.head, self.fusion.head):
                _zero(head)

    def forward(self, blurry: Tensor) -> Components:
        """Restore frames of any size.

        Args:
            blurry: ``(B, 3, H, W)`` float in [-0.5, 0.5]; H and W at least 16.

        Returns:
            Images of ``blurry``'s size, and the attention maps at a quarter of it.

        Raises:
            ValueError: If ``blurry`` has another shape, is not float, or is smaller than 16 x 16.
        """
        _check(blurry)
        images = pad_to_multiple(blurry)
        features = self.encoder(images)
        small_attended = self.small_attention(features.quarter)
        large_attended = self.large_attention(features.quarter)
        small = self.small_decoder(small_attended.features, features)  # (B, widths[0], H', W'), Sout
        large = self.large_decoder(large_attended.features, features)  # (B, widths[0], H', W'), Lout
        changes = (self.fusion(large, small), self.small_decoder.head(small), self.large_decoder.head(large))
        restored_image, small_image, large_image = (self._image(blurry, change) for change in changes)
        return Components(restored_image, small_image, large_image, small_attended.spatial, large_attended.spatial)

    def _image(self, blurry: Tensor, change: Tensor) -> Tensor:
        cropped = crop_to_size(change, (blurry.shape[-2], blurry.shape[-1]))  # (B, 3, H, W)
        return blurry + cropped if self.config.residual else cropped


def _zero(head: nn.Conv2d) -> None:
    for parameter in head.parameters():
        nn.init.zeros_(parameter)


def _check(blurry: Tensor) -> None:
    if blurry.ndim != 4 or blurry.shape[1] != 3:
        raise ValueError(f"blurry is {tuple(blurry.shape)}, wanted (B, 3, H, W); pass a batch of RGB frames")
    if not blurry.is_floating_point():
        kind = str(blurry.dtype).removeprefix("torch.")
        raise ValueError(f"blurry is {kind}, wanted float in [-0.5, 0.5]; pass frames / 255 - 0.5")
    height, width = blurry.shape[-2:]
    if min(height, width) < MINIMUM_SIZE:
        least = f"{MINIMUM_SIZE} x {MINIMUM_SIZE}"
        raise ValueError(f"blurry is {width} x {height} pixels, wanted at least {least}; pass larger frames")
