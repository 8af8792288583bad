"""Closed-form matting: the banded solver against a sparse one, and what a trimap without a side gives.

Slow, since the first import of pymatting compiles for more than a minute.
"""

import cv2
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from skimage import data as photographs

from prep.sharpness import lbp_matting
from prep.sharpness.lbp_matting import Entries

pytestmark = pytest.mark.slow


def solve_sparse(entries: Entries, share: np.ndarray) -> np.ndarray:
    """The same equations by SuperLU, without ordering or bands of our own."""
    foreground, background = share > 0.3, share < 0.01
    upper = scipy.sparse.coo_array((entries.values, (entries.rows, entries.columns)), shape=(share.size,) * 2).tocsc()
    known = scipy.sparse.diags_array(100.0 * (foreground | background).T.ravel())
    matrix = upper + upper.T - scipy.sparse.diags_array(upper.diagonal()) + known
    alpha = scipy.sparse.linalg.spsolve(matrix.tocsc(), 100.0 * foreground.T.ravel())
    return alpha.reshape(share.shape[::-1]).T.astype(np.float32)


def half_blurred(turned: bool) -> np.ndarray:
    frame = cv2.resize(photographs.astronaut(), (560, 400), interpolation=cv2.INTER_AREA)
    frame[:, 250:] = cv2.blur(frame, (15, 1))[:, 250:]
    return np.ascontiguousarray(frame.transpose(1, 0, 2)) if turned else frame


@pytest.mark.parametrize("turned", [False, True])
def test_the_solver_changes_no_more_than_a_thousandth_of_the_mask(
    monkeypatch: pytest.MonkeyPatch, turned: bool
) -> None:
    frame = half_blurred(turned)

    sharpness = lbp_matting.sharpness(frame)
    monkeypatch.setattr(lbp_matting, "solve", solve_sparse)
    expected = lbp_matting.sharpness(frame)

    assert 0.02 < (expected > 0.96).mean() < 0.9
    assert ((sharpness > 0.96) != (expected > 0.96)).mean() < 1e-3
    assert np.abs(sharpness - expected).max() < 1e-2


def test_a_matte_keeps_to_its_trimap_and_fills_what_is_unknown() -> None:
    small = cv2.resize(half_blurred(turned=False), (60, 40), interpolation=cv2.INTER_AREA) / 255.0
    share = np.full((40, 60), 0.1, np.float32)
    share[:, :20], share[:, 45:] = 0.5, 0.0

    alpha = lbp_matting.solve(lbp_matting.laplacian(small), share)

    assert np.abs(alpha[:, :18] - 1).max() < 0.05
    assert np.abs(alpha[:, 47:]).max() < 0.05
    assert 0.05 < alpha[:, 20:45].mean() < 0.95


@pytest.mark.parametrize(("share", "alpha"), [(0.0, 0), (0.5, 1), (0.1, 0)])
def test_a_trimap_of_one_kind_is_its_own_matte(share: float, alpha: int) -> None:
    entries = lbp_matting.laplacian(np.random.default_rng(0).uniform(0, 1, (12, 20, 3)))

    assert (lbp_matting.solve(entries, np.full((12, 20), share, np.float32)) == alpha).all()


def test_a_system_that_rounding_made_indefinite_is_solved_all_the_same() -> None:
    small = cv2.resize(half_blurred(turned=False), (60, 40), interpolation=cv2.INTER_AREA) / 255.0
    share = np.full((40, 60), 0.1, np.float32)
    share[:, :20], share[:, 45:] = 0.5, 0.0
    entries = lbp_matting.laplacian(small)
    lone = np.flatnonzero((entries.rows == entries.columns) & (entries.rows == 30 * 40 + 20))  # a pixel nobody knows
    entries.values[(entries.rows == 30 * 40 + 20) | (entries.columns == 30 * 40 + 20)] = 0
    entries.values[lone] = -1e-8

    alpha = lbp_matting.solve(entries, share)

    assert np.abs(alpha[:, :18] - 1).max() < 0.05
    assert np.abs(alpha[:, 47:]).max() < 0.05
