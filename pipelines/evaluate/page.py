"""A scores folder -> ``report.html``: every score in a table that sorts, and chosen frames in pictures, in one file.

Legend: H, W a frame's height and width.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cdgnet import to_bytes
from pipelines.evaluate.frame_sources import Scene, Scenes
from pipelines.evaluate.scores import LEGEND, MEASURES, Row, columns
from pipelines.packs import to_range
from pipelines.pages import plots
from pipelines.pages.panels import Panel, map_panel, photo_panel
from pipelines.pages.pictures import shrink, small_map
from pipelines.pages.templates import templates
from pipelines.paper import TABLE_1
from pipelines.restore.restorer import Restorer
from prep.arrays import Bytes
from prep.io import files

NAME = "report.html"
_EACH = 3  # frames of each choice
_WIPE_WIDTH, _PANEL_WIDTH, _CROP, _ZOOM = 960, 480, 160, 3  # pixels; times
_INNER = 768  # pixels of a frame's middle whose maps are shown, at most
ERROR_TOP = 64  # levels of 255 that the map's last colour stands for


@dataclass(frozen=True, kw_only=True)
class Example:
    """One frame in pictures."""

    key: str
    reasons: str  # why it was chosen
    psnr_blurry: float | None  # dB
    psnr: float  # dB
    wipes: Sequence["Wipe"]
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Wipe:
    """Two pictures over each other."""

    key: str
    before: Panel
    after: Panel


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One frame in the scatter, in units of its 640 x 300 view."""

    key: str
    x: float
    y: float
    said: str


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Gain against the share of the mask; ticks are (place, text)."""

    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    zero: float | None  # where no gain lies, if in sight
    dots: Sequence[Dot]


def choose(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The frames worth a look, by key, each with why: lowest and highest score, smallest and largest gain."""
    chosen: dict[str, list[str]] = {}
    orders = {"lowest PSNR": lambda row: row["psnr"], "highest PSNR": lambda row: -row["psnr"]}
    if "psnr_blurry" in rows[0]:
        orders["smallest gain"], orders["largest gain"] = _gain, lambda row: -_gain(row)
    for reason, order in orders.items():
        for place, row in enumerate(sorted(rows, key=order)[:_EACH]):
            chosen.setdefault(row["key"], []).append(("", "second ", "third ")[place] + reason)
    return chosen


def _gain(row: Row) -> float:
    gain = float(row["psnr"]) - float(row["psnr_blurry"])
    return 0.0 if math.isnan(gain) else gain  # equal pictures before and after


def examples(scenes: Scenes, rows: Sequence[Row], restorer: Restorer | None) -> tuple[Iterator[Example], int]:
    """Restore the chosen frames again and draw them; gives them as they come, and their number."""
    chosen, held = choose(rows), {str(row["key"]): row for row in rows}
    places = {key: number for number, key in enumerate(scenes.keys)}

    def drawn() -> Iterator[Example]:
        for key, reasons in chosen.items():
            yield _example(scenes[places[key]], held[key], reasons, restorer)

    return drawn(), len(chosen)


def _example(scene: Scene, row: Row, reasons: Sequence[str], restorer: Restorer | None) -> Example:
    restored = scene.restored
    if restorer is not None and scene.blurry is not None:
        restored = to_bytes(restorer(to_range(scene.blurry[None])))[0].cpu()
    assert restored is not None
    key, sharp, after = scene.key, _image(scene.sharp), _image(restored)
    before, name = (sharp, "sharp") if scene.blurry is None else (_image(scene.blurry), "blurry")
    wipes = [Wipe(key=key, before=_photo(key, name, before), after=_photo(key, "restored", after))]
    panels = []
    if scene.blurry is not None:
        part = _part(before, after, sharp)
        crops = {name: _enlarged(image[part]) for name, image in (("blurry", before), ("restored", after))}
        wipes.append(
            Wipe(
                key=f"{key}, enlarged",
                before=photo_panel("blurry", f"{key}, part, blurry", crops["blurry"], _CROP * _ZOOM),
                after=photo_panel("restored", f"{key}, part, restored", crops["restored"], _CROP * _ZOOM),
            )
        )
        panels.append(photo_panel("the same part, sharp", f"{key}, part, sharp", _enlarged(sharp[part]), 480))
        panels.append(_error("error before", key, before, sharp))
    panels.append(_error("error after", key, after, sharp))
    if scene.mask is not None:
        mask = shrink(np.ascontiguousarray(scene.mask[0].numpy() * np.uint8(255)), _PANEL_WIDTH)
        panels.append(map_panel("M: white is blurred little", f"{key}, M", mask))
    if restorer is not None and scene.blurry is not None:
        panels.extend(_insides(key, scene.blurry, restorer))
    return Example(
        key=key,
        reasons="; ".join(reasons),
        psnr_blurry=row.get("psnr_blurry"),
        psnr=row["psnr"],
        wipes=wipes,
        panels=panels,
    )


def _image(picture: Tensor) -> Bytes:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def _photo(key: str, name: str, image: Bytes) -> Panel:
    return photo_panel(name, f"{key}, {name}", image, _WIPE_WIDTH)


def _error(name: str, key: str, image: Bytes, sharp: Bytes) -> Panel:
    """The mean of the channels' absolute errors, in colours of which the last is ``ERROR_TOP`` levels and more."""
    error = np.abs(image.astype(np.int16) - sharp).mean(axis=2)
    codes = np.rint(error.clip(0, ERROR_TOP) * (65535 / ERROR_TOP)).astype(np.uint16)
    return map_panel(name, f"{key}, {name}", small_map(codes, _PANEL_WIDTH))


