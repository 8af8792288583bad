"""The frames that the page of several candidates shows: where they differ most, each one's result beside the others.

Legend: H, W a frame's height and width.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipelines.evaluate.examples import Wipe
from pipelines.evaluate.frame_sources import EvaluationFrame
from pipelines.evaluate.measures import FrameScores, first_measure, merit
from pipelines.evaluate.no_reference import is_lower_better
from pipelines.pages.panels import Panel, photo_panel
from pipelines.pages.pictures import greatest_square
from prep.arrays import Bytes

_PART_SIDE, _ZOOM, _WHOLE_WIDTH = 160, 3, 960  # pixels; times; pixels
_ORDINALS = ("", "second ", "third ")

RowsByName = Mapping[str, FrameScores]
"""The rows of one frame, by the candidates' names."""


@dataclass(frozen=True, kw_only=True)
class Lineup:
    """One frame and what each candidate made of it, on the CPU."""

    key: str
    blurry: Tensor | None  # (3, H, W) uint8
    sharp: Tensor | None  # the same
    restored: Mapping[str, Tensor]  # the same, by name


@dataclass(frozen=True, kw_only=True)
class DrawnLineup:
    """The same in pictures."""

    key: str
    reasons: str  # why it was chosen
    wipe: Wipe  # the whole frame, between the worst and the best candidate's
    parts: Sequence[Panel]  # the square where candidates differ most, enlarged: blurry, of each, sharp


def choose(rows_of: Mapping[str, RowsByName]) -> dict[str, list[str]]:
    """The frames worth a look, by key, each with why.

    Args:
        rows_of: By key.
    """

    def known(rows: RowsByName) -> list[float]:
        return [value for row in rows.values() if not math.isnan(value := merit(row))]

    def spread(rows: RowsByName) -> float:
        merits = known(rows)
        return max(merits) - min(merits) if merits else 0.0

    def best(rows: RowsByName) -> float:
        return max(known(rows), default=math.inf)

    orders: dict[str, tuple[Callable[[RowsByName], float], int]] = {
        "largest difference": (lambda rows: -spread(rows), 3),
        f"{_worst_of_best(rows_of)} of the best": (best, 2),
        "smallest difference": (spread, 1),
    }
    reasons: dict[str, list[str]] = {}
    for reason, (order, count) in orders.items():
        for place, key in enumerate(sorted(rows_of, key=lambda key: order(rows_of[key]))[:count]):
            reasons.setdefault(key, []).append(_ORDINALS[place] + reason)
    return reasons


def _worst_of_best(rows_of: Mapping[str, RowsByName]) -> str:
    measure = first_measure(next(row for rows in rows_of.values() for row in rows.values()))
    name = "PSNR" if measure == "psnr" else measure
    return f"{'highest' if is_lower_better(measure) else 'lowest'} {name}"


class Gallery:
    """The frames that may be shown, chosen anew with each that is scored: nothing is restored twice."""

    def __init__(self) -> None:
        self._rows_of: dict[str, RowsByName] = {}
        self.lineups: dict[str, Lineup] = {}

    def offer(self, frame: EvaluationFrame, rows: RowsByName, restored: Mapping[str, Tensor]) -> None:
        """Take a frame if it would be shown by now; forget those that no longer would be."""
        self._rows_of[frame.key] = rows
        chosen = choose(self._rows_of)
        if frame.key in chosen:
            self.lineups[frame.key] = lineup_of(frame, restored)
        self._rows_of = {key: each for key, each in self._rows_of.items() if key in chosen}
        self.lineups = {key: each for key, each in self.lineups.items() if key in chosen}


def lineup_of(frame: EvaluationFrame, restored: Mapping[str, Tensor]) -> Lineup:
    """Keep of a frame what is drawn of it."""
    pictures = {name: picture.cpu() for name, picture in restored.items()}
    return Lineup(key=frame.key, blurry=frame.blurry, sharp=frame.sharp, restored=pictures)


def draw(lineup: Lineup, rows: RowsByName, reasons: Sequence[str]) -> DrawnLineup:
    """One frame in pictures."""
    sharp = None if lineup.sharp is None else _image(lineup.sharp)
    images = {name: _image(picture) for name, picture in lineup.restored.items()}
    order = sorted(images, key=lambda name: merit(rows[name]))
    part = most_different_part(list(images.values()), sharp)
    shown = {f"{name}, {_score(rows[name])}": image for name, image in images.items()}
    if lineup.blurry is not None:
        shown = {"blurry": _image(lineup.blurry), **shown}
    if sharp is not None:
        shown["sharp"] = sharp
    return DrawnLineup(
        key=lineup.key,
        reasons="; ".join(reasons),
        wipe=Wipe(
            key=lineup.key,
            before=_photo(lineup.key, order[0], images[order[0]], _WHOLE_WIDTH),
            after=_photo(lineup.key, order[-1], images[order[-1]], _WHOLE_WIDTH),
        ),
        parts=[_photo(f"{lineup.key}, part", *each, _PART_SIDE * _ZOOM) for each in _enlarged(shown, part)],
    )


def _score(row: FrameScores) -> str:
    measure = first_measure(row)
    return f"{row[measure]:.2f} dB" if measure == "psnr" else f"{measure} {row[measure]:.2f}"


def most_different_part(images: Sequence[Bytes], sharp: Bytes | None) -> tuple[slice, slice]:
    """Rows and columns of the square in which the pictures' squared errors differ most; the pictures without truth."""
    if sharp is None:
        spread = np.max(images, axis=0).astype(np.float64) - np.min(images, axis=0)
        return greatest_square(np.square(spread).sum(axis=2), _PART_SIDE)
    errors = [np.square(image.astype(np.float64) - sharp).sum(axis=2) for image in images]
    return greatest_square(np.max(errors, axis=0) - np.min(errors, axis=0), _PART_SIDE)


def _enlarged(images: Mapping[str, Bytes], part: tuple[slice, slice]) -> Iterator[tuple[str, Bytes]]:
    """A part of each picture, each pixel as a square: interpolation would flatter the result."""
    for name, image in images.items():
        yield name, np.ascontiguousarray(image[part].repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1))


def _photo(place: str, name: str, image: Bytes, width: int) -> Panel:
    return photo_panel(name, f"{place}, {name}", image, width)


def _image(picture: Tensor) -> Bytes:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())  # (H, W, 3)
