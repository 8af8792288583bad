"""A run folder -> ``run.html``: curves, warnings and interruptions, and frames of the last validation, in one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.pages import page_file, plots
from pipelines.pages.panels import MAP_TITLES, Panel, map_panel, photo_panel
from pipelines.pages.pictures import shrink
from pipelines.pages.templates import templates
from pipelines.train import run_folder
from pipelines.train.settings import TrainingConfig
from pipelines.train.validation import KINDS, read_pictures
from prep.arrays import Bytes

NAME = "run.html"
_UNITS = {"PIXELS": "pixels", "EPOCHS": "epochs", "STEPS": "steps", "MINUTES": "minutes", "HOURS": "h"}
_WIPE_WIDTH, _PANEL_WIDTH = 800, 480  # pixels
_TITLES = {"small": "small branch", "large": "large branch", "mask": "mask M: white is small blur", **MAP_TITLES}


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
    """Write the page of a run from the files in its folder; an earlier page is replaced.

    Raises:
        ForeignFile: If a file with its name is not a page of this project.
        TrainingError: If the folder contains no run, or its files are damaged.
    """
    settings, rows = run_folder.read_request(folder), run_folder.read_log(folder)
    scores = [row for row in rows if "val_psnr" in row]
    page = templates(Path(__file__).parent).get_template("run.html.j2")
    text = page.render(
        name=folder.resolve().name,
        step=max((row["step"] for row in rows), default=0),
        scores=scores,
        best=max(scores, key=lambda row: row["val_psnr"], default=None),
        charts=_charts(rows),
        events=[line for row in rows if (line := _event(row))],
        facts=_facts(settings),
        rows=[_example(key, pictures, scores) for key, pictures, scores in read_pictures(folder)],
    )
    path = folder / NAME
    page_file.write(path, text)
    return path


def _charts(rows: Sequence[Mapping[str, Any]]) -> list[plots.Plot]:
    def points(name: str) -> list[tuple[int, float]]:
        return [(row["step"], row[name]) for row in rows if name in row]

    losses = {"restored frame": "loss_restored", "small branch": "loss_small", "large branch": "loss_large"}
    shares = {"small branch": "share_small", "large branch": "share_large"}
    scores = {"restored": "val_psnr", "blurry": "val_psnr_blurry"}
    charts = (
        plots.plot(
            "Validation",
            "PSNR in dB",
            {name: points(column) for name, column in scores.items()},
            places=2,
            about="Mean over the held-out frames, which the network never trains on; higher is better.",
        ),
        plots.plot(
            "Training loss",
            "Loss",
            {name: points(column) for name, column in losses.items()},
            is_log=True,
            is_smoothed=True,
        ),
        plots.plot(
            "Share of each branch in the total loss",
            "Share of the total, from 0 to 1",
            {name: points(column) for name, column in shares.items()},
            is_smoothed=True,
            about="The rest is the loss of the restored frame.",
        ),
        plots.plot("Learning rate", "Learning rate of Adam", {"rate": points("learning_rate")}, is_log=True),
        plots.plot(
            "Sampling offsets",
            "Mean absolute offset in pixels of the feature maps",
            {"offset": points("mean_offset")},
            is_smoothed=True,
            about="How far the deformable convolutions reach beyond their regular grid.",
        ),
        plots.plot("Speed", "Training crops per second", {"crops/s": points("images_per_second")}, is_smoothed=True),
    )
    return [chart for chart in charts if chart]


def _facts(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of the run by option of ``cdg-train``, without the options that have no value."""
    units = {each.name: str(each.metadata.get("unit", "")) for each in fields(TrainingConfig)}
    return {
        "--" + name.replace("_", "-"): _setting_text(value, units[name])
        for name, value in settings.items()
        if name in units and value not in (None, [], ())
    }


def _setting_text(value: Any, unit: str) -> str:
    """Format a setting for readers, with its unit."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, int | float) and unit in _UNITS:
        return f"{value:,g} {_UNITS[unit]}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _event(row: Mapping[str, Any]) -> str:
    """Describe the warning or interruption in a row of the log; empty for rows of steps and validations."""
    if "skipped" in row:
        frames = ", ".join(sorted(set(row["skipped"])))
        return f"step {row['step']:,}: skipped, the loss was not finite or far above the usual; frames: {frames}"
    if "went_back_from" in row:
        back = f"went back to step {row['step']:,}, learning rate multiplied by {row['factor']:g}"
        return f"step {row['went_back_from']:,}: {back}"
    if "drowned_by" in row:
        return f"step {row['step']:,}: {drowned_text(row)}"
    return f"step {row['step']:,}: {row['gave_up']}; the run ended" if "gave_up" in row else ""


def drowned_text(row: Mapping[str, Any]) -> str:
    """Return the warning that a branch's loss outweighs that of the restored frame, and what to do."""
    name = row["drowned_by"]
    share, restored = row[f"share_{name}"], 1 - row["share_small"] - row["share_large"]
    return (
        f"the loss of the {name} branch is {share:.0%} of the total, that of the restored frame only {restored:.0%}; "
        f"lower --lambda-{name}, or use --component-loss region if the loss is another"
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
