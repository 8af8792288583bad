"""Equations 13, 15, 16 and 17 against sums by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cdgnet import Components, component_targets, deblurring_losses, psnr, ssim
from cdgnet.losses import LOSSES, absolute_error, attention_loss, dissimilarity, gate_loss, psnr_loss, squared_error


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


def test_the_psnr_loss_is_how_far_the_metric_is_below_40_db_where_errors_are_large() -> None:
    torch.manual_seed(0)
    sharp = torch.randint(0, 256, (2, 3, 20, 30), dtype=torch.uint8)
    blurry = torch.nn.functional.avg_pool2d(sharp.float(), 3, 1, 1).round().to(torch.uint8)

    found = psnr_loss(blurry.float() / 255 - 0.5, sharp.float() / 255 - 0.5)

    errors = 10 ** (-psnr(blurry, sharp) / 10)  # (B,)
    assert float(found) == pytest.approx(float(10 * torch.log10(1 + errors / 1e-4).mean()), rel=1e-5)
    assert float(found) == pytest.approx(40 - float(psnr(blurry, sharp).mean()), abs=0.02)


def test_the_psnr_loss_teaches_more_about_a_good_image_than_about_a_bad_one() -> None:
    good, bad = torch.full((1, 3, 8, 8), 0.02), torch.full((1, 3, 8, 8), 0.2)
    images = torch.cat([good, bad]).requires_grad_()

    (slopes,) = torch.autograd.grad(psnr_loss(images, torch.zeros_like(images)), images)
    (squared,) = torch.autograd.grad(squared_error(images, torch.zeros_like(images)), images)

    assert slopes[0].norm() > 5 * slopes[1].norm()
    assert squared[0].norm() == pytest.approx(squared[1].norm() / 10)


def test_the_psnr_loss_counts_pixels_by_their_weights() -> None:
    image, target = torch.zeros(3, 3, 4, 4), torch.zeros(3, 3, 4, 4)
    image[0, :, 0, 0], image[1, :, 0, 0], image[2] = 0.3, 0.3, 0.3
    weights = torch.zeros(3, 1, 4, 4)
    weights[0, :, 0, :2], weights[1, :, 1:] = 1.0, 1.0

    of_the_first = 10 * math.log10(1 + 0.3**2 / 2 / 1e-4)  # the others weigh pixels without error, and none
    assert float(psnr_loss(image, target, weights)) == pytest.approx(of_the_first / 3)


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


def small_and_large(mask: Tensor, form: str, seed: int = 0, **settings: object) -> tuple[float, float]:
    """The branches' losses."""
    components, sharp, _ = make(seed)
    losses = deblurring_losses(components, sharp, mask, component_loss=form, **settings)  # type: ignore[arg-type]
    return float(losses.small), float(losses.large)


def test_region_is_target_for_a_branch_that_has_the_whole_frame() -> None:
    ones = torch.ones(2, 1, 5, 6)
    assert small_and_large(ones, "region")[0] == pytest.approx(small_and_large(ones, "target")[0])
    assert small_and_large(1 - ones, "region")[1] == pytest.approx(small_and_large(1 - ones, "target")[1])


def test_region_of_a_branch_without_a_pixel_is_nothing_and_has_no_gradient() -> None:
    components, sharp, mask = make()
    large = components.large
    assert large is not None
    losses = deblurring_losses(
        components._replace(large=large.requires_grad_()), sharp, torch.ones_like(mask), component_loss="region"
    )
    (slope,) = torch.autograd.grad(losses.total, large)
    assert not losses.large.detach().any() and not slope.any()


@pytest.mark.parametrize("compare", [squared_error, absolute_error])
def test_the_share_of_the_mask_does_not_change_what_region_weighs(compare: object) -> None:
    """An error of the same size at every pixel costs the same, however few of them count."""
    sharp = torch.zeros(1, 3, 8, 8)
    wrong = Components(sharp, sharp + 0.25, sharp + 0.25, None, None)
    found = set()
    for share in (1, 7, 63):
        mask = (torch.arange(64) < share).view(1, 1, 8, 8).float()
        losses = deblurring_losses(wrong, sharp, mask, component_loss="region", compare=compare)  # type: ignore[arg-type]
        found |= {round(float(losses.small), 6), round(float(losses.large), 6)}
    assert len(found) == 1


def test_soft_weights_of_a_binary_mask_are_region() -> None:
    _, _, mask = make()
    assert small_and_large(mask.float(), "region") == pytest.approx(small_and_large(mask, "region"))
    halves = torch.full((2, 1, 5, 6), 0.5)
    assert small_and_large(halves, "region") == pytest.approx(small_and_large(halves, "whole"))


