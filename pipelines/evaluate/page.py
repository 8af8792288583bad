"""A scores folder -> ``report.html``: every score in a table that sorts, and chosen frames in pictures, in one file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate.examples import ERROR_TOP, Example
from pipelines.evaluate.measures import MEASURES, FrameScores, columns
from pipelines.evaluate.scatter import scatter
from pipelines.evaluate.statistics import psnr_gain
from pipelines.pages import page_file
from pipelines.pages.templates import templates
from pipelines.paper import TABLE_1

NAME = "report.html"


def write(folder: Path, rows: Sequence[FrameScores], summary: Mapping[str, Any], examples: Sequence[Example]) -> Path:
    """Write the page of a scores folder; an earlier one is replaced.

    Args:
        folder: Of the scores.
        rows: All of them.
        summary: From ``summarise``.
        examples: Frames in pictures.

    Raises:
        ForeignFile: If a person's own file has its name.
    """
    measures = columns(rows[0])
    gain = ["gain"] if "psnr_blurry" in measures else []
    heads = ["key", *measures, *gain, *(["mask_share"] if "mask_share" in rows[0] else [])]
    page = templates(Path(__file__).parent).get_template("scores.html.j2")
    text = page.render(
        folder=folder.resolve().name,
        summary=summary,
        measures=[measure for measure in MEASURES if measure in summary["mean"]],
        legend=summary["legend"],
        heads=heads,
        rows=[_cells(row, heads) for row in rows],
        scatter=scatter(rows),
        examples=examples,
        table_1=TABLE_1 if summary["quotes_table_1"] else {},
        error_top=ERROR_TOP,
        number=number,
    )
    path = folder / NAME
    page_file.write(path, text)
    return path


def _cells(row: FrameScores, heads: Sequence[str]) -> list[tuple[str, str]]:
    """Of each column the text, and the value that it is sorted by, empty where there is no score."""
    cells = []
    for head in heads:
        if head == "key":
            cells.append((row["key"], row["key"]))
        else:
            value = psnr_gain(row) if head == "gain" else float(row[head])
            cells.append((number(value, head), "" if math.isnan(value) else repr(value)))
    return cells


def number(value: float | None, name: str) -> str:
    """A score as the page shows it: dB to two places, shares in percent, others to four places."""
    if value is None or math.isnan(value):
        return "–"  # noqa: RUF001
    if name == "mask_share":
        return f"{100 * value:.1f} %"
    if name == "gain" or name.startswith("lead"):
        return f"{value:+.2f}"
    return f"{value:.2f}" if name.startswith("psnr") else f"{value:.4f}"
