"""Padding and cropping: the same frame back, for every size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cdgnet.tiling import crop_to_size, pad_to_multiple

sides = st.integers(1, 30)


@given(height=sides, width=sides, multiple=st.integers(1, 9))
def test_cropping_undoes_padding_and_padding_reaches_the_next_multiple(height: int, width: int, multiple: int) -> None:
    images = torch.rand(1, 3, height, width)
    padded = pad_to_multiple(images, multiple)
    added = [padded.shape[-2] - height, padded.shape[-1] - width]
    assert torch.equal(crop_to_size(padded, (height, width)), images)
    assert all(side % multiple == 0 for side in padded.shape[-2:])
    assert all(0 <= each < multiple for each in added)


def test_the_padding_repeats_the_last_row_and_column() -> None:
    images = torch.arange(6.0).view(1, 1, 2, 3)
    assert pad_to_multiple(images, 4).tolist() == [[[[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]]]


def test_a_frame_that_fits_is_not_copied() -> None:
    images = torch.rand(1, 3, 8, 12)
    assert pad_to_multiple(images) is images


def test_cropping_to_a_larger_size_is_refused() -> None:
    with pytest.raises(ValueError, match="images of 8 x 6 cannot be cropped to 8 x 7; pass a smaller size"):
        crop_to_size(torch.zeros(1, 3, 6, 8), (7, 8))
