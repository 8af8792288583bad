"""Dot plots: dots placed on one axis."""

import math

import pytest

from pipelines.pages.dot_plots import dot_plot


def test_equal_values_of_two_rows_lie_above_each_other_and_the_bar_is_their_mean() -> None:
    plot = dot_plot("PSNR", "dB", {"one": [30.0, 32.0], "other": [32.0]})
    assert plot is not None
    one, other = plot.rows
    assert one.dots[1] == other.dots[0] == other.mean
    assert one.mean == pytest.approx((one.dots[0] + one.dots[1]) / 2)
    assert one.dots[0] < one.dots[1] and one.y < other.y < plot.height


def test_nan_is_left_out_and_so_is_a_row_of_nothing_else() -> None:
    plot = dot_plot("PSNR", "dB", {"one": [30.0, math.nan], "other": [math.nan]})
    assert plot is not None
    (row,) = plot.rows
    assert (row.name, len(row.dots)) == ("one", 1)
    assert dot_plot("PSNR", "dB", {"other": [math.nan]}) is None
