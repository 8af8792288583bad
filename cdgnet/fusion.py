"""What joins the branches: orientation-based feature fusion, OFF, Lout, Sout -> RGB (section 3.4), and a gate of ours.

Legend: B batch, C channels of a branch, w fusion width, H and W the frame's height and width.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.encoder import Features, PointwiseConv
from cdgnet.tracing import is_exporting

_ENERGY_SIDE = 9  # of the square, in cells of 4 pixels, that energies are the mean of
_LEAST_ENERGY = 1e-6
_MEAN_LOGARITHM, _SPREAD = -4.0, 2.0  # of new and of trained networks: convolutions learn fastest near 0 and 1


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

    def kernel(self) -> Tensor:
        """The weight with the other taps zero, ``(outputs, inputs, 3, 3)``."""
        return self.weight * self._taps()

    def forward(self, input: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` -> ``(B, outputs, H, W)``."""
        return functional.conv2d(input, self.kernel(), self.bias, padding=1)


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

    def squares(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each operator's weight as ``(outputs, inputs, 3, 3)``, zero where it has no taps, and its bias."""
        for operator in self:
            assert isinstance(operator, nn.Conv2d) and operator.bias is not None
            if isinstance(operator, DiagonalConv):
                yield operator.kernel(), operator.bias
            else:
                down, across = ((3 - side) // 2 for side in operator.kernel_size)
                yield functional.pad(operator.weight, (across, across, down, down)), operator.bias


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
        self.joins = nn.ModuleList(PointwiseConv(2 * width, width) for _ in self.large)
        self.head = nn.Conv2d(width * len(self.joins), 3, 3, padding=1)

    def forward(self, large: Tensor, small: Tensor) -> Tensor:
        """Fuse the decoders' features.

        Args:
            large: Lout, ``(B, C, H, W)``.
            small: Sout, the same shape.

        Returns:
            ``(B, 3, H, W)``: the restored image, or what is to be added to the blurry one.
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
        """All operators and joins as one convolution, ``(B, 2C, H, W)`` -> ``(B, 4w, H, W)``: what is between them is
        linear. Of twelve narrow convolutions each would leave half of a CPU's registers empty.
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
    """Where blur is small: how much of each pixel the small branch gives, by the energy of the encoder's features.

    Blur takes energy from fine features and leaves it in coarse ones. A convolution can weigh differences of
    logarithms, which are ratios of energies, whatever the frame's contrast; so this learns within a few hundred steps
    what the attention maps are slow to learn (docs/studies.md). No gradient goes back into the features. Ours, not the
    paper's.
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
        """The encoder's features -> the share of the small branch, ``(B, 1, H/4, W/4)`` in (0, 1)."""
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
