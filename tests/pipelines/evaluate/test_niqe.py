"""NIQE against the paper's equations, computed in another way, and against what others measure."""

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq
from scipy.signal import convolve2d
from scipy.special import gamma
from skimage import data

from pipelines.errors import EvaluationError
from pipelines.evaluate import niqe as module
from pipelines.evaluate.niqe import niqe
from prep.arrays import Bytes

Floats64 = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def photo() -> Bytes:
    return np.asarray(data.astronaut(), np.uint8)


def test_scores_are_those_of_the_equations(photo: Bytes) -> None:
    picture = photo[100:310, 40:250]  # four blocks, and a rest that does not count

    assert niqe(picture) == pytest.approx(by_the_equations(picture), rel=2e-3)  # the shape is found in steps of 0.001


def test_a_photograph_scores_as_basicsr_scores_its_grey_picture(photo: Bytes) -> None:
    assert niqe(photo) == pytest.approx(3.0673, abs=0.005)  # BasicSR 1.4.2, which halves pictures in single precision
    assert niqe(photo[100:196, 100:340]) == pytest.approx(7.3319, abs=0.001)


def test_more_blur_is_a_worse_score(photo: Bytes) -> None:
    scores = [niqe(cv2.GaussianBlur(photo, (0, 0), sigma)) for sigma in (0.01, 1, 2, 4)]

    assert scores == sorted(scores)


def test_a_plain_surface_has_no_score() -> None:
    assert math.isnan(niqe(np.full((192, 192, 3), 77, np.uint8)))


@pytest.mark.parametrize("step", [1, 40, 100])
def test_brightness_alone_changes_nothing_not_even_where_a_photograph_is_clipped(photo: Bytes, step: int) -> None:
    clipped = np.minimum(photo, 150)

    assert niqe(clipped + np.uint8(step)) == pytest.approx(niqe(clipped), rel=1e-9)


def test_plain_blocks_of_a_photograph_do_not_count(photo: Bytes) -> None:
    picture = photo[:192, :192].copy()
    plain = np.concatenate([picture, np.full((192, 192, 3), 255, np.uint8)], axis=1)

    assert math.isfinite(niqe(plain))


@pytest.mark.parametrize("size", [(95, 400), (150, 190), (96, 191)])
def test_a_picture_without_two_blocks_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(EvaluationError, match=rf"{size[1]} x {size[0]} pixels are too few for NIQE"):
        niqe(np.zeros((*size, 3), np.uint8))


def by_the_equations(picture: Bytes) -> float:
    """Block by block, number by number."""
    rows, columns = picture.shape[0] // 96, picture.shape[1] // 96
    red, green, blue = (picture[: 96 * rows, : 96 * columns, channel].astype(float) for channel in range(3))
    grey = np.round(0.2989360213 * red + 0.5870430745 * green + 0.1140209043 * blue)
    height, width = grey.shape
    scales = ((96, grey), (48, halving(height) @ grey @ halving(width).T))
    features = []
    for row in range(rows):
        for column in range(columns):
            found: list[float] = []
            for side, image in scales:
                normalised = contrast_normalised(image)
                block = normalised[row * side : (row + 1) * side, column * side : (column + 1) * side]
                found += block_features(block)
            features.append(found)
    with np.load(module._MODEL) as model:
        gap = model["mean"] - np.mean(features, axis=0)
        return math.sqrt(gap @ np.linalg.pinv((model["covariance"] + np.cov(np.transpose(features))) / 2) @ gap)


def halving(length: int) -> Floats64:
    """The matrix that halves a signal: cubic convolution of twice the width, rows of sum 1, indices mirrored."""
    matrix = np.zeros((length // 2, length))
    for target in range(length // 2):
        for source in range(2 * target - 4, 2 * target + 6):
            distance = abs(source - (2 * target + 0.5)) / 2
            if distance <= 1:
                weight = 1.5 * distance**3 - 2.5 * distance**2 + 1
            else:
                weight = max(0, distance < 2) * (-0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2)
            mirrored = -1 - source if source < 0 else 2 * length - 1 - source if source >= length else source
            matrix[target, mirrored] += weight
    return matrix / matrix.sum(axis=1, keepdims=True)


def contrast_normalised(image: Floats64) -> Floats64:
    """Equation 1, each mean by a convolution in two dimensions."""
    y, x = np.mgrid[-3:4, -3:4]
    window = np.exp(-(x**2 + y**2) * 18 / 49)
    window /= window.sum()
    padded = np.pad(image, 3, mode="edge")
    mean = convolve2d(padded, window, mode="valid")
    variance = sum(
        window[3 + row, 3 + column]
        * (padded[3 + row : 3 + row + len(image), 3 + column :][:, : image.shape[1]] - mean) ** 2
        for row in range(-3, 4)
        for column in range(-3, 4)
    )
    return (image - mean) / (np.sqrt(variance) + 1)


def block_features(block: Floats64) -> list[float]:
    shape, left, right = fitted(block)
    found = [shape, (left + right) / 2]
    for row, column in ((0, 1), (1, 0), (1, 1), (1, -1)):
        height, width = block.shape
        other = np.array(
            [[block[(y - row) % height, (x - column) % width] for x in range(width)] for y in range(height)]
        )
        shape, left, right = fitted(block * other)
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return found


def fitted(values: Floats64) -> tuple[float, float, float]:
    """An asymmetric generalised Gaussian by its moments, the shape as the root of an equation."""
    left = math.sqrt(np.mean(np.square(values[values < 0])))
    right = math.sqrt(np.mean(np.square(values[values > 0])))
    skew = left / right
    wanted = np.mean(np.abs(values)) ** 2 / np.mean(np.square(values))
    wanted *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = brentq(lambda a: gamma(2 / a) ** 2 / (gamma(1 / a) * gamma(3 / a)) - wanted, 0.2, 10)
    scale = math.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale
