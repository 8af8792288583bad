"""Adaptive component divided attention (ACDA): a branch's channel and spatial attention (section 3.2).

Legend: B batch, C channels of the encoder's last level, h and w its height and width (a quarter of the
frame's).
"""

from typing import NamedTuple

from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.deform import DeformConv
from cdgnet.encoder import ResBlock


class Attended(NamedTuple):
    """Output of one branch's attention: features for its decoder, and the spatial map to display."""

    features: Tensor  # (B, C, h, w)
    spatial: Tensor | None  # (B, 1, h, w) in (0, 1), the paper's Ms; None without spatial attention


class ChannelAttention(nn.Module):
    """A weight per channel: average pooling, 1x1 convolution down, ReLU, 1x1 convolution up, sigmoid.

    Source: Wang et al. 2021, equation 5; CBAM (Woo et al. 2018) without its max pooling.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, mean: Tensor | None = None) -> Tensor:
        """Compute the channel weights.

        Args:
            features: ``(B, C, h, w)``.
            mean: ``(B, C, 1, 1)``, the average over the whole frame when ``features`` cover only a tile of it; None
                to average ``features``.

        Returns:
            Mc, ``(B, C, 1, 1)`` in (0, 1).
        """
        weights: Tensor = self.body(features) if mean is None else self.body[1:](mean)
        return weights


class SpatialAttention(nn.Module):
    """A weight per pixel: convolution, ResBlocks and deformable convolutions that reduce the features to one channel.

    The two deformable convolutions lack the 1x1 convolution and the skip connection of ``DeformableLayer``, because
    they change the number of channels.

    Source: Wang et al. 2021, equation 5 and Figure 5.
    """

    def __init__(self, channels: int, offset_groups: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.body = nn.Sequential(
            nn.Conv2d(channels, half, 3, padding=1),
            ResBlock(half),
            DeformConv(half, quarter, offset_groups=offset_groups),
            ResBlock(quarter),
            DeformConv(quarter, 1, offset_groups=offset_groups),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Compute the spatial map, ``(B, C, h, w)`` -> Ms, ``(B, 1, h, w)`` in (0, 1)."""
        spatial: Tensor = self.body(features)
        return spatial


class ComponentAttention(nn.Module):
    """One branch's ACDA: Fatt = FE * Mc * Ms + FE, with Ms computed from FE * Mc.

    ``config.attention`` selects both parts, one of them or none (the ablation of Table 4).

    Source: Wang et al. 2021, equations 4 to 6.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, parts = config.widths[2], config.attention
        self.channel = ChannelAttention(channels, config.attention_reduction) if parts in ("both", "channel") else None
        self.spatial = SpatialAttention(channels, config.offset_groups) if parts in ("both", "spatial") else None

    def forward(self, features: Tensor, mean: Tensor | None = None) -> Attended:
        """Weight the encoder's last features ``(B, C, h, w)``; they stay unchanged if there is no attention.

        ``mean`` is passed to ``ChannelAttention.forward``.
        """
        if self.channel is None and self.spatial is None:
            return Attended(features, None)
        weighed = features if self.channel is None else features * self.channel(features, mean)
        if self.spatial is None:
            return Attended(weighed + features, None)
        spatial = self.spatial(weighed)
        return Attended(weighed * spatial + features, spatial)