def _part(before: Bytes, after: Bytes, sharp: Bytes) -> tuple[slice, slice]:
    """The square in which the restored frame differs most from the blurry one, for better or worse."""
    changes = [np.square(image.astype(np.float64) - sharp).sum(axis=2) for image in (before, after)]
    change = changes[0] - changes[1]
    sides = [min(_CROP, side) for side in change.shape]
    sums = np.pad(change.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    tall, wide = sides
    inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    top, left = np.unravel_index(np.abs(inside).argmax(), inside.shape)
    return slice(int(top), int(top) + tall), slice(int(left), int(left) + wide)


def _enlarged(image: Bytes) -> Bytes:
    """Each pixel as a square of ``_ZOOM``, so that no interpolation flatters."""
    return np.ascontiguousarray(image.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1))


@torch.no_grad()
def _insides(key: str, blurry: Tensor, restorer: Restorer) -> Iterator[Panel]:
    """What both branches make of the middle of a frame, and where they look (Figure 13)."""
    height, width = blurry.shape[-2:]
    top, left = (max(0, (side - _INNER) // 2) for side in (height, width))
    middle = to_range(blurry[None, :, top : top + _INNER, left : left + _INNER])
    if min(middle.shape[-2:]) < 16:
        return
    with restorer.fabric.autocast():
        components = restorer.network(restorer.fabric.to_device(middle))
    for name in ("small", "large"):
        if (image := getattr(components, name)) is not None:
            picture = _image(to_bytes(image)[0].cpu())
            yield photo_panel(f"{name} branch, middle", f"{key}, {name} branch", picture, _PANEL_WIDTH)
        if (spatial := getattr(components, f"{name}_attention")) is not None:
            codes = (spatial[0, 0].float().cpu().numpy() * 65535).round().astype(np.uint16)
            shown = small_map(codes, _PANEL_WIDTH)
            yield map_panel(f"{name} attention, middle", f"{key}, {name} attention", shown)


def scatter(rows: Sequence[Row]) -> Scatter | None:
    """Place each frame by the share of M = 1 and its gain; None where there is no gain to show."""
    shown = [row for row in rows if "mask_share" in row and "psnr_blurry" in row and math.isfinite(_gain(row))]
    if not shown:
        return None
    left, right, top, bottom = 60.0, 628.0, 10.0, 252.0
    gains = [_gain(row) for row in shown]
    low, high = plots.even_range([0.0, *gains])
    widest = max(float(row["mask_share"]) for row in shown)
    start, end = plots.even_range([0.0, widest or 1.0])

    def x_of(share: float) -> float:
        return left + (right - left) * (share - start) / (end - start)

    def y_of(gain: float) -> float:
        return bottom - (bottom - top) * (gain - low) / (high - low)

    return Scatter(
        x_ticks=[(x_of(value), f"{100 * value:g} %") for value in plots.even_ticks(start, end) if 0 <= value <= 1],
        y_ticks=[(y_of(value), f"{value:+g}") for value in plots.even_ticks(low, high)],
        zero=y_of(0.0),
        dots=[
            Dot(
                key=str(row["key"]),
                x=x_of(float(row["mask_share"])),
                y=y_of(gain),
                said=f"{row['key']}: {gain:+.2f} dB, {100 * float(row['mask_share']):.1f} %",
            )
            for row, gain in zip(shown, gains, strict=True)
        ],
    )


def write(folder: Path, rows: Sequence[Row], summary: Mapping[str, Any], shown: Sequence[Example]) -> Path:
    """Write the page of a scores folder; an earlier one is replaced.

    Args:
        folder: Of the scores.
        rows: All of them.
        summary: What ``evaluation.summary`` gave.
        shown: Frames in pictures.
    """
    names = columns(rows[0])
    gains = ["gain"] if "psnr_blurry" in names else []
    heads = ["key", *names, *gains, *(["mask_share"] if "mask_share" in rows[0] else [])]
    page = templates(Path(__file__).parent).get_template("scores.html.j2")
    text = page.render(
        folder=folder.resolve().name,
        summary=summary,
        measures=[measure for measure in MEASURES if measure in summary["mean"]],
        legend=LEGEND,
        heads=heads,
        rows=[_cells(row, heads) for row in rows],
        scatter=scatter(rows),
        examples=shown,
        table_1=TABLE_1,
        error_top=ERROR_TOP,
        number=number,
    )
    path = folder / NAME
    files.write_text(path, text)
    return path


def _cells(row: Row, heads: Sequence[str]) -> list[tuple[str, str]]:
    """Of each column the text, and what it is sorted by; empty where there is no score."""
    cells = []
    for head in heads:
        value = row["key"] if head == "key" else _gain(row) if head == "gain" else float(row[head])
        if isinstance(value, str):
            cells.append((value, value))
        else:
            cells.append((number(value, head), "" if math.isnan(value) else repr(value)))
    return cells


def number(value: float | None, name: str) -> str:
    """A score as it is written: dB to two places, others to four."""
    if value is None or math.isnan(value):
        return "–"  # noqa: RUF001
    if name == "mask_share":
        return f"{100 * value:.1f} %"
    if math.isinf(value):
        return "∞"
    return f"{value:+.2f}" if name == "gain" else f"{value:.2f}" if name.startswith("psnr") else f"{value:.4f}"
