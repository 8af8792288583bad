"""What is computed otherwise on a CPU, because it is faster there, is the same."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.encoder import PointwiseConv, ResidualDenseBlock
from cdgnet.fusion import OrientationFusion


def with_gradients(module: nn.Module, *inputs: Tensor) -> list[Tensor]:
    leaves = [each.clone().requires_grad_() for each in inputs]
    result = module(*leaves)
    weights = torch.linspace(-1, 2, result.numel(), dtype=result.dtype).view_as(result)
    return [result, *torch.autograd.grad((result * weights).sum(), [*leaves, *module.parameters()])]


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (lambda: PointwiseConv(6, 4), [(2, 6, 5, 9)]),
        (lambda: ResidualDenseBlock(8, 4), [(2, 8, 7, 9)]),
        (lambda: ResidualDenseBlock(6, 17), [(2, 6, 7, 9)]),
        (lambda: OrientationFusion(ModelConfig.preset("tiny")), [(2, 8, 6, 7), (2, 8, 6, 7)]),
    ],
)
def test_the_order_for_cpus_gives_the_values_and_gradients_of_the_written_one(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], nn.Module], shapes: list[tuple[int, ...]]
) -> None:
    torch.manual_seed(0)
    module = make().double()
    inputs = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    found = with_gradients(module, *inputs)
    for name in ("encoder", "fusion"):  # exported programs have the order of the paper
        monkeypatch.setattr(f"cdgnet.{name}.is_exporting", lambda: True)
    for one, other in zip(found, with_gradients(module, *inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_narrow_dense_layers_are_joined_by_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    plain = torch.nn.functional.conv2d

    def watch(features: Tensor, weight: Tensor, *others: object, **named: object) -> Tensor:
        widths.append(tuple(weight.shape[:2]))
        return plain(features, weight, *others, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("cdgnet.encoder.functional.conv2d", watch)
    ResidualDenseBlock(8, 4)(torch.zeros(1, 8, 4, 4))
    assert widths == [(12, 8), (8, 4), (4, 4)]
