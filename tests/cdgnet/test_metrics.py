"""Scores against scikit-image and scipy, and the traps that change them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_ssim import ssim3d_by_scipy
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from cdgnet.metrics import PSNR_CEILING, psnr, ssim, ssim_matlab3d, to_bytes

CONVENTION = {
    "data_range": 255,
    "channel_axis": -1,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}


def pair(batch: int = 2, height: int = 33, width: int = 40, noise: float = 20.0) -> tuple[Tensor, Tensor]:
    """Smooth frames and the same with noise, more of it in later images."""
    chance = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(chance.normal(size=(batch, 3, height, width)), (0, 0, 2, 2)) * 400 + 128
    levels = noise * np.arange(1, batch + 1)[:, None, None, None]
    noisy = smooth + chance.normal(size=smooth.shape) * levels
    bytes_of = [torch.from_numpy(np.clip(np.rint(each), 0, 255).astype(np.uint8)) for each in (noisy, smooth)]
    return bytes_of[0], bytes_of[1]


def as_array(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


@given(code=st.integers(0, 255), nudge=st.floats(-0.49, 0.49))
def test_bytes_are_rounded_to_the_nearest(code: int, nudge: float) -> None:
    value = torch.tensor((code + nudge) / 255 - 0.5, dtype=torch.float64)
    # float32 keeps 255 steps to within 1e-5 of a step.
    assert int(to_bytes(value)) == min(max(code, 0), 255)


def test_bytes_clamp_what_leaves_the_range() -> None:
    assert to_bytes(torch.tensor([-9.0, -0.5, 0.5, 9.0])).tolist() == [0, 0, 255, 255]


def test_bytes_survive_the_way_there_and_back() -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(codes / 255 - 0.5), codes)


def test_psnr_agrees_with_scikit_image_image_by_image() -> None:
    restored, sharp = pair()
    wanted = [
        peak_signal_noise_ratio(as_array(y), as_array(x), data_range=255) for x, y in zip(restored, sharp, strict=True)
    ]
    assert psnr(restored, sharp).tolist() == pytest.approx(wanted, abs=1e-9)


def test_psnr_is_not_pooled_over_the_batch() -> None:
    restored, sharp = pair()
    pooled = peak_signal_noise_ratio(sharp.numpy(), restored.numpy(), data_range=255)
    # The later image is noisier, and pooling its error counts it more.
    assert float(psnr(restored, sharp).mean()) - pooled > 0.1


def test_psnr_of_equal_images_is_the_ceiling_and_of_opposites_zero() -> None:
    black, white = torch.zeros(1, 3, 11, 11, dtype=torch.uint8), torch.full((1, 3, 11, 11), 255).byte()
    assert (float(psnr(black, black)), float(psnr(black, white))) == (PSNR_CEILING, 0.0)


def test_masked_psnr_sees_only_the_marked_pixels() -> None:
    restored, sharp = pair()
    mask = torch.zeros(2, 1, 33, 40, dtype=torch.uint8)
    mask[:, :, 5:20, 7:30] = 1
    crop = (..., slice(5, 20), slice(7, 30))
    torch.testing.assert_close(psnr(restored, sharp, mask), psnr(restored[crop], sharp[crop]))


def test_masked_psnr_of_no_pixels_is_nan_and_of_all_the_plain_one() -> None:
    restored, sharp = pair()
    mask = torch.ones(2, 1, 33, 40, dtype=torch.bool)
    mask[1] = False
    found = psnr(restored, sharp, mask).tolist()
    assert found[0] == float(psnr(restored, sharp)[0]) and math.isnan(found[1])


@settings(max_examples=10, deadline=None)
@given(height=st.integers(11, 30), width=st.integers(11, 30), noise=st.sampled_from([0.0, 3.0, 60.0]))
def test_ssim_agrees_with_scikit_images_gaussian_convention(height: int, width: int, noise: float) -> None:
    restored, sharp = pair(1, height, width, noise)
    wanted = structural_similarity(as_array(sharp[0]), as_array(restored[0]), **CONVENTION)
    assert ssim(restored, sharp).tolist() == pytest.approx([wanted], abs=1e-5)


def test_ssim_leaves_out_the_border_that_other_tools_average_in() -> None:
    restored, sharp = pair(1)
    _, full = structural_similarity(as_array(sharp[0]), as_array(restored[0]), full=True, **CONVENTION)
    found = float(ssim(restored, sharp))
    # The map over reflected edges, cropped by 5 pixels, is the valid interior.
    assert found == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-5)
    assert abs(found - full.mean()) > 1e-4


@settings(max_examples=10, deadline=None)
@given(height=st.integers(11, 30), width=st.integers(11, 30), noise=st.sampled_from([0.0, 3.0, 60.0]))
def test_ssim_matlab3d_agrees_with_a_volume_smoothed_by_scipy(height: int, width: int, noise: float) -> None:
    restored, sharp = pair(1, height, width, noise)
    wanted = ssim3d_by_scipy(as_array(restored[0]), as_array(sharp[0]))
    assert ssim_matlab3d(restored, sharp).tolist() == pytest.approx([wanted], abs=1e-9)


def test_the_two_ssims_are_different_scores() -> None:
    restored, sharp = pair(1)
    assert float(ssim_matlab3d(restored, sharp) - ssim(restored, sharp)) > 0.01


@pytest.mark.parametrize("score", [ssim, ssim_matlab3d])
def test_an_image_is_wholly_similar_to_itself(score: object) -> None:
    _, sharp = pair()
    both = ssim if score is ssim else ssim_matlab3d
    assert both(sharp, sharp).tolist() == pytest.approx([1.0, 1.0], abs=1e-12)


@pytest.mark.parametrize("score", [psnr, ssim, ssim_matlab3d])
def test_scores_are_one_float64_an_image_and_symmetric(score: object) -> None:
    restored, sharp = pair(3)
    of = {psnr: psnr, ssim: ssim, ssim_matlab3d: ssim_matlab3d}[score]  # type: ignore[index]
    found = of(restored, sharp)
    assert (found.shape, found.dtype) == ((3,), torch.float64)
    torch.testing.assert_close(found, of(sharp, restored))


def test_what_cannot_be_scored_is_refused() -> None:
    restored, sharp = pair()
    with pytest.raises(ValueError, match="restored is float32, wanted uint8; pass it through to_bytes"):
        psnr(restored.float(), sharp)
    with pytest.raises(ValueError, match=r"sharp is \(3, 33, 40\), wanted \(B, 3, H, W\)"):
        ssim(restored, sharp[0])
    with pytest.raises(ValueError, match="differ; pass frames of one size"):
        ssim_matlab3d(restored, sharp[..., :20])
    with pytest.raises(ValueError, match="frames are 40 x 10 pixels, wanted at least 11 x 11"):
        ssim(restored[..., :10, :], sharp[..., :10, :])
    with pytest.raises(ValueError, match=r"mask is \(2, 33, 40\), wanted \(2, 1, 33, 40\)"):
        psnr(restored, sharp, torch.ones(2, 33, 40))
