"""Adaptive component divided attention, ACDA: which channels and where (section 3.2).

Legend: B batch, C channels of the encoder's last level, h and w its height and width (a quarter of the
frame's).
"""

from typing import NamedTuple

from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.deform import DeformConv
from cdgnet.encoder import ResBlock


class Attended(NamedTuple):
    """What one branch's attention gives: features for its decoder, and the map a person can look at."""

    features: Tensor  # (B, C, h, w)
    spatial: Tensor | None  # (B, 1, h, w) in (0, 1), the paper's Ms; None where the attention has no such part


class ChannelAttention(nn.Module):
    """How much each channel counts: average pool, 1x1 down, ReLU, 1x1 up, sigmoid.

    Source: Wang et al. 2021, equation 5; CBAM (Woo et al. 2018) without its max pool.
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
        """``(B, C, h, w)`` -> Mc, ``(B, C, 1, 1)`` in (0, 1).

        With ``mean``, ``(B, C, 1, 1)``, that is taken for the average over the frame: ``features`` are a part of it.
        """
        weights: Tensor = self.body(features) if mean is None else self.body[1:](mean)
        return weights


class SpatialAttention(nn.Module):
    """Where a branch's blur is: convolutions, ResBlocks and deformable convolutions down to one channel.

    The two deformable convolutions are bare, without the 1x1 and the sum of a decoder's deformable layer,
    because they change the number of channels.

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
        """``(B, C, h, w)`` -> Ms, ``(B, 1, h, w)`` in (0, 1)."""
        spatial: Tensor = self.body(features)
        return spatial


class ComponentAttention(nn.Module):
    """One branch's ACDA: Fatt = FE * Mc * Ms + FE, where Ms looks at FE * Mc; or a part of it, for Table 4.

    Source: Wang et al. 2021, equations 4 to 6.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, parts = config.widths[2], config.attention
        self.channel = ChannelAttention(channels, config.attention_reduction) if parts in ("both", "channel") else None
        self.spatial = SpatialAttention(channels, config.offset_groups) if parts in ("both", "spatial") else None

    def forward(self, features: Tensor, mean: Tensor | None = None) -> Attended:
        """Weigh the encoder's last features ``(B, C, h, w)`` for one branch; without any part they stay as they are.

        ``mean`` as in ``ChannelAttention.forward``.
        """
        if self.channel is None and self.spatial is None:
            return Attended(features, None)
        weighed = features if self.channel is None else features * self.channel(features, mean)
        if self.spatial is None:
            return Attended(weighed + features, None)
        spatial = self.spatial(weighed)
        return Attended(weighed * spatial + features, spatial)
