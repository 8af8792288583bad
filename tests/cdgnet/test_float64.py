"""A device without float64, as Apple's GPUs: what it computes is what a CPU computes.

No such device is needed: a tensor says that it lies elsewhere (on torch's "meta", which any torch knows), keeps its
values on the CPU, and refuses float64.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from cdgnet import CDGNet, ModelConfig, float64, psnr, ssim, ssim_matlab3d, tiling
from cdgnet.metrics import similarity

ELSEWHERE = "meta"


class Apples(torch.Tensor):
    """A tensor on a GPU without float64."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> "Apples":
        if values.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        place = torch.device(ELSEWHERE)
        made: Apples = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, values.shape, strides=values.stride(), dtype=values.dtype, device=place
        )
        made.values = values
        return made

    @classmethod
    def __torch_dispatch__(cls, operator: Any, kinds: Any, arguments: Any = (), options: Any = None) -> Any:
        options = dict(options or {})
        target = options.pop("device", None)
        plain_arguments, plain_options = tree_map(cls._plain, (arguments, options))
        result = operator(*plain_arguments, **plain_options)
        if target is not None and torch.device(target).type == "cpu":
            return result
        return tree_map(lambda part: cls(part) if isinstance(part, Tensor) else part, result)

    @staticmethod
    def _plain(part: Any) -> Any:
        return part.values if isinstance(part, Apples) else part


class Moving(TorchFunctionMode):
    """Moves what comes from the CPU to the GPU without float64, which torch itself would leave without values."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        is_move = function is Tensor.to and torch.device(ELSEWHERE) in arguments[1:]
        if is_move and not isinstance(arguments[0], Apples):
            return Apples(arguments[0])
        return function(*arguments, **(options or {}))


@pytest.fixture(autouse=True)
def elsewhere_has_no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float64, "_WITHOUT_FLOAT64", (ELSEWHERE,))


def there(values: Tensor) -> Tensor:
    return Apples(values)


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(0)
    sharp = torch.randint(0, 256, (2, 3, 40, 52), generator=chance, dtype=torch.uint8)
    noise = torch.randint(-20, 21, sharp.shape, generator=chance)
    return (sharp + noise).clamp(0, 255).to(torch.uint8), sharp


def test_the_stand_in_refuses_float64() -> None:
    values = there(torch.ones(3))

    with pytest.raises(TypeError, match="float64"):
        values.double()
    assert values.cpu().double().dtype == torch.float64


@pytest.mark.parametrize("measure", [psnr, ssim, ssim_matlab3d])
def test_scores_are_those_of_a_cpu(measure: Any, pair: tuple[Tensor, Tensor]) -> None:
    restored, sharp = pair

    torch.testing.assert_close(
        measure(there(restored), there(sharp)).cpu(), measure(restored, sharp), rtol=0, atol=1e-6
    )


def test_scores_of_a_component_are_those_of_a_cpu(pair: tuple[Tensor, Tensor]) -> None:
    restored, sharp = pair
    mask = (sharp[:, :1] > 90).to(torch.uint8)

    found = psnr(there(restored), there(sharp), there(mask)).cpu()

    torch.testing.assert_close(found, psnr(restored, sharp, mask), rtol=0, atol=1e-6)


def test_the_loss_by_ssim_needs_no_float64(pair: tuple[Tensor, Tensor]) -> None:
    restored, sharp = (picture.float() for picture in pair)

    found = similarity(there(restored), there(sharp)).cpu()

    torch.testing.assert_close(found, similarity(restored, sharp))


def test_the_mean_over_tiles_is_that_of_a_cpu() -> None:
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset("tiny")).eval()
    blurry = torch.rand(1, 3, 96, 112) - 0.5
    with torch.no_grad(), Moving():
        wanted = tiling._mean_features(network, blurry, tile=32, report=lambda _: None)
        for module in network.encoder.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                module._parameters[name] = there(weight.detach())  # type: ignore[assignment]

        found = tiling._mean_features(network, there(blurry), tile=32, report=lambda _: None)

    assert (found.dtype, found.device.type) == (torch.float32, ELSEWHERE)
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-6, atol=0)
