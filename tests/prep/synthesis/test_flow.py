"""Extents and frames between, where the motion is known."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import fourier_shift
from skimage import data

from prep.arrays import Bytes
from prep.synthesis import flow

PICTURE = data.astronaut()[100:400, 100:420]


def moved(way: float, count: int = 9) -> list[Bytes]:
    """A textured picture that goes ``way`` pixels, to the right and half as much down, in ``count`` frames."""
    spectrum = np.fft.fft2(PICTURE.astype(float).transpose(2, 0, 1))
    shots = []
    for part in np.linspace(-0.5, 0.5, count):
        x = part * way / np.hypot(1, 0.5)
        shifted = np.fft.ifft2([fourier_shift(plane, (x / 2, x)) for plane in spectrum]).real
        shots.append(np.ascontiguousarray(np.rint(shifted).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)))
    return shots


@pytest.mark.parametrize("way", [0.0, 2.5, 11.3, 37.0])
@pytest.mark.parametrize("parts", [1, 3])
def test_the_extent_of_a_known_translation_is_that_of_its_places(way: float, parts: int) -> None:
    shots = moved(way)
    places = np.linspace(0, way, 8 * parts + 1)  # of 9 frames, and of those interpolated between
    wanted = np.sqrt(12 * places.var())

    measured = flow.extent(shots, flow.steps(shots), parts)[60:-60, 60:-60]

    assert np.nanmedian(np.abs(measured - wanted)) < 0.5  # pixels
    assert abs(np.nanmean(measured) - wanted) < 0.5
    assert np.isnan(measured).mean() < 0.02


def test_there_and_back_again_is_no_longer_an_extent_than_there() -> None:
    """Six pixels to the right and back: ``paired`` and masks ask how wide the blur is, not how long the way was."""
    there = moved(6.0, 5)
    shots = [*there, *there[-2::-1]]

    measured = flow.extent(shots, flow.steps(shots))[60:-60, 60:-60]

    wanted = np.sqrt(12 * np.array([0, 1.5, 3, 4.5, 6, 4.5, 3, 1.5, 0]).var())
    assert np.nanmedian(np.abs(measured - wanted)) < 0.5


def test_what_is_covered_on_the_way_is_unknown_and_what_stands_still_is_not() -> None:
    shots = []
    for place in range(9):
        shot = PICTURE.copy()
        shot[100:200, 30 + 12 * place : 90 + 12 * place] = data.brick()[:100, :60, None]
        shots.append(shot)

    measured = flow.extent(shots, flow.steps(shots))

    assert np.isnan(measured[110:190, 32:70]).mean() > 0.5  # covered by the first frame's block, seen in the middle one
    assert np.nanmedian(measured[110:190, 85:130]) == pytest.approx(
        12 * np.sqrt(80), abs=4
    )  # the block itself: 9 places, 12 pixels apart
    assert np.nanmax(measured[250:, :]) < 0.5
    assert not np.isnan(measured[250:, :]).any()


def test_frames_between_are_where_the_motion_says() -> None:
    every = [shot.astype(np.float32) / 255 for shot in moved(32.0, 9)]
    shots = moved(32.0, 9)[::2]

    interpolated = list(flow.interpolate([shot.astype(np.float32) / 255 for shot in shots], flow.steps(shots), 2))

    assert len(interpolated) == 9
    inside = (slice(50, -50), slice(50, -50))
    for one, other, before in zip(interpolated[1::2], every[1::2], every[0::2], strict=False):
        error, unmoved = (np.abs(frame[inside] - other[inside]).mean() for frame in (one, before))
        assert error < 0.15 * unmoved
    assert all(np.array_equal(one, other) for one, other in zip(interpolated[::2], every[::2], strict=True))


def test_the_longest_step_is_that_of_the_fastest_part() -> None:
    still = moved(0.0, 3)
    fast = [cv2.copyMakeBorder(shot, 0, 0, 0, 320, cv2.BORDER_REFLECT) for shot in still]
    for shot, other in zip(fast, moved(14.0, 3), strict=True):
        shot[:, 320:] = other

    assert flow.longest_step(3, flow.steps(fast)) == pytest.approx(7, abs=2)  # the seam is noisy


def test_sixteen_bits_flow_as_eight_do() -> None:
    shots = moved(8.0, 3)

    eight, sixteen = (flow.steps(each)(0, 1) for each in (shots, [shot.astype(np.uint16) * 257 for shot in shots]))

    assert np.array_equal(eight, sixteen)