def test_gradients_of_region_by_hand() -> None:
    """2 x 2 pixels of which one is blurred little: its error weighs a whole, those of the others a third each."""
    sharp = torch.zeros(1, 3, 2, 2)
    small, large = (torch.full((1, 3, 2, 2), value).requires_grad_() for value in (0.1, 0.3))
    mask = torch.tensor([[1, 0], [0, 0]]).view(1, 1, 2, 2)
    losses = deblurring_losses(
        Components(sharp, small, large, None, None),
        sharp,
        mask,
        component_loss="region",
        lambda_small=1.0,
        lambda_large=0.5,
    )
    of_small, of_large = torch.autograd.grad(losses.total, (small, large))
    torch.testing.assert_close(of_small[0, 1], torch.tensor([[2 * 0.1, 0], [0, 0]]))
    torch.testing.assert_close(of_large[0, 1], 0.5 * 2 * 0.3 / 3 * torch.tensor([[0, 1.0], [1, 1]]))


def test_whole_looks_at_no_mask() -> None:
    _, _, mask = make()
    assert small_and_large(mask, "whole") == small_and_large(1 - mask, "whole")
    components, sharp, _ = make()
    assert small_and_large(mask, "whole")[0] == pytest.approx(float(squared_error(components.small, sharp)))


def test_attention_falls_as_the_maps_follow_the_mask() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    small_map = torch.tensor([[0.9, 0.1], [0.9, 0.1]]).view(1, 1, 2, 2)
    right, wrong = attention_loss(small_map, mask), attention_loss(1 - small_map, mask)
    assert float(right) == pytest.approx(-math.log(0.9), rel=1e-5)
    assert float(wrong) == pytest.approx(-math.log(0.1), rel=1e-5)

    components, sharp, _ = make()
    images = [image[:1, :, :1, :1].expand(1, 3, 8, 8) for image in components[:3] if image is not None]
    given = Components(*images, small_map.double(), (1 - small_map).double())
    sharp = sharp[:1, :, :1, :1].expand(1, 3, 8, 8)
    plain = deblurring_losses(given, sharp, mask, component_loss="region")
    taught = deblurring_losses(given, sharp, mask, component_loss="attention")
    assert float(taught.large - plain.large) == pytest.approx(0.01 * float(right), rel=1e-4)


def test_both_classes_of_an_attention_map_weigh_one_half() -> None:
    map_of_half = torch.full((1, 1, 4, 4), 0.5)
    for share in (1, 8, 15):
        mask = (torch.arange(16) < share).float().view(1, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
        assert float(attention_loss(map_of_half, mask)) == pytest.approx(math.log(2), rel=1e-5)


def test_the_gate_is_best_at_the_share_of_pixels() -> None:
    """A probability: unlike the attention, whose classes weigh one half each, it follows how common small blur is."""
    mask = (torch.arange(16) < 4).float().view(1, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    costs = {share: float(gate_loss(torch.full((1, 1, 4, 4), share), mask)) for share in (0.2, 0.25, 0.3, 0.5)}
    assert min(costs, key=lambda share: costs[share]) == 0.25
    assert costs[0.2] == pytest.approx(-(0.25 * math.log(0.2) + 0.75 * math.log(0.8)), rel=1e-5)


def test_region_teaches_the_gate_and_whole_does_not() -> None:
    components, sharp, mask = make()
    gated = components._replace(share=torch.full((2, 1, 2, 2), 0.3))
    cost = 0.001 * float(gate_loss(gated.share, mask))
    for form, wanted in (("region", cost), ("whole", 0), ("target", 0)):
        plain, taught = (
            deblurring_losses(each, sharp, mask, component_loss=form, lambda_small=1, lambda_large=1)
            for each in (components, gated)
        )
        assert float(taught.total - plain.total) == pytest.approx(wanted, rel=1e-5), form


def test_sides_that_four_does_not_divide_have_their_own_cells() -> None:
    mask = torch.zeros(1, 1, 5, 6)
    mask[..., 4:, :] = 1
    cells = torch.tensor([[0.2, 0.2], [0.8, 0.8]]).view(1, 1, 2, 2)
    assert float(attention_loss(cells, mask)) == pytest.approx(-math.log(0.8), rel=1e-5)


def test_dissimilarity_counts_where_the_weights_are() -> None:
    torch.manual_seed(0)
    target = torch.rand(1, 3, 32, 16) - 0.5
    image = target.clone()
    image[:, :, :10] = torch.rand(1, 3, 10, 16) - 0.5
    weights = torch.ones(1, 1, 32, 16)
    weights[:, :, :16] = 0  # 16 rows: a window of 11 reaches 5 beyond the wrong ones
    assert float(dissimilarity(image, target, weights)) == pytest.approx(0, abs=1e-6)
    assert float(dissimilarity(image, target)) > 0.1


def test_a_form_that_does_not_exist_is_refused() -> None:
    components, sharp, mask = make()
    with pytest.raises(ValueError, match="component loss 'rest' does not exist; pass one of target, region"):
        deblurring_losses(components, sharp, mask, component_loss="rest")
    with pytest.raises(ValueError, match="no spatial attention to teach"):
        deblurring_losses(components._replace(small_attention=None), sharp, mask, component_loss="attention")
