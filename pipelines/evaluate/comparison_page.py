"""The page of a comparison, ``compare.html``: a table, paired differences, scores frame by frame, and pictures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate.comparison import Entry
from pipelines.evaluate.gallery import DrawnLineup
from pipelines.evaluate.measures import LEGEND, FrameScores
from pipelines.evaluate.no_reference import is_lower_better
from pipelines.evaluate.page import few_text, number, share, signed, title_of, tone
from pipelines.evaluate.statistics import FEWEST, interval_note
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
        folder: The folder to write the page to.
        comparison: From ``compare_all``.
        entries: The entries compared.
        keys: The keys of the frames.
        lineups: Frames in pictures.

    Raises:
        ForeignFile: If a file of the user's own has the page's name.
    """
    first = comparison["measure"]
    measures = list(comparison["entries"][-1]["mean"])
    gaps = {(each["of"], each["less"]): _gap(each, first) for each in comparison["differences"]}
    page = templates(Path(__file__).parent).get_template("compare.html.j2")
    text = page.render(
        comparison=comparison,
        names=[entry.name for entry in entries],
        first=first,
        is_lower_better=is_lower_better(first),
        measures=measures,
        legend=LEGEND,
        gaps={**gaps, **{(less, of): _turned(gap) for (of, less), gap in gaps.items()}},
        counts={name: _known(entries, keys, name) for name in measures},
        best=_best(comparison["entries"], first),
        fewest=FEWEST,
        interval_note=interval_note(keys),
        lengths=_lengths(comparison["entries"], [entries[-1].row_of[key] for key in keys]),
        rows=[_cells(key, entries, first) for key in keys],
        lineups=lineups,
        table_1=TABLE_1 if comparison["quotes_table_1"] else {},
        number=number,
        share=share,
        signed=signed,
        title_of=title_of,
        tone=tone,
    )
    path = folder / NAME
    page_file.write(path, text)
    return path


def _best(entries: Sequence[Mapping[str, Any]], measure: str) -> Mapping[str, Any] | None:
    """Return the entry with the best mean; None if no entry has the measure."""
    known = [each for each in entries if not math.isnan(each["mean"].get(measure, math.nan))]
    sign = 1 if is_lower_better(measure) else -1
    return min(known, key=lambda each: sign * float(each["mean"][measure]), default=None)


def _gap(difference: Mapping[str, Any], measure: str) -> tuple[float, float, float]:
    """Return a difference and the ends of its interval; NaN if no frame has the measure."""
    if measure not in difference["means"]:
        return math.nan, math.nan, math.nan
    interval = difference["intervals"][measure]
    return difference["means"][measure], interval["low"], interval["high"]


def _turned(gap: tuple[float, float, float]) -> tuple[float, float, float]:
    mean, low, high = gap
    return -mean, -high, -low


def _known(entries: Sequence[Entry], keys: Sequence[str], measure: str) -> int:
    """Return how many frames have a measure: the smallest count among the candidates that have it at all."""
    counts = [sum(not math.isnan(float(each.row_of[key].get(measure, math.nan))) for key in keys) for each in entries]
    return min(filter(None, counts), default=0)


def _lengths(entries: Sequence[Mapping[str, Any]], rows: Sequence[FrameScores]) -> list[dict[str, Any]]:
    """Return each range of blur lengths with the PSNR of the blurry frames and each entry, marked if data are few."""
    ranges_of = [entry["by_extent"].get("ranges", []) for entry in entries]
    lengths = []
    for each in next((ranges for ranges in ranges_of if ranges), []):
        found = [next((one for one in ranges if one["from"] == each["from"]), None) for ranges in ranges_of]
        psnrs = [one["psnr"] if one else None for one in found]
        lengths.append({**each, "psnrs": psnrs, "few": few_text(each, rows)})
    return lengths


def _cells(key: str, entries: Sequence[Entry], measure: str) -> list[tuple[str, str, bool]]:
    """Return, for each column, its text, the value to sort it by, and whether it is the best of its row."""
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
