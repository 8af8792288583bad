"""Equations 13, 15, 16 and 17 against sums by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cdgnet import Components, component_targets, deblurring_losses, ssim
from cdgnet.losses import LOSSES, absolute_error, dissimilarity, squared_error


def make(seed: int = 0) -> tuple[Components, Tensor, Tensor]:
    chance = torch.Generator().manual_seed(seed)
    images = torch.rand(4, 2, 3, 5, 6, generator=chance, dtype=torch.float64) - 0.5
    mask = (torch.rand(2, 1, 5, 6, generator=chance) > 0.5).to(torch.uint8)
    attention = torch.zeros(2, 1, 2, 2)
    return Components(images[0], images[1], images[2], attention, attention), images[3], mask


def test_the_targets_are_equation_15_with_black_at_minus_a_half() -> None:
    _, sharp, mask = make()
    sgt, lgt = component_targets(sharp, mask)
    # In [0, 1], where the paper multiplies; one addition apart.
    torch.testing.assert_close(sgt + 0.5, mask * (sharp + 0.5))
    torch.testing.assert_close(lgt + 0.5, (1 - mask) * (sharp + 0.5))


def test_the_other_reading_multiplies_in_the_networks_range() -> None:
    _, sharp, mask = make()
    sgt, lgt = component_targets(sharp, mask, masked_out=0.0)
    assert torch.equal(sgt, mask * sharp) and torch.equal(lgt, (1 - mask) * sharp)


@given(seed=st.integers(0, 1000), kind=st.sampled_from([torch.bool, torch.uint8, torch.float32]))
def test_the_targets_together_are_the_sharp_frame(seed: int, kind: torch.dtype) -> None:
    _, sharp, mask = make(seed)
    sgt, lgt = component_targets(sharp, mask.to(kind))
    assert torch.equal(torch.maximum(sgt, lgt), sharp)


def test_the_error_is_a_sum_over_channels_and_a_mean_over_pixels() -> None:
    image, target = torch.zeros(2, 3, 1, 2), torch.zeros(2, 3, 1, 2)
    image[0, :, 0, 1] = torch.tensor([1.0, 2.0, 3.0])
    assert float(squared_error(image, target)) == pytest.approx((1 + 4 + 9) / 4)


def test_the_losses_are_equations_13_16_and_17() -> None:
    components, sharp, mask = make()
    losses = deblurring_losses(components, sharp, mask, lambda_small=0.3, lambda_large=0.7)
    pixels = 2 * 5 * 6
    black = torch.full_like(sharp, -0.5)
    sgt, lgt = torch.where(mask.bool(), sharp, black), torch.where(mask.bool(), black, sharp)
    restored, small, large = (
        float(((image - target) ** 2).sum() / pixels)
        for image, target in zip(components[:3], (sharp, sgt, lgt), strict=True)
    )
    assert [float(each) for each in losses] == pytest.approx(
        [restored + 0.3 * small + 0.7 * large, restored, small, large]
    )


def test_the_papers_weights_are_the_default() -> None:
    losses = deblurring_losses(*make())
    assert float(losses.total) == pytest.approx(float(losses.restored + 0.1 * (losses.small + losses.large)))


def test_the_other_reading_reaches_the_losses() -> None:
    components, sharp, mask = make()
    grey = deblurring_losses(components, sharp, mask, masked_out=0.0)
    assert float(grey.small) == pytest.approx(float(squared_error(components.small, mask * sharp)))


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 3, 5, 6), (1, 1, 5, 6), (2, 1, 6, 5)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    components, sharp, _ = make()
    with pytest.raises(ValueError, match="do not belong together"):
        deblurring_losses(components, sharp, torch.zeros(shape))


def test_images_of_another_shape_are_not_broadcast() -> None:
    with pytest.raises(ValueError, match="differ; pass images of one shape"):
        squared_error(torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 4, 4))


def test_the_absolute_error_is_a_sum_over_channels_and_a_mean_over_pixels() -> None:
    image = torch.zeros(2, 3, 4, 5)
    target = torch.zeros(2, 3, 4, 5)
    target[0, :, 1, 2] = torch.tensor([0.5, -0.25, 0.0])

    assert float(absolute_error(image, target)) == pytest.approx(0.75 / (2 * 4 * 5))


def test_dissimilarity_is_what_the_metric_leaves_of_one() -> None:
    torch.manual_seed(0)
    sharp = torch.randint(0, 256, (2, 3, 20, 30), dtype=torch.uint8)
    blurry = torch.nn.functional.avg_pool2d(sharp.float(), 3, 1, 1).round().to(torch.uint8)

    found = dissimilarity(blurry.float() / 255 - 0.5, sharp.float() / 255 - 0.5)

    assert float(found) == pytest.approx(1 - float(ssim(blurry, sharp).mean()), abs=1e-5)  # float32 variances


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_falls_towards_the_target(name: str) -> None:
    torch.manual_seed(0)
    target = torch.rand(1, 3, 16, 16) - 0.5
    image = (torch.rand(1, 3, 16, 16) - 0.5).requires_grad_()

    loss = LOSSES[name](image, target)
    (slope,) = torch.autograd.grad(loss, image)

    assert float(LOSSES[name](image.detach() - 1e-3 * slope / slope.norm(), target)) < float(loss.detach())
    assert float(LOSSES[name](target, target)) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="differ; pass images of one shape"):
        LOSSES[name](image, target[..., :-1])
