"""A scores folder -> ``report.html``: every score in a table that sorts, and chosen frames in pictures, in one file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate.examples import ERROR_TOP, Example
from pipelines.evaluate.measures import FrameScores, columns, first_measure, gain, has_blurry, measures_of
from pipelines.evaluate.no_reference import is_lower_better
from pipelines.evaluate.scatter import scatter
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
    gains = ["gain"] if has_blurry(rows[0]) else []
    heads = ["key", *measures, *gains, *(["mask_share"] if "mask_share" in rows[0] else [])]
    page = templates(Path(__file__).parent).get_template("scores.html.j2")
    text = page.render(
        folder=folder.resolve().name,
        summary=summary,
        first=first_measure(rows[0]),
        is_lower_better=is_lower_better(first_measure(rows[0])),
        is_pair=has_blurry(rows[0]),
        measures=measures_of(summary["mean"]),
        legend=summary["legend"],
        heads=heads,
        rows=[_cells(row, heads) for row in rows],
        scatter=scatter(rows),
        examples=examples,
        table_1=TABLE_1 if summary["quotes_table_1"] else {},
        error_top=ERROR_TOP,
        number=number,
        score=score,
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
        elif head == "gain":
            cells.append((signed(gain(row), first_measure(row)), repr(gain(row))))
        else:
            value = float(row[head])
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


def signed(value: float, measure: str) -> str:
    """A difference between two scores."""
    return ("+" if value >= 0 else "") + number(value, measure)


def score(value: float | None, measure: str) -> str:
    """A score with its unit, or else with the name of its measure."""
    return f"{number(value, measure)} dB" if measure == "psnr" else f"{measure} {number(value, measure)}"
