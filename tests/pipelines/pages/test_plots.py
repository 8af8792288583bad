"""Curves placed on axes."""

import math

import pytest

from pipelines.pages.plots import Plot, plot, smoothed

CURVE = [(0, 0.1), (100, 0.01), (200, 0.001)]


def drawn(curves: dict[str, list[tuple[int, float]]], *, is_log: bool = True) -> Plot:
    chart = plot("Training loss", "loss", curves, is_log=is_log)
    assert chart is not None
    return chart


def places(chart: Plot) -> list[list[tuple[float, float]]]:
    """x and y of each point of each curve."""
    points = [[point.split(",") for point in curve.points.split()] for curve in chart.curves]
    return [[(float(x), float(y)) for x, y in curve] for curve in points]


def test_a_factor_of_ten_is_equally_high_everywhere_on_a_log_axis() -> None:
    (restored,) = places(drawn({"restored": CURVE}))

    # Points are rounded to tenths, so two differences may part by two tenths.
    first, second = (restored[place + 1][1] - restored[place][1] for place in (0, 1))
    assert first > 0
    assert abs(first - second) < 0.21


def test_a_curve_spans_its_axis_in_steps() -> None:
    (restored,) = places(drawn({"restored": CURVE}))

    assert [x for x, _ in restored] == [78, 353, 628]


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_point_that_a_log_axis_cannot_show_is_left_out(bad: float) -> None:
    restored, small = places(drawn({"restored": [*CURVE, (300, 0.1)], "small": [*CURVE, (300, bad)]}))

    assert len(restored) == 4
    assert len(small) == 3


def test_without_a_point_there_is_no_chart() -> None:
    assert plot("Training loss", "loss", {"restored": []}) is None


@pytest.mark.parametrize("top", [1e-6, 0.0101, 0.03, 0.5, 4000.0])
@pytest.mark.parametrize("steps", [1, 7, 120, 300000])
def test_both_axes_carry_a_readable_number_of_ticks_inside_the_chart(top: float, steps: int) -> None:
    chart = drawn({"restored": [(1, top), (steps, 0.01)]})

    assert 3 <= len(chart.y_ticks) <= 7
    assert all(12 <= y <= 262 for y, _ in chart.y_ticks)
    assert 1 <= len(chart.x_ticks) <= 7
    assert all(64 <= x <= 628 for x, _ in chart.x_ticks)


@pytest.mark.parametrize("is_log", [True, False])
def test_a_value_that_never_changes_has_one_tick_of_its_own(is_log: bool) -> None:
    chart = drawn({"rate": [(1, 1e-4), (100, 1e-4)]}, is_log=is_log)

    assert [text for _, text in chart.y_ticks] == ["1e-4"]
    assert {f"{y:.1f}" for _, y in places(chart)[0]} == {f"{chart.y_ticks[0][0]:.1f}"}


def test_values_that_hardly_differ_have_ticks_of_few_digits_that_all_differ() -> None:
    chart = drawn({"restored": [(1, 20.04861), (2, 20.04889)]}, is_log=False)

    texts = [text for _, text in chart.y_ticks]
    assert len(set(texts)) == len(texts) >= 3 and max(map(len, texts)) <= 6


def test_a_single_step_has_one_tick() -> None:
    assert [text for _, text in drawn({"restored": [(60, 0.1)]}).x_ticks] == ["60"]


def test_the_tick_of_a_single_value_has_few_digits() -> None:
    assert [text for _, text in drawn({"restored": [(60, 0.012501723)]}).y_ticks] == ["0.0125"]


def test_a_running_mean_is_that_of_the_values_around_each_step() -> None:
    points = [(step, float(step * step)) for step in range(5)]

    assert smoothed(points, 1) == points
    assert [value for _, value in smoothed(points, 3)] == [0.5, 5 / 3, 14 / 3, 29 / 3, 12.5]


def test_a_long_noisy_curve_is_smoothed_with_the_values_behind_it_and_a_short_one_is_not() -> None:
    def chart(count: int) -> Plot:
        noisy = [(step, 2.0 + (-1) ** step) for step in range(count)]
        made = plot("Loss", "loss", {"restored": noisy}, is_smoothed=True)
        assert made is not None
        return made

    long, short = chart(300), chart(20)
    raw = [float(point.partition(",")[2]) for point in long.curves[0].raw.split()]
    ((*smooth,),) = ([y for _, y in curve] for curve in places(long))
    assert long.smoothed_over == 21
    assert max(smooth) - min(smooth) < 0.2 * (max(raw) - min(raw))
    assert (short.smoothed_over, short.curves[0].raw) == (1, "")
