"""Scores of several trainings a row, as dots on one axis, in units of an SVG view that ``strips.html.j2`` draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.pages import plots

LEFT, RIGHT, TOP, HEIGHT = 190, 620, 8, 24  # the axis's ends, the first row, a row's height, in units of the view


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One row."""

    name: str
    y: float
    dots: Sequence[float]  # places of the values
    mean: float  # its place
    said: str


@dataclass(frozen=True, kw_only=True)
class Strips:
    """One chart; ticks are (place, text)."""

    title: str
    unit: str
    height: int  # of the view
    x_ticks: Sequence[tuple[float, str]]
    strips: Sequence[Strip]


def strips(title: str, unit: str, values: Mapping[str, Sequence[float]]) -> Strips | None:
    """Place the values of each row on a common axis; None where there are none.

    Args:
        title: Of the chart.
        unit: Of the values.
        values: By the row's name, in the order of the rows; those that are no number are left out.
    """
    shown = {name: [value for value in row if value == value] for name, row in values.items()}
    shown = {name: row for name, row in shown.items() if row}
    if not shown:
        return None
    low, high = plots.even_range([value for row in shown.values() for value in row])

    def x_of(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - low) / (high - low)

    return Strips(
        title=title,
        unit=unit,
        height=TOP + HEIGHT * len(shown) + 42,
        x_ticks=[(x_of(value), f"{value:g}") for value in plots.even_ticks(low, high)],
        strips=[
            Strip(
                name=name,
                y=TOP + HEIGHT * (place + 0.5),
                dots=[x_of(value) for value in row],
                mean=x_of(sum(row) / len(row)),
                said=", ".join(f"{value:.2f}" for value in row),
            )
            for place, (name, row) in enumerate(shown.items())
        ],
    )
