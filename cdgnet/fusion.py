"""Fusion of the branches Lout and Sout to RGB: orientation-based feature fusion (OFF, section 3.4) and alternatives.

``ConcatFusion`` is the paper's baseline; ``DivisionGate`` is an addition of this project.

Legend: B batch, C channels of a branch, w fusion width, H and W the frame's height and width.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.encoder import Features, PointwiseConv
from cdgnet.tracing import is_exporting

_ENERGY_SIDE = 9  # side of the averaging window for energies, in cells of 4 pixels
_LEAST_ENERGY = 1e-6
# Mean and standard deviation of the logarithms in new and in trained networks. Inputs of mean 0 and standard deviation
# 1 train fastest.
_MEAN_LOGARITHM, _SPREAD = -4.0, 2.0


class DiagonalConv(nn.Conv2d):
    """A 3x3 convolution restricted to the three taps on one diagonal.

    The weight is stored as a full 3x3 kernel, as in other convolutions. The six taps off the diagonal start at zero,
    and a mask keeps them and their gradients at zero.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        is_main: True for the diagonal from upper left to lower right, False for the anti-diagonal.
    """

    def __init__(self, inputs: int, outputs: int, *, is_main: bool) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.is_main = is_main
        with torch.no_grad():
            self.weight.mul_(self._taps())

    def _taps(self) -> Tensor:
        # Not a buffer: on the meta device, where networks are built before loading, it would have no values.
        taps = torch.eye(3, dtype=self.weight.dtype, device=self.weight.device)
        return taps if self.is_main else taps.flip(0)

    def kernel(self) -> Tensor:
        """Return the weight with zeros off the diagonal, ``(outputs, inputs, 3, 3)``."""
        return self.weight * self._taps()

    def forward(self, input: Tensor) -> Tensor:
        """Convolve ``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        return functional.conv2d(input, self.kernel(), self.bias, padding=1)


class Orientations(nn.ModuleList):
    """One branch's four oriented convolutions: horizontal, vertical, main diagonal, anti-diagonal.

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

    def squares(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each operator's weight, padded with zeros to ``(outputs, inputs, 3, 3)``, and its bias."""
        for operator in self:
            assert isinstance(operator, nn.Conv2d) and operator.bias is not None
            if isinstance(operator, DiagonalConv):
                yield operator.kernel(), operator.bias
            else:
                down, across = ((3 - side) // 2 for side in operator.kernel_size)
                yield functional.pad(operator.weight, (across, across, down, down)), operator.bias


class ConcatFusion(nn.Module):
    """Concatenate the branches' channels and apply a 3x3 convolution to RGB: the paper's baseline for OFF.

    Source: Wang et al. 2021, Table 3.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head = nn.Conv2d(2 * config.widths[0], 3, 3, padding=1)

    def forward(self, large: Tensor, small: Tensor) -> Tensor:
        """Fuse the decoders' features, as ``OrientationFusion.forward`` does."""
        image: Tensor = self.head(torch.cat((large, small), dim=1))
        return image


class OrientationFusion(nn.Module):
    """OFF: filter both branches along four orientations, merge each orientation, then merge the four to RGB.

    Each branch has its own weights: the paper's "the same operator" is taken to mean the same kernel shape.

    Source: Wang et al. 2021, equations 9 to 12.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inputs, width = config.widths[0], config.fusion_width
        self.large = Orientations(inputs, width)
        self.small = Orientations(inputs, width)
        self.joins = nn.ModuleList(PointwiseConv(2 * width, width) for _ in self.large)
        self.head = nn.Conv2d(width * len(self.joins), 3, 3, padding=1)

    def forward(self, large: Tensor, small: Tensor) -> Tensor:
        """Fuse the decoders' features.

        Args:
            large: Lout, ``(B, C, H, W)``.
            small: Sout, the same shape.

        Returns:
            ``(B, 3, H, W)``: the restored image, or with ``config.residual`` its difference from the blurry one.
        """
        if large.device.type == "cpu" and not is_exporting():
            oriented = self._at_once(torch.cat((large, small), dim=1))
        else:
            oriented = torch.cat(
                [
                    join(torch.cat((of_large(large), of_small(small)), dim=1))  # (B, w, H, W)
                    for of_large, of_small, join in zip(self.large, self.small, self.joins, strict=True)
                ],
                dim=1,
            )
        image: Tensor = self.head(oriented)  # (B, 4w, H, W) -> (B, 3, H, W)
        return image

    def _at_once(self, both: Tensor) -> Tensor:
        """Apply all operators and joins as one convolution, ``(B, 2C, H, W)`` -> ``(B, 4w, H, W)``.

        There is no non-linearity between them. Each of the twelve narrow convolutions would leave half of the CPU
        registers empty.
        """
        kernels, biases = [], []
        for large, small, join in zip(self.large.squares(), self.small.squares(), self.joins, strict=True):
            assert isinstance(join, PointwiseConv) and join.bias is not None
            of_large, of_small = join.weight.flatten(1).chunk(2, dim=1)  # (w, w) each
            parts = [
                torch.einsum("oi,icyx->ocyx", of_large, large[0]),
                torch.einsum("oi,icyx->ocyx", of_small, small[0]),
            ]
            kernels.append(torch.cat(parts, dim=1))  # (w, 2C, 3, 3)
            biases.append(join.bias + of_large @ large[1] + of_small @ small[1])
        return functional.conv2d(both, torch.cat(kernels), torch.cat(biases), padding=1)


class DivisionGate(nn.Module):
    """Predicts the small branch's share of each pixel from the energy of the encoder's features.

    Blur removes energy from fine features and keeps it in coarse ones. The gate sees logarithms of energies, whose
    differences do not depend on the frame's contrast, and therefore learns within a few hundred steps what the
    attention maps learn slowly (docs/studies.md). No gradient flows back into the features. An addition of this
    project, not part of the paper.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.widths[1]
        self.body = nn.Sequential(
            nn.Conv2d(sum(config.widths), width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, features: Features) -> Tensor:
        """Compute the small branch's share, ``(B, 1, H/4, W/4)`` in (0, 1), from the encoder's features."""
        energies = [
            functional.avg_pool2d(level.detach().float().square(), size)
            for level, size in ((features.full, 4), (features.half, 2), (features.quarter, 1))
        ]
        around = functional.avg_pool2d(
            torch.cat(energies, dim=1), _ENERGY_SIDE, stride=1, padding=_ENERGY_SIDE // 2, count_include_pad=False
        )  # (B, sum of the widths, H/4, W/4)
        energy = ((around + _LEAST_ENERGY).log() - _MEAN_LOGARITHM) / _SPREAD
        share: Tensor = self.body(energy.to(next(self.body.parameters()).dtype))
        return share
