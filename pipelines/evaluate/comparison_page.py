"""A comparison of several candidates -> ``compare.html``: one table, paired differences, frame by frame, pictures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate.comparison import Entry
from pipelines.evaluate.gallery import DrawnLineup
from pipelines.evaluate.measures import LEGEND
from pipelines.evaluate.no_reference import is_lower_better
from pipelines.evaluate.page import number, signed
from pipelines.pages import page_file
from pipelines.pages.templates import templates
from pipelines.paper import TABLE_1

NAME = "compare.html"


def write(
    folder: Path,
    comparison: Mapping[str, Any],
    entries: Sequence[Entry],
    keys: Sequence[str],
    lineups: Sequence[DrawnLineup],
) -> Path:
    """Write the page of a comparison; an earlier one is replaced.

    Args:
        folder: That it goes into.
        comparison: From ``compare_all``.
        entries: That it is of.
        keys: The frames.
        lineups: Frames in pictures.

    Raises:
        ForeignFile: If a person's own file has its name.
    """
    first = comparison["measure"]
    gaps = {(each["of"], each["less"]): _gap(each, first) for each in comparison["differences"]}
    page = templates(Path(__file__).parent).get_template("compare.html.j2")
    text = page.render(
        comparison=comparison,
        names=[entry.name for entry in entries],
        first=first,
        is_lower_better=is_lower_better(first),
        measures=list(comparison["entries"][0]["mean"]),
        legend=LEGEND,
        gaps={**gaps, **{(less, of): _turned(gap) for (of, less), gap in gaps.items()}},
        lengths=_lengths(comparison["entries"]),
        rows=[_cells(key, entries, first) for key in keys],
        lineups=lineups,
        table_1=TABLE_1 if comparison["quotes_table_1"] else {},
        number=number,
        signed=signed,
    )
    path = folder / NAME
    page_file.write(path, text)
    return path


def _gap(difference: Mapping[str, Any], measure: str) -> tuple[float, float, float]:
    """A difference and the ends of its interval; NaN where no frame has the measure."""
    if measure not in difference["means"]:
        return math.nan, math.nan, math.nan
    interval = difference["intervals"][measure]
    return difference["means"][measure], interval["low"], interval["high"]


def _turned(gap: tuple[float, float, float]) -> tuple[float, float, float]:
    mean, low, high = gap
    return -mean, -high, -low


def _lengths(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By the length of the blur: each range with the PSNR of the blurry frames and of each entry that knows it."""
    ranges_of = [entry["by_extent"].get("ranges", []) for entry in entries]
    lengths = []
    for each in next((ranges for ranges in ranges_of if ranges), []):
        found = [next((one for one in ranges if one["from"] == each["from"]), None) for ranges in ranges_of]
        psnrs = [one["psnr"] if one else None for one in found]
        lengths.append({**each, "psnrs": psnrs})
    return lengths


def _cells(key: str, entries: Sequence[Entry], measure: str) -> list[tuple[str, str, bool]]:
    """Of each column the text, the value that it is sorted by, and whether it is the best of its row."""
    rows = [entry.row_of[key] for entry in entries]
    blurry = next((float(row[f"{measure}_blurry"]) for row in rows if f"{measure}_blurry" in row), math.nan)
    scores = [float(row[measure]) for row in rows]
    known = [score for score in scores if not math.isnan(score)]
    best = (min if is_lower_better(measure) else max)(known, default=math.nan)
    spread = max(known) - min(known) if known else math.nan
    cells = [(key, key, False), _cell(blurry, measure)]
    cells += [_cell(score, measure, is_best=score == best) for score in scores]
    return [*cells, _cell(spread, measure)]


def _cell(value: float, measure: str, *, is_best: bool = False) -> tuple[str, str, bool]:
    return number(value, measure), "" if math.isnan(value) else repr(value), is_best
