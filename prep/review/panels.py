"""Frames -> one HTML page that needs no other file and no network."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prep import masks
from prep.arrays import Bytes, Codes
from prep.review.pictures import as_jpeg, as_png, colour, fitted, overlay, small_map

Item = TypeVar("Item")
_WIDTH = 480  # pixels of a panel: five fill a wide screen
_BINS = 20  # of the histogram of mask shares


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a page shows of one frame."""

    key: str
    split: str
    blurry: Bytes  # (H, W, 3)
    sharp: Bytes | None  # (H, W, 3)
    codes: Codes  # (H, W), S as stored
    mu: float
    mask_share: float  # share of M = 1, in [0, 1]
    warning: str  # empty when there is nothing to say


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a page says of the whole masks folder."""

    layout: str
    variant: str  # empty where the layout has one kind of blur
    method: str
    mu: float
    shares: Sequence[float]  # share of M = 1 of every frame in the folder, in [0, 1]
    warnings: int  # frames of the folder with a warning

    @property
    def name(self) -> str:
        """Layout and variant, as a person says them."""
        return f"{self.layout} {self.variant}".rstrip()

    @property
    def empty(self) -> int:
        """How many masks mark no pixel."""
        return sum(share == 0 for share in self.shares)

    @property
    def mean(self) -> float:
        """Mean share; 0 when there is no frame."""
        return statistics.fmean(self.shares) if self.shares else 0.0

    @property
    def median(self) -> float:
        """Median share; 0 when there is no frame."""
        return statistics.median(self.shares) if self.shares else 0.0

    def histogram(self) -> list[int]:
        """How many frames have a share in each of 20 equal parts of [0, 1]."""
        counts, _ = np.histogram(self.shares, bins=_BINS, range=(0.0, 1.0))
        return [int(count) for count in counts]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of a page, encoded."""

    name: str
    alt: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class _Row:
    key: str
    split: str
    share: float
    low: float
    high: float
    warning: str
    panels: Sequence[Panel]


def sample(items: Sequence[Item], count: int) -> list[Item]:
    """Take ``count`` items evenly spread, the first and the last among them; all when there are fewer.

    Args:
        items: In the order in which they are to be spread.
        count: How many, at least 1; a single one is the first.

    Raises:
        ValueError: If ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"a sample of {count} is none; pass at least 1")
    if count >= len(items):
        return list(items)
    steps = max(1, count - 1)
    return [items[(2 * place * (len(items) - 1) + steps) // (2 * steps)] for place in range(count)]


def templates(*folders: Path) -> Environment:
    """Page templates in ``folders``, then those of this package; everything put into a page is escaped."""
    own = Path(__file__).parent
    return Environment(
        loader=FileSystemLoader([*folders, own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def photo_panel(name: str, alt: str, image: Bytes, width: int) -> Panel:
    """A photograph as a panel at most ``width`` pixels wide; ``image`` is ``(H, W, 3)`` uint8 RGB."""
    height, shown = fitted(image.shape, width)
    return Panel(name=name, alt=alt, uri=as_jpeg(image, width), width=shown, height=height)


def map_panel(name: str, alt: str, image: Bytes) -> Panel:
    """A map as a panel with its colours exact; ``(h, w)`` or ``(h, w, 3)`` uint8 RGB, already of its size."""
    height, width = image.shape[:2]
    return Panel(name=name, alt=alt, uri=as_png(image), width=width, height=height)


def render(frames: Iterable[Frame], facts: Facts) -> str:
    """Draw the page. Frames are taken one at a time; only their encoded panels are kept.

    Args:
        frames: In the order of the page.
        facts: Of the folder that the frames were chosen from.

    Returns:
        A whole HTML document.
    """
    rows = [_row(frame) for frame in frames]
    columns = max((row.panels for row in rows), key=len, default=())
    return (
        templates()
        .get_template("review.html.j2")
        .render(
            facts=facts,
            rows=rows,
            columns=[panel.name for panel in columns],
            scale=as_png(colour(np.arange(0, masks.LEVELS + 1, 257, dtype=np.uint16)[None])),
        )
    )


def _row(frame: Frame) -> _Row:
    return _Row(
        key=frame.key,
        split=frame.split,
        share=frame.mask_share,
        low=int(frame.codes.min()) / masks.LEVELS,
        high=int(frame.codes.max()) / masks.LEVELS,
        warning=frame.warning,
        panels=_panels(frame),
    )


def _panels(frame: Frame) -> list[Panel]:
    mask = masks.mask_of_codes(frame.codes, frame.mu)
    panels = [
        photo_panel("Blurry", f"{frame.key}, blurry", frame.blurry, _WIDTH),
        map_panel("S", f"{frame.key}, sharpness map", small_map(frame.codes, _WIDTH)),
        photo_panel(
            "M",
            f"{frame.key}, mask over the blurry frame: {frame.mask_share:.1%} marked",
            overlay(frame.blurry, mask, _WIDTH),
            _WIDTH,
        ),
    ]
    if frame.sharp is not None:
        sgt, lgt = masks.component_targets(frame.sharp, mask)
        panels.append(photo_panel("Sgt", f"{frame.key}, sharp where M is 1", sgt, _WIDTH))
        panels.append(photo_panel("Lgt", f"{frame.key}, sharp where M is 0", lgt, _WIDTH))
    return panels
