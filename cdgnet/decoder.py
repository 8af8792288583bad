"""The decoders and their blocks: from attended features to a branch's features (section 3.3).

Legend: B batch, C channels, h and w a feature map's height and width, H and W the frame's.
"""

from collections.abc import Callable

from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.deform import DeformConv
from cdgnet.encoder import Features, PointwiseConv, ResBlock


class DeformableLayer(nn.Module):
    """Deformable 3x3 convolution, ReLU and 1x1 convolution, added to the input.

    Source: Wang et al. 2021, Figure 6. The paper does not mention the ReLU and the sum; Table 4's model sizes imply
    them.
    """

    def __init__(self, channels: int, offset_groups: int) -> None:
        super().__init__()
        convolution = DeformConv(channels, channels, offset_groups=offset_groups)
        self.body = nn.Sequential(convolution, nn.ReLU(inplace=True), PointwiseConv(channels, channels))

    def forward(self, features: Tensor) -> Tensor:
        """Apply the layer to ``(B, C, h, w)``; the shape stays the same."""
        convolution, _, join = self.body
        assert isinstance(convolution, DeformConv) and isinstance(join, PointwiseConv)
        if convolution.is_one_pass(features):
            return convolution.in_one_pass(features, join)
        changed: Tensor = self.body(features)
        return features + changed


class Decoder(nn.Module):
    """Three levels of blocks, joined by 4x4 transposed convolutions of stride 2, and a convolution to RGB.

    ``head`` turns the branch's features into the image of equation 16. ``forward`` does not call it, because the
    fusion needs the features.

    Args:
        widths: Channels at full, half and quarter resolution.
        blocks: Builds one level's blocks from its number of channels; their input and output have the same shape.
    """

    def __init__(self, widths: tuple[int, int, int], blocks: Callable[[int], nn.Module]) -> None:
        super().__init__()
        full, half, quarter = widths
        self.quarter_blocks = blocks(quarter)
        self.to_half = nn.ConvTranspose2d(quarter, half, 4, stride=2, padding=1)
        self.half_blocks = blocks(half)
        self.to_full = nn.ConvTranspose2d(half, full, 4, stride=2, padding=1)
        self.full_blocks = blocks(full)
        self.head = nn.Conv2d(full, 3, 3, padding=1)

    def forward(self, attended: Tensor, skips: Features | None) -> Tensor:
        """Decode a branch's features.

        Args:
            attended: ``(B, widths[2], H/4, W/4)``, the output of the branch's attention.
            skips: The encoder's features; ``half`` and ``full`` are added at their resolution. None for no skip
                connections, as in DMPHN.

        Returns:
            ``(B, widths[0], H, W)``: Lout or Sout.

        Source: Wang et al. 2021, equations 7 and 8, Figure 3.
        """
        quarter = self.quarter_blocks(attended)
        half = self.to_half(quarter)  # (B, widths[1], H/2, W/2)
        half = self.half_blocks(half if skips is None else half + skips.half)
        full = self.to_full(half)  # (B, widths[0], H, W)
        blocks: Tensor = self.full_blocks(full if skips is None else full + skips.full)
        return blocks


def large_decoder(config: ModelConfig) -> Decoder:
    """Build the large-blur decoder: two deformable layers per level.

    Source: Wang et al. 2021, Figure 6(a).
    """

    def blocks(channels: int) -> nn.Module:
        return nn.Sequential(*(DeformableLayer(channels, config.offset_groups) for _ in range(2)))

    return Decoder(config.widths, blocks)


def small_decoder(config: ModelConfig) -> Decoder:
    """Build the small-blur decoder: two ResBlocks and one deformable layer per level.

    Source: Wang et al. 2021, Figure 6(b).
    """

    def blocks(channels: int) -> nn.Module:
        layer = DeformableLayer(channels, config.offset_groups)
        return nn.Sequential(ResBlock(channels), ResBlock(channels), layer)

    return Decoder(config.widths, blocks)


def plain_decoder(config: ModelConfig) -> Decoder:
    """Build DMPHN's decoder: two ResBlocks per level, no deformable layers.

    Source: Zhang et al. 2019, the baseline of Table 3.
    """

    def blocks(channels: int) -> nn.Module:
        return nn.Sequential(ResBlock(channels), ResBlock(channels))

    return Decoder(config.widths, blocks)
