"""A run folder -> ``run.html``: curves, what happened, and the frames of the last validation, in one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.pages import page_file, plots
from pipelines.pages.panels import MAP_TITLES, Panel, map_panel, photo_panel
from pipelines.pages.pictures import shrink
from pipelines.pages.templates import templates
from pipelines.train import run_folder
from pipelines.train.validation import KINDS, read_pictures
from prep.arrays import Bytes

NAME = "run.html"
_WIPE_WIDTH, _PANEL_WIDTH = 800, 480  # pixels
_TITLES = {"small": "small branch", "large": "large branch", "mask": "M", **MAP_TITLES}


@dataclass(frozen=True, kw_only=True)
class _Example:
    """A frame of the last validation."""

    key: str
    psnr_blurry: float
    psnr_restored: float
    before: Panel
    after: Panel
    panels: Sequence[Panel]


def write(folder: Path) -> Path:
    """Write the page of a run from the files in its folder; an earlier one is replaced.

    Raises:
        ForeignFile: If a person's own file has its name.
        TrainingError: If the folder holds no run, or its files are damaged.
    """
    settings, rows = run_folder.read_request(folder), run_folder.read_log(folder)
    page = templates(Path(__file__).parent).get_template("run.html.j2")
    text = page.render(
        name=folder.resolve().name,
        step=max((row["step"] for row in rows), default=0),
        scores=[row for row in rows if "val_psnr" in row],
        charts=_charts(rows),
        events=[line for row in rows if (line := _event(row))],
        facts={name: value for name, value in settings.items() if name != "network"},
        rows=[_example(key, pictures, scores) for key, pictures, scores in read_pictures(folder)],
    )
    path = folder / NAME
    page_file.write(path, text)
    return path


def _charts(rows: Sequence[Mapping[str, Any]]) -> list[plots.Plot]:
    def points(name: str) -> list[tuple[int, float]]:
        return [(row["step"], row[name]) for row in rows if name in row]

    losses = {"restored": "loss_restored", "small branch": "loss_small", "large branch": "loss_large"}
    shares = {"small branch": "share_small", "large branch": "share_large"}
    scores = {"restored": "val_psnr", "blurry": "val_psnr_blurry"}
    charts = (
        plots.plot("Validation", "PSNR, dB", {name: points(column) for name, column in scores.items()}),
        plots.plot("Training loss", "loss", {name: points(column) for name, column in losses.items()}, is_log=True),
        plots.plot("Weighted share of the loss", "share", {name: points(column) for name, column in shares.items()}),
        plots.plot("Learning rate", "rate", {"rate": points("learning_rate")}, is_log=True),
        plots.plot("Offsets of the taps", "mean of |offset|, px", {"offset": points("mean_offset")}),
        plots.plot("Speed", "images/s", {"images/s": points("images_per_second")}),
    )
    return [chart for chart in charts if chart]


def _event(row: Mapping[str, Any]) -> str:
    """What a row of the log says happened besides steps and validations; empty of such rows."""
    if "skipped" in row:
        frames = ", ".join(sorted(set(row["skipped"])))
        return f"step {row['step']}: non-finite or exploded loss; the step was skipped, frames {frames}"
    if "went_back_from" in row:
        return f"step {row['went_back_from']}: back to step {row['step']}, learning rate times {row['factor']:g}"
    if "drowned_by" in row:
        return f"step {row['step']}: {drowned_text(row)}"
    return f"step {row['step']}: {row['gave_up']}; the run ended" if "gave_up" in row else ""


def drowned_text(row: Mapping[str, Any]) -> str:
    """That a branch's loss drowns the restoration, and what to do."""
    name = row["drowned_by"]
    share, restored = row[f"share_{name}"], 1 - row["share_small"] - row["share_large"]
    return (
        f"the {name} branch's loss is {share:.0%} of the total, the restored frame's only {restored:.0%}; "
        f"pass a smaller --lambda-{name}, or --component-loss region"
    )


def _example(key: str, pictures: Mapping[str, Bytes], scores: Mapping[str, float]) -> _Example:
    def panel(name: str, width: int) -> Panel:
        title, image = _TITLES.get(name, name), pictures[name]
        if image.ndim == 2:
            return map_panel(title, f"{key}, {title}", shrink(image, width))
        return photo_panel(title, f"{key}, {title}", np.ascontiguousarray(image), width)

    return _Example(
        key=key,
        psnr_blurry=scores["psnr_blurry"],
        psnr_restored=scores["psnr_restored"],
        before=panel("blurry", _WIPE_WIDTH),
        after=panel("restored", _WIPE_WIDTH),
        panels=[panel(name, _PANEL_WIDTH) for name in KINDS if name in pictures],
    )
