"""Gain of each frame against its share of small blur (M = 1), placed in the 640 x 284 view of ``scores.html.j2``."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.evaluate.measures import FrameScores, gain
from pipelines.pages import plots

_LEFT, _RIGHT, _TOP, _BOTTOM = 92.0, 628.0, 10.0, 252.0  # ends of the axes, in units of the view


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One frame, with its position in the view."""

    key: str
    x: float
    y: float
    text: str  # the dot's tooltip


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """The plot; ticks are (position, text)."""

    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    zero: float  # y of zero gain
    dots: Sequence[Dot]


def scatter(rows: Sequence[FrameScores]) -> Scatter | None:
    """Place each frame by its share of M = 1 and its gain; None if no frame has both."""
    known = [row for row in rows if "mask_share" in row and "psnr_blurry" in row]
    if not known:
        return None
    gains = [gain(row) for row in known]
    shares = [float(row["mask_share"]) for row in known]
    low, high = plots.even_range([0.0, *gains])
    start, end = plots.even_range([0.0, max(shares) or 1.0])

    def x_of(share: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (share - start) / (end - start)

    def y_of(gain: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (gain - low) / (high - low)

    return Scatter(
        x_ticks=[(x_of(value), f"{100 * value:g} %") for value in plots.even_ticks(start, end) if 0 <= value <= 1],
        y_ticks=[(y_of(value), f"{value:+g}" if value else "0") for value in plots.even_ticks(low, high)],
        zero=y_of(0.0),
        dots=[
            Dot(
                key=str(row["key"]),
                x=x_of(share),
                y=y_of(gain),
                text=f"{row['key']}: {gain:+.2f} dB, {100 * share:.1f} %",
            )
            for row, share, gain in zip(known, shares, gains, strict=True)
        ],
    )
