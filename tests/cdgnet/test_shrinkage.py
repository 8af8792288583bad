"""The light of a frame is kept; small changes of a network are dropped, large ones kept."""

from dataclasses import replace

import pytest
import torch
from scipy.ndimage import uniform_filter
from skimage import data
from torch import Tensor

from cdgnet import CDGNet, ModelConfig
from cdgnet.shrinkage import CELL, WINDOW, shrink


def noise(height: int, width: int, levels: float, seed: int = 0) -> Tensor:
    """A change of the given root mean square in grey levels."""
    return levels / 255 * torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def rms(change: Tensor) -> float:
    return float(change.square().mean().sqrt()) * 255


def light(frame: Tensor) -> Tensor:
    """The mean light of each colour."""
    return ((frame + 0.5).clamp(min=0) ** 2.2).mean(dim=(0, 2, 3))


def as_even(levels: float) -> Tensor:
    """A change that alternates from pixel to pixel; on grey it hardly changes the light."""
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 48)
    return (levels / 255 * signs).expand(1, 3, 64, 96)


@pytest.mark.parametrize("levels", [0.5, 3.0, 10.0])
def test_a_change_is_multiplied_by_the_gain_of_its_energy(levels: float) -> None:
    blurry, change = torch.zeros(1, 3, 64, 96), as_even(levels)
    found = shrink(blurry, blurry + change, 3.0)
    torch.testing.assert_close(found - found.mean(), change * levels**2 / (levels**2 + 9), rtol=0.02, atol=0)


@pytest.mark.parametrize("factors", [(0.9, 0.9, 0.9), (1.1, 1.0, 0.8)], ids=["darker", "another colour"])
def test_a_network_that_only_changes_brightness_or_colour_changes_nothing(factors: tuple[float, ...]) -> None:
    blurry = torch.rand(1, 3, 500, 420, generator=torch.Generator().manual_seed(0)) - 0.5
    darker = (blurry + 0.5) * torch.tensor(factors).view(1, 3, 1, 1) - 0.5
    torch.testing.assert_close(shrink(blurry, darker, 3.0), blurry, rtol=0, atol=0.1 / 255)


def test_the_light_of_each_colour_is_kept_where_a_frame_is_sharpened() -> None:
    sharp = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None] / 255 - 0.5
    blurry = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(sharp, (4,) * 4, mode="replicate"), 9, stride=1)
    restored = sharp - 0.05  # by a network that darkens, too

    found = shrink(blurry, restored, 0.01)  # keeps nearly every change

    assert (light(restored) / light(blurry)).max() < 0.9
    torch.testing.assert_close(light(found), light(blurry), rtol=0.006, atol=0)


def test_each_place_has_the_gain_of_its_own_neighbourhood() -> None:
    """A grey frame whose left part is restored, and whose right part hardly changes."""
    width = 6 * WINDOW * CELL
    change = torch.cat([noise(64, width // 2, 20), noise(64, width // 2, 1, seed=1)], dim=3)
    blurry = torch.zeros(change.shape)

    kept = shrink(blurry, blurry + change, 3.0) - blurry

    far = WINDOW * CELL  # further from the border than the window reaches
    assert rms(kept[..., : width // 2 - far]) == pytest.approx(20 * 400 / 409, rel=0.02)
    assert rms(kept[..., width // 2 + far :]) == pytest.approx(1 / 10, rel=0.1)


def test_the_gain_is_that_of_a_mean_over_the_window() -> None:
    height, width = 80 * CELL, 100 * CELL
    bumps = torch.linspace(0, 12, width).sin().square() * torch.linspace(0.2, 1, height)[:, None]
    blurry, change = torch.zeros(1, 3, height, width), noise(height, width, 9) * bumps - 0.1

    found = shrink(blurry, change, 3.0)

    def in_window(pixels: Tensor) -> Tensor:
        cells = pixels.view(-1, 80, CELL, 100, CELL).mean(dim=(2, 4))
        return torch.from_numpy(uniform_filter(cells.numpy(), (0, WINDOW, WINDOW), mode="nearest"))

    middle = (..., slice(CELL // 2 - 1, None, CELL), slice(CELL // 2 - 1, None, CELL))  # nearly a cell's centre
    factor = (in_window(torch.full_like(blurry[0], 0.5) ** 2.2) / in_window((change[0] + 0.5) ** 2.2)) ** (1 / 2.2)
    kept = (change[0] + 0.5) * factor.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2) - 0.5
    local = in_window(kept.square().mean(dim=0))[0]
    gain = local / (local + (3 / 255) ** 2)
    torch.testing.assert_close(found[0][middle], kept[middle] * gain, rtol=0.05, atol=1e-3)


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
        if ".head." in name:  # a new network changes nothing; this one changes some grey levels
            torch.nn.init.normal_(parameter, std=0.005)
    shrinking = CDGNet(replace(plain.config, shrinkage=5.1)).eval()
    shrinking.load_state_dict(plain.state_dict())
    frame = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) - 0.5

    with torch.no_grad():
        before, after = plain(frame), shrinking(frame)
        in_training = shrinking.train()(frame)

    torch.testing.assert_close(after.restored, shrink(frame, before.restored, 5.1))
    assert rms(after.restored - frame) < 0.9 * rms(before.restored - frame)
    torch.testing.assert_close(in_training.restored, before.restored)
    if after.small is not None:
        assert torch.equal(after.small, before.small)
