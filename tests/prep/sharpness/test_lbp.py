"""The sharpness map of Yi and Eramian 2016."""

import numpy as np
import pytest

from prep.masks import equations
from prep.sharpness import lbp, lbp_absolute, patterns

RNG = np.random.default_rng(3)


def partly_sharp(height: int = 96, width: int = 160, share: float = 0.3) -> np.ndarray:
    """Strong texture on the left part, a smooth ramp on the rest."""
    frame = np.tile(np.linspace(40, 200, width), (height, 1))
    columns = int(width * share)
    frame[:, :columns] = RNG.integers(0, 256, (height, columns))
    return np.repeat(frame.astype(np.uint8)[:, :, None], 3, axis=2)


def test_an_all_sharp_patch_reaches_the_ceiling_and_the_rest_the_floor() -> None:
    frame = partly_sharp()

    sharpness = lbp.sharpness(frame)

    assert sharpness.dtype == np.float32
    assert sharpness[48, 12] == pytest.approx(0.96162, abs=1e-4)
    assert sharpness[48, 140] == pytest.approx(0.03838, abs=1e-4)


def test_the_border_of_a_sharp_patch_passes_the_papers_mu() -> None:
    sharpness = lbp.sharpness(partly_sharp())

    assert sharpness[0, 0] > 0.96
    assert sharpness[:, 0].min() > 0.96


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_no_mask_is_left_above_the_ceiling(share: float) -> None:
    sharpness = lbp.sharpness(partly_sharp(share=share))

    assert sharpness.min() > 1 - lbp.CEILING
    assert sharpness.max() < lbp.CEILING
    assert not equations.mask_of_codes(equations.to_codes(sharpness), 0.97).any()


def test_a_mostly_sharp_frame_gives_the_known_empty_mask() -> None:
    sharpness = lbp.sharpness(partly_sharp(share=0.8))

    assert not (sharpness > 0.96).any()
    assert (sharpness > 0.5).mean() > 0.5


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_constant_frame_holds_no_evidence_and_gets_the_floor(level: int) -> None:
    sharpness = lbp.sharpness(np.full((40, 50, 3), level, np.uint8))

    assert np.allclose(sharpness, 0.03838, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (300, 16)])
def test_small_and_narrow_frames_have_a_map(size: tuple[int, int]) -> None:
    sharpness = lbp.sharpness(RNG.integers(0, 256, (*size, 3), np.uint8))

    assert sharpness.shape == size
    assert np.isfinite(sharpness).all()


def test_frames_below_16_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="the frame is 40 x 15; the smallest is 16 x 16"):
        lbp.sharpness(np.zeros((15, 40, 3), np.uint8))


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 4.0, 9.0])
def test_noise_is_estimated_within_a_tenth(sigma: float) -> None:
    ramp = np.tile(np.linspace(60, 190, 400), (300, 1))

    assert lbp.noise(np.rint(ramp + RNG.normal(0, sigma, ramp.shape)).astype(np.uint8)) == pytest.approx(sigma, rel=0.1)


def test_noise_alone_does_not_fire_the_patterns() -> None:
    grey = np.rint(128 + RNG.normal(0, 4, (200, 200))).astype(np.uint8)

    plain = patterns.non_uniform(grey, 0.016 * 255).mean()
    adaptive = patterns.non_uniform(grey, 3 * lbp.noise(grey)).mean()

    assert plain > 0.2  # what the threshold of the released code does
    assert adaptive < 0.02


def test_a_mostly_sharp_frame_has_a_mask_when_scored_against_photographs_at_large() -> None:
    frame = partly_sharp(share=0.8)

    mask = lbp_absolute.sharpness(frame) > 0.96

    assert mask[10:-10, 10:110].mean() > 0.9
    assert not mask[:, 140:].any()


def test_noise_is_told_from_texture_by_the_quietest_tenth() -> None:
    frame = RNG.normal(128, 40, (200, 200)).clip(0, 255).astype(np.uint8)
    frame[:, :40] = 128 + RNG.normal(0, 3, (200, 40))

    assert lbp_absolute.noise(frame) == pytest.approx(3, rel=0.15)
    assert lbp.noise(frame) > 20
