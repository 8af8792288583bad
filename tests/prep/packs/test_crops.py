"""The grid of crops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.packs.crops import grid


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_crops_cover_the_frame_and_stay_inside(height: int, width: int, data: st.DataObject) -> None:
    crop = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
    covered = np.zeros((height, width), int)

    for y, x in grid((height, width), crop):
        assert 0 <= y <= height - crop[0]
        assert 0 <= x <= width - crop[1]
        covered[y : y + crop[0], x : x + crop[1]] += 1

    assert covered.all()


def test_a_gopro_frame_gives_two_rows_of_three() -> None:
    assert grid((720, 1280), (512, 512)) == [(0, 0), (0, 384), (0, 768), (208, 0), (208, 384), (208, 768)]


def test_a_crop_of_the_frames_size_is_the_frame() -> None:
    assert grid((720, 1280), (720, 1280)) == [(0, 0)]


@pytest.mark.parametrize("crop", [(513, 10), (10, 641), (0, 5)])
def test_a_crop_that_does_not_fit_is_refused(crop: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit into a frame of 640 x 512"):
        grid((512, 640), crop)
