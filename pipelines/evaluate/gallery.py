"""The example frames of a comparison's page: where candidates differ most, with their results side by side.

Legend: H, W a frame's height and width.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipelines.evaluate.examples import PART_SIDE, Wipe, note_places, part_panel, photo
from pipelines.evaluate.frame_sources import EvaluationFrame
from pipelines.evaluate.measures import FrameScores, first_measure, merit, worst_and_best
from pipelines.packs import to_array
from pipelines.pages.panels import Panel
from pipelines.pages.pictures import greatest_square
from prep.arrays import Bytes

RowsByName = Mapping[str, FrameScores]
"""The rows of one frame, by candidate name."""


@dataclass(frozen=True, kw_only=True)
class Lineup:
    """One frame and each candidate's result, on the CPU."""

    key: str
    blurry: Tensor | None  # (3, H, W) uint8
    sharp: Tensor | None  # the same
    restored: Mapping[str, Tensor]  # the same, by candidate name


@dataclass(frozen=True, kw_only=True)
class DrawnLineup:
    """The pictures of a ``Lineup``."""

    key: str
    reasons: str  # why it was chosen
    wipe: Wipe  # the whole frame, restored by the worst and by the best candidate
    parts: Sequence[Panel]  # the square where candidates differ most, enlarged: blurry, candidates, sharp


def choose(rows_of: Mapping[str, RowsByName]) -> dict[str, list[str]]:
    """Choose the frames to show, by key, each with its reasons.

    Args:
        rows_of: The rows of all frames, by key.
    """

    def known(rows: RowsByName) -> list[float]:
        return [value for row in rows.values() if not math.isnan(value := merit(row))]

    def spread(rows: RowsByName) -> float:
        merits = known(rows)
        return max(merits) - min(merits) if merits else 0.0

    def best(rows: RowsByName) -> float:
        return max(known(rows), default=math.inf)

    worst, _ = worst_and_best(first_measure(next(row for rows in rows_of.values() for row in rows.values())))
    orders: dict[str, tuple[Callable[[RowsByName], float], int]] = {
        "largest difference": (lambda rows: -spread(rows), 3),
        f"{worst} even for the best": (best, 2),
        "smallest difference": (spread, 1),
    }
    reasons: dict[str, list[str]] = {}
    for reason, (order, count) in orders.items():
        note_places(reasons, reason, sorted(rows_of, key=lambda key: order(rows_of[key]))[:count])
    return reasons


class Gallery:
    """The frames that may be shown, updated with each scored frame so that no frame is restored twice."""

    def __init__(self) -> None:
        self._rows_of: dict[str, RowsByName] = {}
        self.lineups: dict[str, Lineup] = {}

    def offer(self, frame: EvaluationFrame, rows: RowsByName, restored: Mapping[str, Tensor]) -> None:
        """Keep a frame if it would be shown now; drop those that no longer would be."""
        self._rows_of[frame.key] = rows
        chosen = choose(self._rows_of)
        if frame.key in chosen:
            self.lineups[frame.key] = lineup_of(frame, restored)
        self._rows_of = {key: each for key, each in self._rows_of.items() if key in chosen}
        self.lineups = {key: each for key, each in self.lineups.items() if key in chosen}


def lineup_of(frame: EvaluationFrame, restored: Mapping[str, Tensor]) -> Lineup:
    """Return the parts of a frame that its pictures are drawn from."""
    pictures = {name: picture.cpu() for name, picture in restored.items()}
    return Lineup(key=frame.key, blurry=frame.blurry, sharp=frame.sharp, restored=pictures)


def draw(lineup: Lineup, rows: RowsByName, reasons: Sequence[str]) -> DrawnLineup:
    """Draw the pictures of one frame."""
    sharp = None if lineup.sharp is None else to_array(lineup.sharp)
    images = {name: to_array(picture) for name, picture in lineup.restored.items()}
    order = sorted(images, key=lambda name: merit(rows[name]))
    part = most_different_part(list(images.values()), sharp)
    shown = {f"{name}, {_score(rows[name])}": image for name, image in images.items()}
    if lineup.blurry is not None:
        shown = {"blurry": to_array(lineup.blurry), **shown}
    if sharp is not None:
        shown["sharp"] = sharp
    return DrawnLineup(
        key=lineup.key,
        reasons="; ".join(reasons),
        wipe=Wipe(
            key=lineup.key,
            before=photo(lineup.key, order[0], images[order[0]]),
            after=photo(lineup.key, order[-1], images[order[-1]]),
        ),
        parts=[part_panel(name, f"{lineup.key}, part, {name}", image[part]) for name, image in shown.items()],
    )


def _score(row: FrameScores) -> str:
    measure = first_measure(row)
    return f"{row[measure]:.2f} dB" if measure == "psnr" else f"{measure} {row[measure]:.2f}"


def most_different_part(images: Sequence[Bytes], sharp: Bytes | None) -> tuple[slice, slice]:
    """Find the square, as rows and columns, in which squared errors, or pictures without a sharp frame, differ most."""
    if sharp is None:
        spread = np.max(images, axis=0).astype(np.float64) - np.min(images, axis=0)
        return greatest_square(np.square(spread).sum(axis=2), PART_SIDE)
    errors = [np.square(image.astype(np.float64) - sharp).sum(axis=2) for image in images]
    return greatest_square(np.max(errors, axis=0) - np.min(errors, axis=0), PART_SIDE)
