"""The cost of a network and of each of its parts: parameters, and multiply-accumulates in two conventions.

``honest`` (the name of an attribute): the multiply-accumulates of all convolutions, deformable ones included, and five
for each value that a deformable convolution interpolates between four pixels.

``ptflops``: the figures in the paper's tables, as the package ptflops counts them: plain convolutions, and one per
element for bias, ReLU and average pooling. Deformable kernels do not count, only the convolutions that compute their
offsets.

Both are for restoring one frame. If two branches are fused, the heads that turn each into an image are needed only for
training, and count only as parameters.

Legend: C channels in, D channels out, K taps of a kernel, h and w a layer's output height and width.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.deform import DeformConv
from cdgnet.network import Branch, CDGNet

SAMPLING = 5  # multiply-accumulates per value interpolated between four pixels, modulation included


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a network, or of one of its parts."""

    parameters: int
    ptflops: int  # multiply-accumulates as the paper counts them
    honest: int  # multiply-accumulates of all convolutions, deformable ones included

    @property
    def megabytes(self) -> float:
        """Size of the weights in float32, in 10^6 bytes."""
        return self.parameters * 4 / 1e6


def network_cost(config: ModelConfig, height: int, width: int) -> Mapping[str, Cost]:
    """Compute the cost of a network without building its weights.

    Args:
        config: The network's configuration.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Returns:
        The cost of each part by name, and of the whole network under ``total``. The parts of a branch are
        ``BRANCH.attention`` and ``BRANCH.decoder``; those of a level of patches below the first are
        ``levels.N.encoder`` and ``levels.N.decoder``.
    """
    with torch.device("meta"):
        network = CDGNet(config).eval()
        frame = torch.zeros(1, 3, height, width)
    counted: dict[nn.Module, tuple[int, int]] = {}
    with _counting(_layers(network), counted), torch.no_grad():
        network(frame)
    parts = {"encoder": network.encoder, **_branch_parts(network), **_level_parts(network)}
    if network.fusion is not None:
        parts["fusion"] = network.fusion
    costs = {name: _cost(part, counted) for name, part in parts.items()}
    return {**costs, "total": _cost(network, counted)}


def _layers(network: CDGNet) -> list[nn.Module]:
    """Return the layers that are used to restore a frame and have a cost."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.ReLU, nn.AdaptiveAvgPool2d, DeformConv)
    branches = [] if network.fusion is None else list(network.branches.values())
    heads = [branch.decoder.head for branch in branches if isinstance(branch, Branch)]
    return [module for module in network.modules() if isinstance(module, kinds) and module not in heads]


def _branch_parts(network: CDGNet) -> dict[str, nn.Module]:
    return {
        f"{name}.{part}": module
        for name, branch in network.branches.items()
        for part, module in branch.named_children()
        if next(module.parameters(), None) is not None
    }


def _level_parts(network: CDGNet) -> dict[str, nn.Module]:
    return {
        f"levels.{name}.{part}": module
        for name, level in network.levels.items()
        for part, module in level.named_children()
    }


def _cost(part: nn.Module, counted: Mapping[nn.Module, tuple[int, int]]) -> Cost:
    layers = [counted[module] for module in part.modules() if module in counted]
    return Cost(
        parameters=sum(parameter.numel() for parameter in part.parameters()),
        ptflops=sum(each[0] for each in layers),
        honest=sum(each[1] for each in layers),
    )


@contextmanager
def _counting(layers: Sequence[nn.Module], counted: dict[nn.Module, tuple[int, int]]) -> Iterator[None]:
    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        before = counted.get(module, (0, 0))
        ptflops, honest = _of_layer(module, inputs[0], output)
        counted[module] = (before[0] + ptflops, before[1] + honest)

    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _of_layer(module: nn.Module, features: Tensor, output: Tensor) -> tuple[int, int]:
    """Count the multiply-accumulates of one layer in both conventions; for a deformable one, without its offsets'."""
    if isinstance(module, DeformConv):
        places = output.shape[-2] * output.shape[-1] * module.weight.shape[1] * module.SIZE**2  # h w C K
        return 0, places * (module.weight.shape[0] + SAMPLING)
    if isinstance(module, nn.ReLU):
        return output.numel(), 0
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return features.numel(), 0
    assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    positions = features if isinstance(module, nn.ConvTranspose2d) else output  # every weight is used once at each
    products = module.weight.numel() * positions.shape[-2] * positions.shape[-1]
    return products + output.numel(), products
