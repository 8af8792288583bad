"""Evenly spaced items."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sampling import evenly_spaced


@given(st.integers(1, 300), st.integers(2, 40))
def test_items_are_spaced_evenly_from_the_first_to_the_last(length: int, count: int) -> None:
    taken = evenly_spaced(range(length), count)

    gaps = np.diff(taken)
    assert len(taken) == min(length, count)
    assert (taken[0], taken[-1]) == (0, length - 1)
    assert length <= 1 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)


def test_a_single_item_is_the_first() -> None:
    assert evenly_spaced([7, 8, 9], 1) == [7]


def test_of_nothing_nothing_is_taken() -> None:
    assert evenly_spaced([], 3) == []


def test_a_count_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        evenly_spaced([7, 8, 9], 0)
