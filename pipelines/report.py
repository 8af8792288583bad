"""The demo's report: one HTML page, and one picture for a read-me.

Legend: H, W a photograph's height and width; h, w those on the page.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from pipelines.pages import plots
from pipelines.pages.panels import Panel, map_panel, photo_panel
from pipelines.pages.pictures import shrink, small_map
from pipelines.pages.sheet import draw
from pipelines.pages.templates import templates
from prep.arrays import Bytes, Codes

Point: TypeAlias = tuple[int, float, float, float]  # step; losses: restored, small branch, large branch

_WIPE_WIDTH, _PANEL_WIDTH = 800, 480  # pixels
_LINES = ("restored", "small branch", "large branch")


@dataclass(frozen=True, kw_only=True)
class Example:
    """One photograph never trained on, with all that the network made of it."""

    key: str
    blurry: Bytes  # (H, W, 3), as are small, large, restored and sharp
    codes: Codes  # (H, W), S as stored
    mask: Bytes  # (H, W), 0 or 1
    small: Bytes
    large: Bytes
    restored: Bytes
    sharp: Bytes
    psnr_blurry: float  # dB
    psnr_restored: float  # dB


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the demo came to."""

    psnr_blurry: float  # dB, mean over the frames
    psnr_restored: float
    ssim_blurry: float
    ssim_restored: float
    frames: int  # scored, none of them trained on
    device: str
    preset: str
    parameters: int
    steps: int
    seconds: float  # of training
    protocol: str  # how the figures were measured, in one line

    @property
    def duration(self) -> str:
        """The training time as people say it."""
        whole = round(self.seconds)
        for unit, name, part, rest in ((3600, "h", 60, "min"), (60, "min", 1, "s")):
            if whole >= unit:
                return f"{whole // unit} {name} {whole % unit // part} {rest}"
        return f"{whole} s"


@dataclass(frozen=True, kw_only=True)
class _Row:
    key: str
    psnr_blurry: float
    psnr_restored: float
    before: Panel
    after: Panel
    panels: Sequence[Panel]


def render(examples: Sequence[Example], curve: Sequence[Point], summary: Summary) -> str:
    """Draw the report.

    Args:
        examples: In the order of the page.
        curve: Training losses in the order of their steps; a point that a log axis cannot show is left out.
        summary: Of all frames scored, not only the examples.

    Returns:
        A whole HTML document that needs no other file and no network.
    """
    page = templates(Path(__file__).parent).get_template("report.html.j2")
    return page.render(
        summary=summary,
        rows=[_row(example) for example in examples],
        plot=_plot([point for point in curve if all(math.isfinite(loss) and loss > 0 for loss in point[1:])]),
    )


def _row(example: Example) -> _Row:
    before = photo_panel("blurry", f"{example.key}, blurry", example.blurry, _WIPE_WIDTH)
    after = photo_panel("restored", f"{example.key}, restored", example.restored, _WIPE_WIDTH)
    return _Row(
        key=example.key,
        psnr_blurry=example.psnr_blurry,
        psnr_restored=example.psnr_restored,
        before=before,
        after=after,
        panels=_panels(example),
    )


def _panels(example: Example) -> list[Panel]:
    def photo(name: str, image: Bytes) -> Panel:
        return photo_panel(name, f"{example.key}, {name}", image, _PANEL_WIDTH)

    sharpness = small_map(example.codes, _PANEL_WIDTH)
    mask = shrink(example.mask * np.uint8(255), _PANEL_WIDTH)
    return [
        photo("blurry", example.blurry),
        map_panel("S", f"{example.key}, sharpness map", sharpness),
        map_panel("M", f"{example.key}, mask: {example.mask.mean():.1%} marked", mask),
        photo("small branch", example.small),
        photo("large branch", example.large),
        photo("restored", example.restored),
        photo("sharp", example.sharp),
    ]


def _plot(curve: Sequence[Point]) -> plots.Plot | None:
    curves = {name: [(point[0], point[place]) for point in curve] for place, name in enumerate(_LINES, 1)}
    return plots.plot("Training loss", "loss", curves, is_log=True)


def picture(examples: Sequence[Example]) -> Bytes:
    """Draw a sheet for a read-me: a row an example; columns blurry, S, M, restored and sharp, named.

    Args:
        examples: At least one; of any sizes.

    Returns:
        ``(h, 1896, 3)`` uint8 RGB.

    Raises:
        ValueError: If there is no example.
    """
    if not examples:
        raise ValueError("a picture of no example has nothing to show; pass at least one")
    names = ("blurry", "S: yellow is sharp", "M: white is blurred little", "restored", "sharp")
    return draw(names, [_sheet_row(example) for example in examples])


def _sheet_row(example: Example) -> tuple[list[Bytes | Codes], list[str]]:
    pictures: list[Bytes | Codes] = [
        example.blurry,
        example.codes,
        example.mask * np.uint8(255),
        example.restored,
        example.sharp,
    ]
    return pictures, [f"{example.psnr_blurry:.2f} dB", "", "", f"{example.psnr_restored:.2f} dB", ""]
