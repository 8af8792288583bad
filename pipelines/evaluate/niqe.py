"""NIQE: how far a photograph's statistics are from those of undistorted photographs. It needs no sharp frame.

Legend: H, W a picture's height and width; B its blocks of 96 x 96 pixels; P the pixels of a block; F = 36 features.
"""

from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d
from scipy.special import gamma

from pipelines.errors import EvaluationError
from prep.arrays import Bytes

Floats64: TypeAlias = npt.NDArray[np.float64]

BLOCK = 96  # pixels, side of a block; the authors' model was fitted with this size
_MODEL = Path(__file__).with_name("niqe_pristine.npz")  # niqe_pristine.txt states its origin and licence
_GREY = np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])  # weights of R, G, B in MATLAB's rgb2gray
_RADIUS, _SIGMA = 3, 7 / 6  # pixels; radius and standard deviation of the Gaussian window
_ROUNDING = 1e-6  # grey levels; smaller differences are rounding errors, and a plain surface must have none
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows, columns
_SHAPES = np.arange(0.2, 10.0005, 0.001)  # candidate shapes of a generalised Gaussian
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))  # one per shape, rising with it
_HALVING = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256  # cubic convolution, a = -0.5, stretched twofold


def niqe(picture: Bytes) -> float:
    """Compute the distance of a photograph's statistics from those of 125 undistorted ones; lower is better.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB, at least two blocks of 96 x 96 pixels. Pixels to the right of the last
            whole block, or below it, are ignored.

    Returns:
        The distance; NaN if fewer than two blocks have any structure, because a plain surface cannot be judged.

    Raises:
        EvaluationError: If the picture has fewer than two blocks, because one block has no covariance.

    Source: Mittal, Soundararajan & Bovik 2013, Making a "completely blind" image quality analyzer, and the authors'
    code, from which the model of undistorted photographs comes. As in that code, pictures are converted to grey by
    MATLAB's ``rgb2gray`` and to half the size by its ``imresize``.
    """
    rows, columns = (side // BLOCK for side in picture.shape[:2])
    if rows * columns < 2:
        height, width = picture.shape[:2]
        raise EvaluationError(
            f"{width} x {height} pixels are too few for NIQE, which needs two blocks of {BLOCK} x {BLOCK}"
        )
    grey = np.rint(picture[: rows * BLOCK, : columns * BLOCK] @ _GREY)  # (H, W)
    features = np.concatenate([_features(grey, BLOCK), _features(_half(grey), BLOCK // 2)], axis=1)  # (B, F)
    known = features[~np.isnan(features).any(axis=1)]
    if len(known) < 2:
        return float("nan")
    mean, covariance = _model()
    gap = mean - np.nanmean(features, axis=0)
    between = np.linalg.pinv((covariance + np.cov(known, rowvar=False)) / 2)
    return float(np.sqrt(gap @ between @ gap))  # equation 10


@cache
def _model() -> tuple[Floats64, Floats64]:
    """Load the mean ``(F,)`` and covariance ``(F, F)`` of the features of undistorted photographs."""
    with np.load(_MODEL) as model:
        return np.asarray(model["mean"], np.float64), np.asarray(model["covariance"], np.float64)


def _features(grey: Floats64, side: int) -> Floats64:
    """Compute the 18 features of each block at one scale, ``(B, 18)``."""
    mean = _smooth(grey)
    deviation = np.sqrt(np.abs(_smooth(grey * grey) - mean * mean))
    gap = np.where(np.abs(grey - mean) < _ROUNDING, 0, grey - mean)
    normalised = gap / (deviation + 1)  # equation 1
    rows = np.split(normalised, len(normalised) // side)  # one row of blocks at a time fits into the processor's cache
    return np.concatenate([_features_of_row(row, side) for row in rows])


def _features_of_row(row: Floats64, side: int) -> Floats64:
    """Compute the 18 features of each block of one row, ``(side, W)``."""
    blocks = row.reshape(side, -1, side).swapaxes(0, 1)  # (B, side, side)
    shape, left, right = _asymmetric_gaussian(blocks)
    features = [shape, (left + right) / 2]
    for step in _NEIGHBOURS:
        shape, left, right = _asymmetric_gaussian(blocks * np.roll(blocks, step, axis=(1, 2)))
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return np.stack(features, axis=1)


def _smooth(picture: Floats64) -> Floats64:
    """Compute the mean in a Gaussian window of 7 x 7 pixels, repeating the border."""
    window = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * _SIGMA**2))
    window /= window.sum()
    for axis in (0, 1):
        picture = np.asarray(correlate1d(picture, window, axis=axis, mode="nearest"), np.float64)
    return picture


def _asymmetric_gaussian(blocks: Floats64) -> tuple[Floats64, Floats64, Floats64]:
    """Fit an asymmetric generalised Gaussian to each block, by its moments.

    Args:
        blocks: ``(B, side, side)``.

    Returns:
        Shape, left and right scale, ``(B,)`` each; NaN for a block without values on both sides of 0.

    Source: Lasmar, Stitou & Berthoumieu 2009, Multiscale skewed heavy tailed model for texture analysis.
    """
    values = blocks.reshape(len(blocks), -1)  # (B, P)
    squares = values * values
    is_left, is_right = values < 0, values > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((squares * is_left).sum(axis=1) / is_left.sum(axis=1))
        right = np.sqrt((squares * is_right).sum(axis=1) / is_right.sum(axis=1))
        skew = left / right
        ratio = np.abs(values).mean(axis=1) ** 2 / squares.mean(axis=1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = _shape_of(ratio)
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def _shape_of(ratio: Floats64) -> Floats64:
    """Find the shape whose squared mean absolute value, divided by its mean square, is nearest to ``ratio``.

    NaN stays NaN.
    """
    places = np.searchsorted((_RATIOS[1:] + _RATIOS[:-1]) / 2, ratio)
    return np.where(np.isnan(ratio), np.nan, _SHAPES[np.minimum(places, len(_SHAPES) - 1)])


def _half(picture: Floats64) -> Floats64:
    """Halve each (even) side as MATLAB's ``imresize(picture, 0.5)``: cubic, antialiased, with a mirrored border."""
    for axis in (0, 1):
        reach = len(_HALVING) // 2 - 1  # pixels before the first of each pair
        padding = [(reach, reach) if each == axis else (0, 0) for each in (0, 1)]
        padded = np.moveaxis(np.pad(picture, padding, mode="symmetric"), axis, 0)
        count = picture.shape[axis] // 2
        halved = sum(weight * padded[place : place + 2 * count : 2] for place, weight in enumerate(_HALVING))
        picture = np.moveaxis(np.asarray(halved), 0, axis)
    return picture
