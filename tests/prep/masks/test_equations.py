"""Equations 14 and 15, and S as it is stored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prep.masks import equations

planes = hnp.arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32))


@given(planes, st.floats(0, 1))
def test_the_mask_marks_exactly_what_lies_above_mu(sharpness: np.ndarray, mu: float) -> None:
    mask = equations.sharpness_mask(sharpness, mu)

    expected = np.maximum(0, np.sign(sharpness.astype(np.float64) - mu))
    assert mask.dtype == np.uint8
    # float32 S against float64 mu: only values within a rounding of mu may fall either way
    assert np.array_equal(mask[abs(sharpness - mu) > 1e-6], expected[abs(sharpness - mu) > 1e-6])


def test_a_sharpness_equal_to_mu_counts_as_blurred() -> None:
    codes = np.array([[13106, 13107, 13108]], np.uint16)  # 13107 / 65535 is 0.2

    assert equations.mask_of_codes(codes, 0.2).tolist() == [[0, 0, 1]]
    assert equations.sharpness_mask(np.float32([[0.25, 0.5, 0.75]]), 0.5).tolist() == [[0, 0, 1]]


def test_the_first_code_above_the_papers_mu_is_62914() -> None:
    codes = np.array([[62913, 62914]], np.uint16)

    assert equations.mask_of_codes(codes, 0.96).tolist() == [[0, 1]]


@given(planes)
def test_storing_sharpness_moves_it_by_half_a_code_at_most(sharpness: np.ndarray) -> None:
    back = equations.from_codes(equations.to_codes(sharpness))

    assert np.abs(back - sharpness).max() <= 0.5 / 65535 + 1e-7  # and a float32 rounding


@pytest.mark.parametrize("wrong", [np.nan, -0.01, 1.01])
def test_sharpness_outside_its_range_is_refused(wrong: float) -> None:
    sharpness = np.full((2, 2), 0.5, np.float32)
    sharpness[1, 0] = wrong

    with pytest.raises(ValueError, match="must be in \\[0, 1\\], without NaN"):
        equations.to_codes(sharpness)


@pytest.mark.parametrize("mu", [-0.1, 1.1, float("nan")])
def test_mu_outside_its_range_is_refused(mu: float) -> None:
    with pytest.raises(ValueError, match="it must be in"):
        equations.mask_of_codes(np.zeros((2, 2), np.uint16), mu)


@given(
    hnp.arrays(np.uint8, (4, 6, 3)),
    hnp.arrays(np.uint8, (4, 6), elements=st.integers(0, 1)),
)
def test_the_components_are_the_masked_frame_and_the_rest(sharp: np.ndarray, mask: np.ndarray) -> None:
    sgt, lgt = equations.component_targets(sharp, mask)

    assert np.array_equal(sgt + lgt, sharp)
    assert np.array_equal(sgt[mask == 1], sharp[mask == 1])
    assert not sgt[mask == 0].any()
    assert not lgt[mask == 1].any()


@given(extent=st.floats(0, 200), threshold=st.floats(0.5, 60))
def test_a_soft_mask_falls_with_the_extent_and_is_a_half_at_mu(extent: float, threshold: float) -> None:
    """On the scale of paired and extent, S = 1 / (1 + L^2 / 216): w = 1 / (1 + (L / L_mu)^2)."""
    sharpness, mu = (1 / (1 + length**2 / 216) for length in (extent, threshold))
    codes = equations.to_codes(np.full((1, 1), sharpness, np.float32))
    wanted = 1 / (1 + (extent / threshold) ** 2)
    slope = 216 / threshold**2 * (wanted / sharpness) ** 2  # of w over S, which is known to half a code
    assert equations.soft_mask(codes, mu)[0, 0] / 255 == pytest.approx(wanted, abs=0.51 / 255 + 0.51 / 65535 * slope)


def test_a_soft_mask_of_a_binary_map_is_the_mask() -> None:
    codes = np.array([[0, 65535]], np.uint16)
    for mu in (0.0, 0.5, 0.96, 1.0):
        soft = equations.soft_mask(codes, mu)
        assert soft.tolist() == [[0, 255 if mu < 1 else 0]]
    with pytest.raises(ValueError, match="mu is 2"):
        equations.soft_mask(codes, 2)
