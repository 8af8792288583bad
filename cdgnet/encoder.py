"""The encoder and its blocks: from the blurry frame to features at three resolutions (section 3.1).

Legend: B batch, C channels, H and W a frame's height and width (multiples of 4), g growth.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.tracing import is_exporting

DENSE_LAYERS = 3
_REGISTER = 16  # float32 values in the widest CPU registers


class Features(NamedTuple):
    """The encoder's output at three resolutions; ``full`` and ``half`` feed the decoders' skip connections."""

    full: Tensor  # (B, widths[0], H, W)
    half: Tensor  # (B, widths[1], H/2, W/2)
    quarter: Tensor  # (B, widths[2], H/4, W/4), the paper's FE


class PointwiseConv(nn.Conv2d):
    """A 1x1 convolution that runs as a matrix product on CPUs, which halves the time of the backward pass.

    With one thread, torch does not use oneDNN for 1x1 kernels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve ``(B, inputs, h, w)`` to ``(B, outputs, h, w)``."""
        if input.device.type != "cpu" or is_exporting():
            return super().forward(input)
        pixels = input.permute(0, 2, 3, 1)  # (B, h, w, inputs), the memory order of channels_last
        return functional.linear(pixels, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class ResBlock(nn.Module):
    """3x3 convolution, ReLU and 3x3 convolution, added to the input; no normalisation.

    Source: DMPHN (Zhang et al. 2019).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Apply the block to ``(B, C, h, w)``; the shape stays the same."""
        changed: Tensor = self.body(features)
        return features + changed


class ResidualDenseBlock(nn.Module):
    """Three densely connected 3x3 convolutions and a 1x1 convolution, added to the input.

    Args:
        channels: C, channels of the input and the output.
        growth: g, channels that each dense layer adds.

    Source: Zhang et al. 2018 (Residual Dense Network), with the four convolutions and three ReLUs of Wang et al.
    2021, section 3.1.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels + index * growth, growth, 3, padding=1), nn.ReLU(inplace=True))
            for index in range(DENSE_LAYERS)
        )
        self.join = PointwiseConv(channels + DENSE_LAYERS * growth, channels)
        self.is_narrow = growth < _REGISTER

    def forward(self, features: Tensor) -> Tensor:
        """Apply the block to ``(B, C, H, W)``; the shape stays the same."""
        if self.is_narrow and features.device.type == "cpu" and not is_exporting():
            known = self._by_source(features)
        else:
            known = features
            for layer in self.dense:
                known = torch.cat((known, layer(known)), dim=1)  # (B, C + (index + 1) g, H, W)
        joined: Tensor = self.join(known)  # (B, C, H, W)
        return joined + features

    def _by_source(self, features: Tensor) -> Tensor:
        """Return the input and the outputs of all dense layers, ``(B, C + 3g, H, W)``, computed source by source.

        A source is the input or the output of a layer. It is convolved once for all later layers, which then add up
        their parts. If each layer were convolved by itself, its few channels would leave CPU registers partly empty.
        """
        convolutions = [each for each in self.dense.modules() if isinstance(each, nn.Conv2d)]
        biases: Tensor | None = torch.cat([each.bias for each in convolutions if each.bias is not None])
        known, begin = [features], 0
        sums: list[Tensor] = []  # (B, g, H, W) for each remaining layer
        for index in range(DENSE_LAYERS):
            channels = slice(begin, begin + known[-1].shape[1])
            kernels = torch.cat([each.weight[:, channels] for each in convolutions[index:]])  # (left * g, C or g, 3, 3)
            parts = functional.conv2d(known[-1], kernels, biases, padding=1).chunk(DENSE_LAYERS - index, dim=1)
            first, *sums = [one + other for one, other in zip(parts, sums, strict=True)] if sums else parts
            known.append(first.relu())
            begin, biases = channels.stop, None
        return torch.cat(known, dim=1)


class Encoder(nn.Module):
    """Three 3x3 convolutions, the last two with stride 2, each followed by two residual dense blocks or ResBlocks.

    The layout is that of DMPHN (Zhang et al. 2019), without normalisation.

    Source: Wang et al. 2021, equation 3 and Figure 4.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inputs = (3, *config.widths[:2])
        full, half, quarter = (
            nn.Sequential(
                nn.Conv2d(before, width, 3, stride=stride, padding=1),
                *(ResBlock(width) if config.encoder == "residual" else ResidualDenseBlock(width, growth) for _ in "12"),
            )
            for before, width, growth, stride in zip(inputs, config.widths, config.growths, (1, 2, 2), strict=True)
        )
        # Not `half`: nn.Module has a method of that name.
        self.full_level, self.half_level, self.quarter_level = full, half, quarter

    def forward(self, images: Tensor) -> Features:
        """Encode frames.

        Args:
            images: ``(B, 3, H, W)`` float in [-0.5, 0.5]; H and W are multiples of 4.

        Returns:
            Features of H x W, H/2 x W/2 and H/4 x W/4 pixels.
        """
        full = self.full_level(images)
        half = self.half_level(full)
        return Features(full, half, self.quarter_level(half))
