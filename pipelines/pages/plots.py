"""Plots of curves over training steps, in units of the SVG view that ``plot.html.j2`` draws."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 628, 12, 262  # the axes, in units of the 640 x 322 view
_TEXT_HEIGHT = 22  # in the same units; height of the larger text in a narrow window
_FEWEST_TICKS, _MOST_TICKS, _MOST_STEP_TICKS = 3, 7, 6
_MOST_POINTS = 1000  # about the most points of a curve; more would not be visible
_LEAST_SPARE = 5e-4  # smallest margin at both ends of an axis, as a share of the largest value
_SMOOTHED_PART = 15  # a running mean covers about one fifteenth of the values

Points = Sequence[tuple[int, float]]  # step, value


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve, with its coordinates."""

    name: str
    points: str  # points of an SVG polyline
    raw: str  # points of the polyline before smoothing; empty if nothing is smoothed
    dot: tuple[float, float] | None  # x, y of the only point; None if there are several
    last: str  # last value, as text


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One chart; ticks are (position, text)."""

    title: str
    unit: str
    about: str  # explanation of the chart in a sentence or two
    smoothed_over: int  # number of values in the running mean; 1 if nothing is smoothed
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    curves: Sequence[Curve]


def plot(
    title: str,
    unit: str,
    curves: Mapping[str, Points],
    *,
    is_log: bool = False,
    is_smoothed: bool = False,
    places: int | None = None,
    about: str = "",
) -> Plot | None:
    """Place curves on common axes; return None if no point can be shown.

    Args:
        title: Title of the chart.
        unit: Unit of the values.
        curves: Points by the name of the curve, in the order of their steps.
        is_log: Use a log axis and leave out values of 0 and below.
        is_smoothed: Draw a running mean over the values. Curves of fewer than 30 points are too short for it.
        places: Decimals of the last value in the legend; None for four significant digits.
        about: Explanation of the chart for the reader.
    """
    shown = {name: [point for point in points if _can_show(point[1], is_log)] for name, points in curves.items()}
    shown = {name: points for name, points in shown.items() if points}
    if not shown:
        return None
    over = _smoothing(max(map(len, shown.values()))) if is_smoothed else 1
    steps = [step for points in shown.values() for step, _ in points]
    values = [value for points in shown.values() for _, value in points]
    first, last = min(steps), max(steps)
    if first == last:
        first, last = max(0, first - 1), last + 1
    low, high = _range(values, is_log)

    def x_of(step: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (step - first) / (last - first)

    def y_of(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * ((math.log10(value) if is_log else value) - low) / (high - low)

    def curve(name: str, points: Points) -> Curve:
        smooth = smoothed(points, over)
        return Curve(
            name=name,
            dot=(x_of(points[0][0]), y_of(points[0][1])) if len(points) == 1 else None,
            points=_polyline(smooth, x_of, y_of),
            raw=_polyline(points, x_of, y_of) if over > 1 else "",
            last=f"{smooth[-1][1]:.4g}" if places is None else f"{smooth[-1][1]:.{places}f}",
        )

    return Plot(
        title=title,
        unit=unit + (", log scale" if is_log else ""),
        about=about,
        smoothed_over=over,
        x_ticks=[(x_of(step), f"{step:,}") for step in _step_ticks(steps)],
        y_ticks=_without_overlap([(y_of(value), _tick_text(value)) for value in _value_ticks(values, is_log)]),
        curves=[curve(name, points) for name, points in shown.items()],
    )


def smoothed(points: Points, over: int) -> Points:
    """Return the centred running mean of the values; near the ends it covers fewer values.

    Args:
        points: At least one point.
        over: Number of values in a mean, odd.
    """
    half = over // 2
    values = [value for _, value in points]
    return [
        (step, statistics.fmean(values[max(0, place - half) : place + half + 1]))
        for place, (step, _) in enumerate(points)
    ]


def _smoothing(count: int) -> int:
    """Return the number of values in a running mean of ``count`` values: odd, and 1 for no smoothing."""
    return 2 * (count // (2 * _SMOOTHED_PART)) + 1


def _polyline(points: Points, x_of: Callable[[float], float], y_of: Callable[[float], float]) -> str:
    return " ".join(f"{x_of(step):.1f},{y_of(value):.1f}" for step, value in _thin(points))


def _without_overlap(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the ticks whose text does not overlap that of the tick before."""
    kept: list[tuple[float, str]] = []
    for place, text in ticks:
        if not kept or abs(place - kept[-1][0]) >= _TEXT_HEIGHT:
            kept.append((place, text))
    return kept


def _tick_text(value: float) -> str:
    """Format a value briefly for an axis: ``12``, ``98k``, ``3e-4``."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")


def _can_show(value: float, is_log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not is_log)


def _thin(points: Points) -> Points:
    stride = -(-len(points) // _MOST_POINTS)
    return [*points[:-1:stride], points[-1]]


def _range(values: Sequence[float], is_log: bool) -> tuple[float, float]:
    """Return the ends of the y axis, a little beyond the values; for a log axis their logarithms to base 10."""
    if is_log:
        return math.log10(min(values) / 1.1), math.log10(max(values) * 1.1)
    return even_range(values)


def even_range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis: a little beyond the values, and far enough apart that ticks have few digits."""
    largest = max(map(abs, values))
    if min(values) == max(values):
        spare = 0.5 * largest or 1.0
    else:
        spare = max(0.08 * (max(values) - min(values)), _LEAST_SPARE * largest)
    return min(values) - spare, max(values) + spare


def _value_ticks(values: Sequence[float], is_log: bool) -> list[float]:
    """Return round values for the ticks of the y axis; a single value is rounded to three significant digits."""
    if len(set(values)) == 1:
        return [float(f"{values[0]:.3g}")]
    low, high = _range(values, is_log)
    return _log_ticks(10**low, 10**high) if is_log else even_ticks(low, high)


def _step_ticks(steps: Sequence[int]) -> list[int]:
    """Return at most six multiples of 1, 2 or 5 times a power of ten between the first and the last step.

    A single step is returned as it is.
    """
    first, last = min(steps), max(steps)
    if first == last:
        return [first]
    spacing = next(
        size
        for power in range(len(str(last)) + 1)
        for size in (10**power, 2 * 10**power, 5 * 10**power)
        if (last - first) / size <= _MOST_STEP_TICKS - 1
    )
    return list(range(-(-first // spacing) * spacing, last + 1, spacing))


def even_ticks(low: float, high: float) -> list[float]:
    """Return three to seven multiples of 1, 2 or 5 times a power of ten between two values."""
    power = math.floor(math.log10(high - low)) - 1
    sizes = [digit * 10.0 ** (power + more) for more in range(3) for digit in (1, 2, 5)]
    spacing = next(size for size in sizes if (high - low) / size <= _MOST_TICKS - 1)
    places = range(math.ceil(low / spacing), math.floor(high / spacing) + 1)
    return [round(place * spacing, max(0, -power)) for place in places]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return round values between two values: three to seven, if some choice of digits yields that many."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), tuple(range(10, 100))):
        ticks = [tick for power in powers for digit in digits if low <= (tick := digit * 10.0**power) <= high]
        if len(ticks) >= _FEWEST_TICKS:
            break
    return ticks[:: math.ceil(len(ticks) / _MOST_TICKS)]
