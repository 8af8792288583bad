"""S by local binary patterns with closed-form matting, as released with Yi & Eramian 2016.

Only the mattes differ from ``lbp``. A matte is solved at quarter size (Levin, Lischinski & Weiss 2008) with a direct
solver, a banded Cholesky factorisation, whose band is as wide as two lines along the shorter side. Conjugate gradients
would change the result. The matting Laplacian is pymatting's.

Legend: h, w a reduced frame's height and width, h <= w after transposition; n = h w.
"""

from contextlib import suppress
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, solveh_banded

from prep.arrays import Bytes, Floats
from prep.sharpness import lbp, patterns, size

_EPSILON = 1e-7  # regularisation of the Laplacian and of the local linear model, for intensities in [0, 1]
_WEIGHT = 100.0  # weight of the trimap's known pixels
_HALVINGS = 2
_RADIUS = 1  # windows of 3 x 3
# Added to the diagonal to keep the system regular where the trimap is unknown. The larger values are for frames whose
# channels are equal, where rounding makes the system indefinite.
_DIAGONALS = (1e-9, 1e-6, 1e-3)

PARAMETERS = {
    **{name: value for name, value in lbp.PARAMETERS.items() if not name.startswith("guided")},
    "matting_epsilon": _EPSILON,
    "matting_weight": _WEIGHT,
    "matting_halvings": _HALVINGS,
}

Doubles = npt.NDArray[np.float64]


def sharpness(blurry: Bytes, sharp: Bytes | None = None) -> Floats:
    """Compute S of one frame.

    Args:
        blurry: ``(H, W, 3)`` uint8 RGB.
        sharp: Ignored; all methods share one signature.

    Returns:
        ``(H, W)`` float32 in [0.03837, 0.96163]; a frame without any pattern gets the lowest value everywhere.

    Raises:
        ValueError: If the frame is smaller than 16 pixels.

    Source: Yi & Eramian 2016, section IV; Levin, Lischinski & Weiss 2008, "A closed-form solution to natural image
    matting", equations 12 and 13.
    """
    size.check(blurry)
    grey = lbp.to_grey(blurry)
    marks = patterns.non_uniform(grey, max(lbp.THRESHOLD, lbp.NOISE_FACTOR * lbp.noise(grey)))
    return lbp.believe(lbp.score(mattes(blurry, lbp.scaled(lbp.shares(marks)))))


def mattes(frame: Bytes, shares: Floats) -> Floats:
    """Compute closed-form mattes from trimaps, which are made from shares of patterns.

    Args:
        frame: ``(H, W, 3)`` uint8 RGB.
        shares: ``(L, H, W)`` in [0, 1]: foreground above 0.3, background below 0.01.

    Returns:
        ``(L, H, W)`` in [0, 1].
    """
    levels = [frame.astype(np.float32) / np.float32(255)]
    for _ in range(_HALVINGS):
        levels.append(_resized(levels[-1], (levels[-1].shape[0] // 2, levels[-1].shape[1] // 2)))
    small = levels[-1].astype(np.float64)
    turned = small.shape[0] > small.shape[1]
    if turned:
        small = small.transpose(1, 0, 2)
    entries = laplacian(np.ascontiguousarray(small))
    trimaps = [_resized(share, levels[-1].shape[:2]) for share in shares]
    solved = [solve(entries, trimap.T).T if turned else solve(entries, trimap) for trimap in trimaps]
    alphas = np.stack(solved, axis=-1)  # (h, w, L)
    for coarse, fine in zip(levels[:0:-1], levels[-2::-1], strict=True):
        alphas = upsample(alphas, coarse, fine)
    return np.ascontiguousarray(alphas.clip(0, 1).transpose(2, 0, 1))


class Entries(NamedTuple):
    """The upper half of a symmetric matrix ``(n, n)``; entries at the same position are added up."""

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    values: Doubles


def laplacian(image: Doubles) -> Entries:
    """Compute the matting Laplacian of ``(h, w, 3)``, with the pixels in column-by-column order."""
    from pymatting.laplacian.cf_laplacian import cf_laplacian  # compiles for minutes once, then loads in seconds

    matrix = cf_laplacian(np.ascontiguousarray(image.transpose(1, 0, 2)), _EPSILON, _RADIUS).tocoo()
    upper = matrix.col >= matrix.row
    return Entries(*(part[upper] for part in (matrix.row.astype(np.int64), matrix.col.astype(np.int64), matrix.data)))


def solve(entries: Entries, share: Floats) -> Floats:
    """Minimise alpha' L alpha + 100 |alpha - trimap|^2 over the known pixels; ``(h, w)`` float32, about [0, 1].

    The bands are filled again for each matte, because the solver overwrites them and two copies would take 350 MB.
    """
    foreground, background = share > lbp.FOREGROUND, share < lbp.BACKGROUND
    if not foreground.any() or not background.any():
        return foreground.astype(np.float32)  # foreground or background is missing, so the matte has no edge
    reach = 2 * _RADIUS * (share.shape[0] + 1)
    for diagonal in _DIAGONALS:
        bands = np.zeros((reach + 1, share.size), order="F")  # LAPACK's order; the last row is the diagonal
        np.add.at(bands, (reach + entries.rows - entries.columns, entries.columns), entries.values)
        bands[-1] += _WEIGHT * (foreground | background).T.ravel() + diagonal
        known = _WEIGHT * foreground.T.ravel().astype(np.float64)
        with suppress(LinAlgError):
            alpha = solveh_banded(bands, known, overwrite_ab=True, overwrite_b=True, check_finite=False)
            return np.asarray(alpha.reshape(share.shape[::-1]).T, np.float32)
    raise ValueError("the matting of this frame has no stable solution; use another --method")


def upsample(alphas: Floats, coarse: Floats, fine: Floats) -> Floats:
    """Upsample mattes to a finer frame: alpha = a . I + b, with a and b fitted in each coarse window.

    Args:
        alphas: ``(h, w, L)``.
        coarse: ``(h, w, 3)`` in [0, 1].
        fine: ``(H, W, 3)`` in [0, 1].

    Returns:
        ``(H, W, L)`` float32.

    Source: Levin, Lischinski & Weiss 2008, equation 10 and section 5.
    """
    image, mattes = coarse.astype(np.float64), alphas.astype(np.float64)
    mean, matte_mean = _mean(image), _mean(mattes)
    covariance = np.empty((*image.shape, 3))
    shared = np.empty((*image.shape, alphas.shape[-1]))
    for row in range(3):
        covariance[..., row, :] = _mean(image * image[..., row, None]) - mean * mean[..., row, None]
        shared[..., row, :] = _mean(mattes * image[..., row, None]) - matte_mean * mean[..., row, None]
    covariance += _EPSILON / 9 * np.eye(3)
    slopes = np.linalg.solve(covariance, shared)  # (h, w, 3, L)
    offsets = matte_mean - np.einsum("hwcl,hwc->hwl", slopes, mean)
    result = _resized(_mean(offsets), fine.shape[:2])
    for colour in range(3):
        result += _resized(_mean(slopes[..., colour, :]), fine.shape[:2]) * fine[..., colour, None]
    return result.astype(np.float32)


def _mean(image: Doubles) -> Doubles:
    return np.asarray(cv2.blur(image, (3, 3), borderType=cv2.BORDER_REFLECT), np.float64)


def _resized(image: npt.NDArray[np.floating], shape: tuple[int, ...]) -> npt.NDArray[np.floating]:
    shrinks = shape[0] < image.shape[0]
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
