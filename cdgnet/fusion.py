"""Orientation-based feature fusion, OFF: Lout, Sout -> RGB (section 3.4).

Legend: B batch, C channels of a branch, w fusion width, H and W the frame's height and width.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cdgnet.config import ModelConfig


class DiagonalConv(nn.Conv2d):
    """A 3x3 convolution of which only the taps on one diagonal count.

    The weight is kept as a full 3x3, so that a file of weights reads like any other convolution's; the six
    other taps are multiplied by zero, which also zeroes their gradient, and start at zero. Without the mask
    the main and the anti-diagonal operators would be one.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        is_main: True for the diagonal from upper left to lower right, False for the other one.
    """

    def __init__(self, inputs: int, outputs: int, *, is_main: bool) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.is_main = is_main
        with torch.no_grad():
            self.weight.mul_(self._taps())

    def _taps(self) -> Tensor:
        # Made when asked for: a buffer would have no values in a network built on the meta device.
        taps = torch.eye(3, dtype=self.weight.dtype, device=self.weight.device)
        return taps if self.is_main else taps.flip(0)

    def forward(self, input: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H, W)``."""
        return functional.conv2d(input, self.weight * self._taps(), self.bias, padding=1)


class Orientations(nn.ModuleList):
    """One branch's four operators: horizontal, vertical, main-diagonal, anti-diagonal.

    Source: Wang et al. 2021, equation 10.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            (
                nn.Conv2d(inputs, outputs, (1, 3), padding=(0, 1)),
                nn.Conv2d(inputs, outputs, (3, 1), padding=(1, 0)),
                DiagonalConv(inputs, outputs, is_main=True),
                DiagonalConv(inputs, outputs, is_main=False),
            )
        )


class ConcatFusion(nn.Module):
    """Join the branches' channels and let a 3x3 convolution turn them into RGB: what OFF is compared with.

    Source: Wang et al. 2021, Table 3.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head = nn.Conv2d(2 * config.widths[0], 3, 3, padding=1)

    def forward(self, large: Tensor, small: Tensor) -> Tensor:
        """As ``OrientationFusion.forward``."""
        image: Tensor = self.head(torch.cat((large, small), dim=1))
        return image


class OrientationFusion(nn.Module):
    """Filter both branches along four orientations, join each orientation, join the four to RGB.

    The branches have weights of their own; "the same operator" of the paper is read as the same shape.

    Source: Wang et al. 2021, equations 9 to 12.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inputs, width = config.widths[0], config.fusion_width
        self.large = Orientations(inputs, width)
        self.small = Orientations(inputs, width)
        self.joins = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for _ in self.large)
        self.head = nn.Conv2d(width * len(self.joins), 3, 3, padding=1)

    def forward(self, large: Tensor, small: Tensor) -> Tensor:
        """Fuse the decoders' features.

        Args:
            large: Lout, ``(B, C, H, W)``.
            small: Sout, the same shape.

        Returns:
            ``(B, 3, H, W)``: the restored image, or what is to be added to the blurry one.
        """
        oriented = [
            join(torch.cat((of_large(large), of_small(small)), dim=1))  # (B, w, H, W)
            for of_large, of_small, join in zip(self.large, self.small, self.joins, strict=True)
        ]
        image: Tensor = self.head(torch.cat(oriented, dim=1))  # (B, 4w, H, W) -> (B, 3, H, W)
        return image
