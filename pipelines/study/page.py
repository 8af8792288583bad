"""A study's results -> one HTML page: the table with the paper's scores, the seeds, curves, and restored frames."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdgnet.cost import network_cost
from pipelines.evaluate.examples import ZOOM, part_panel
from pipelines.evaluate.frame_sources import PackFrames
from pipelines.evaluate.gallery import most_different_part
from pipelines.evaluate.measures import LEGEND
from pipelines.packs import Frame, WholeFrame, read_frame, to_array
from pipelines.pages import dot_plots, page_file, plots
from pipelines.pages.panels import Panel, photo_panel
from pipelines.pages.templates import templates
from pipelines.sampling import evenly_spaced
from pipelines.study import sentences
from pipelines.study.comparisons import (
    DIVISION,
    MEASURES,
    WHERE,
    TableRow,
    against_controls,
    compare,
    dividing_rows,
    number,
    table_rows,
    with_spread,
)
from pipelines.study.definitions import Study
from pipelines.study.design import StudyRow
from pipelines.study.scoring import PICTURES, Result
from pipelines.train import run_folder, runs
from prep.io import frames, storage
from prep.masks import equations
from prep.packs.reader import read_info

_SIZE = (720, 1280)  # height, width of the frame whose cost is shown
_PANEL_WIDTH = 400  # pixels


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """A row of the table, formatted for the page."""

    row: StudyRow
    figures: Sequence[str]  # mean and standard deviation of each of MEASURES
    parameters: int
    cost: float  # 10^9 multiply-accumulates, including those of deformable kernels
    minutes: float
    seeds: int


@dataclass(frozen=True, kw_only=True)
class _Differences:
    """Differences of each row from the controls, in one measure."""

    where: str
    controls: Sequence[str]
    rows: Sequence[tuple[StudyRow, Sequence[str]]]


@dataclass(frozen=True, kw_only=True)
class _Example:
    """Pictures of a frame: blurry, restored by each row, and sharp."""

    key: str
    parts: Sequence[Panel]  # the square in which the rows differ most, enlarged
    wholes: Sequence[Panel]


def write(name: str, study: Study, results: Sequence[Result], test: Path, device: str, folder: Path) -> Path:
    """Write ``NAME.html`` into the study's folder; an earlier page is replaced.

    Args:
        name: Name of the study.
        study: The study.
        results: Results of its trainings, at least one.
        test: The pack that all were scored on.
        device: Name of the device that they were trained on, for readers.
        folder: The study's folder.

    Raises:
        ForeignFile: If a file with its name is not a page of this project.
    """
    table = table_rows(results)
    page = templates(Path(__file__).parent).get_template("study.html.j2")
    text = page.render(
        title=study.title,
        source=study.source,
        verdict=sentences.verdict(table),
        steps=[sentences.comparison_text(comparison) for comparison in compare(table, study.controls)],
        cells=[_cells(line) for line in table],
        blurry=[number(measure, results[0].means[f"{measure}_blurry"]) for measure in MEASURES],
        has_paper=bool(study.paper),
        has_masks=any(line.row.masks for line in table),
        most_seeds=max(len(line.results) for line in table),
        differences=_differences(table, study.controls),
        division=[(line.row, [with_spread(line, name) for name in DIVISION]) for line in dividing_rows(table)],
        division_heads=DIVISION.values(),
        quoted=study.quoted,
        author=sentences.author_sentences(table),
        charts=_dot_plots(table),
        curves=_curves(table),
        examples=_examples(table, test),
        zoom=ZOOM,
        protocol=PackFrames(test).protocol,
        legend=LEGEND,
        budget=_budget(table, device),
    )
    path = folder / f"{name}.html"
    page_file.write(path, text)
    return path


def _differences(table: Sequence[TableRow], controls: Sequence[str]) -> list[_Differences]:
    found = []
    for measure, where in WHERE.items():
        fixed, lines = against_controls(table, controls, measure)
        rows = [(line.row, list(map(sentences.difference_text, cells))) for line, cells in lines]
        if rows:
            found.append(_Differences(where=where, controls=[line.row.title for line in fixed], rows=rows))
    return found


def _cells(line: TableRow) -> _Cells:
    cost = network_cost(runs.network_of(line.row.config), *_SIZE)["total"]
    return _Cells(
        row=line.row,
        figures=[with_spread(line, measure) for measure in MEASURES],
        parameters=cost.parameters,
        cost=cost.honest / 1e9,
        minutes=line.seconds / 60,
        seeds=len(line.results),
    )


def _budget(table: Sequence[TableRow], device: str) -> str:
    """Describe the budget that all trainings shared, in one line."""
    config = table[0].row.config
    logged = [row for row in run_folder.read_log(table[0].results[0].training.folder) if "loss" in row]
    return (
        f"{logged[-1]['step']:,} steps of {config.batch} random crops of {config.crop} x {config.crop}, preset "
        f"{config.preset}, learning rate {config.learning_rate:g} ({config.schedule}), on {device}"
    )


def _dot_plots(table: Sequence[TableRow]) -> list[dot_plots.DotPlot]:
    charts = [
        dot_plots.dot_plot(
            where[0].upper() + where[1:],
            "PSNR in dB. Dot: one seed; bar: the mean over the seeds",
            {ln.row.title: ln.values(name) for ln in table},
        )
        for name, where in WHERE.items()
    ]
    return [chart for chart in charts if chart]


def _curves(table: Sequence[TableRow]) -> list[plots.Plot]:
    charts = (
        plots.plot("Validation", "PSNR in dB, mean over the seeds", _mean_curves(table, "val_psnr"), places=2),
        plots.plot(
            "Training loss",
            "Loss of the restored frame, mean over the seeds",
            _mean_curves(table, "loss_restored"),
            is_log=True,
            is_smoothed=True,
        ),
    )
    return [chart for chart in charts if chart]


def _mean_curves(table: Sequence[TableRow], column: str) -> Mapping[str, plots.Points]:
    curves = {}
    for line in table:
        values: dict[int, list[float]] = {}
        for result in line.results:
            for row in run_folder.read_log(result.training.folder):
                if column in row:
                    values.setdefault(row["step"], []).append(row[column])
        curves[line.row.title] = [(step, statistics.fmean(each)) for step, each in values.items()]
    return curves


def _examples(table: Sequence[TableRow], test: Path) -> list[_Example]:
    """Return some frames: blurry, restored by each row's first seed, sharp; masks if mu varies, as in Figure 11."""
    pack = read_info(test)
    return [
        _example(table, place, read_frame([pack], Frame(0, frame.key), frame.rows))
        for place, frame in enumerate(evenly_spaced(pack.frames, PICTURES))
    ]


def _example(table: Sequence[TableRow], place: int, frame: WholeFrame) -> _Example:
    """Return one of these frames; each row's scores folder has its restored picture as ``{place}.png``."""
    restored, masks = {}, {}
    for line in table:
        path = line.results[0].training.scores / f"{place}.png"
        restored[line.row.title] = np.asarray(frames.decode(storage.read(path), path), np.uint8)
        if (mu := line.row.config.mu) is not None:
            mask = equations.mask_of_codes(frame.sharpness, mu)
            name = f"mask M at mu = {mu:g}: {mask.mean():.1%} small blur (white)"
            masks[name] = np.repeat(mask[:, :, None] * np.uint8(255), 3, axis=2)
    sharp = to_array(frame.sharp)
    pictures = {"blurry": to_array(frame.blurry), **restored, "sharp": sharp}
    part = most_different_part([*restored.values(), pictures["blurry"]], sharp)
    return _Example(
        key=frame.key,
        parts=[part_panel(name, f"{frame.key}, part, {name}", image[part]) for name, image in pictures.items()],
        wholes=[
            photo_panel(name, f"{frame.key}, {name}", image, _PANEL_WIDTH)
            for name, image in {**pictures, **masks}.items()
        ],
    )
