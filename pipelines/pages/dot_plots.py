"""Dot plots: rows with scores of several trainings on one axis, in units of the SVG view of ``dot_plot.html.j2``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.pages import plots

# In units of the view: the ends of the axis, the top of the first row, the height of a row (its name above its dots)
# and the height of the axis below the rows.
LEFT, RIGHT, TOP, ROW_HEIGHT, AXIS_HEIGHT = 36, 604, 4, 52, 34
_NAME, _DOTS = 18, 36  # distance from the top of a row to the baseline of its name and to the middle of its dots


@dataclass(frozen=True, kw_only=True)
class DotRow:
    """One row of a plot, with its coordinates."""

    name: str
    name_y: float  # y of the name's baseline
    y: float  # y of the dots
    dots: Sequence[float]  # x of each value
    mean: float  # x of the mean
    text: str  # the values, for a screen reader


@dataclass(frozen=True, kw_only=True)
class DotPlot:
    """One plot; ticks are (x, text)."""

    title: str
    unit: str
    height: int  # height of the view
    x_ticks: Sequence[tuple[float, str]]
    rows: Sequence[DotRow]


def dot_plot(title: str, unit: str, values: Mapping[str, Sequence[float]]) -> DotPlot | None:
    """Place the values of each row on a common axis; return None if there are no values.

    Args:
        title: Title of the plot.
        unit: Unit of the values.
        values: Values by the name of their row, in the order of the rows; NaN is left out.

    Returns:
        The plot. Names are above their dots, because long names beside them would leave the view or cover the axis.
    """
    known = {name: [value for value in row if value == value] for name, row in values.items()}
    known = {name: row for name, row in known.items() if row}
    if not known:
        return None
    low, high = plots.even_range([value for row in known.values() for value in row])

    def x_of(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - low) / (high - low)

    return DotPlot(
        title=title,
        unit=unit,
        height=TOP + ROW_HEIGHT * len(known) + AXIS_HEIGHT,
        x_ticks=[(x_of(value), f"{value:g}") for value in plots.even_ticks(low, high)],
        rows=[
            DotRow(
                name=name,
                name_y=TOP + ROW_HEIGHT * place + _NAME,
                y=TOP + ROW_HEIGHT * place + _DOTS,
                dots=[x_of(value) for value in row],
                mean=x_of(sum(row) / len(row)),
                text=", ".join(f"{value:.2f}" for value in row),
            )
            for place, (name, row) in enumerate(known.items())
        ],
    )
