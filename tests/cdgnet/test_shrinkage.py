"""Small changes of a network are dropped, large ones kept."""

from dataclasses import replace

import pytest
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor

from cdgnet import CDGNet, ModelConfig
from cdgnet.shrinkage import CELL, WINDOW, shrink


def noise(height: int, width: int, levels: float, seed: int = 0) -> Tensor:
    """A change of the given root mean square in grey levels."""
    return levels / 255 * torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def rms(change: Tensor) -> float:
    return float(change.square().mean().sqrt()) * 255


@pytest.mark.parametrize("levels", [0.5, 3.0, 30.0])
def test_an_even_change_is_multiplied_by_the_gain_of_its_energy(levels: float) -> None:
    blurry, change = torch.zeros(1, 3, 64, 96), torch.full((1, 3, 64, 96), levels / 255)
    found = shrink(blurry, blurry + change, 3.0)
    torch.testing.assert_close(found, change * levels**2 / (levels**2 + 9))


def test_each_place_has_the_gain_of_its_own_neighbourhood() -> None:
    """A frame whose left part is restored, and whose right part hardly changes."""
    width = 6 * WINDOW * CELL
    change = torch.cat([noise(64, width // 2, 20), noise(64, width // 2, 1, seed=1)], dim=3)
    blurry = torch.rand(change.shape, generator=torch.Generator().manual_seed(2)) - 0.5

    kept = shrink(blurry, blurry + change, 3.0) - blurry

    far = WINDOW * CELL  # further from the border than the window reaches
    assert rms(kept[..., : width // 2 - far]) == pytest.approx(20 * 400 / 409, rel=0.02)
    assert rms(kept[..., width // 2 + far :]) == pytest.approx(1 / 10, rel=0.1)


def test_the_gain_is_that_of_a_mean_over_the_window() -> None:
    height, width = 40 * CELL, 50 * CELL
    bumps = torch.linspace(0, 12, width).sin().square() * torch.linspace(0.2, 1, height)[:, None]
    blurry, change = torch.zeros(1, 3, height, width), noise(height, width, 9) * bumps

    found = shrink(blurry, change, 3.0)

    energy = change[0].square().mean(dim=0).view(40, CELL, 50, CELL).mean(dim=(1, 3))
    local = torch.from_numpy(uniform_filter(energy.numpy(), WINDOW, mode="nearest"))
    gain = local / (local + (3 / 255) ** 2)
    middle = (..., slice(CELL // 2 - 1, None, CELL), slice(CELL // 2 - 1, None, CELL))  # nearly a cell's centre
    torch.testing.assert_close(found[middle], change[middle] * gain, rtol=0.05, atol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (17, 203), (250, 31)])
def test_it_takes_any_size_and_no_change_stays_none(size: tuple[int, int]) -> None:
    blurry = torch.rand(2, 3, *size) - 0.5
    assert torch.equal(shrink(blurry, blurry, 3.0), blurry)
    assert shrink(blurry, blurry + 0.1, 3.0).shape == blurry.shape


@pytest.mark.parametrize("variant", ["dmphn-1", "cdgnet"])
def test_a_network_shrinks_what_it_restores_but_not_its_components_and_not_in_training(variant: str) -> None:
    torch.manual_seed(0)
    plain = CDGNet(ModelConfig.preset("tiny", variant)).eval()
    for name, parameter in plain.named_parameters():
        if name.endswith("head.bias"):
            torch.nn.init.constant_(parameter, 0.02)  # new networks change nothing: this one adds 5.1 grey levels
    shrinking = CDGNet(replace(plain.config, shrinkage=5.1)).eval()
    shrinking.load_state_dict(plain.state_dict())
    frame = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) - 0.5

    with torch.no_grad():
        before, after = plain(frame), shrinking(frame)
        in_training = shrinking.train()(frame)

    torch.testing.assert_close(before.restored - frame, torch.full_like(frame, 0.02))
    torch.testing.assert_close(after.restored - frame, torch.full_like(frame, 0.01))
    torch.testing.assert_close(in_training.restored, before.restored)
    if after.small is not None:
        assert torch.equal(after.small, before.small)
