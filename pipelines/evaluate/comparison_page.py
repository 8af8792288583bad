"""A comparison of several candidates -> ``compare.html``: one table, paired differences, frame by frame, pictures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate.comparison import Entry
from pipelines.evaluate.gallery import DrawnLineup
from pipelines.evaluate.measures import LEGEND
from pipelines.evaluate.page import number
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
    gaps = {(each["of"], each["less"]): _gap(each) for each in comparison["differences"]}
    page = templates(Path(__file__).parent).get_template("compare.html.j2")
    text = page.render(
        comparison=comparison,
        names=[entry.name for entry in entries],
        measures=list(comparison["entries"][0]["mean"]),
        legend=LEGEND,
        gaps={**gaps, **{(less, of): _turned(gap) for (of, less), gap in gaps.items()}},
        lengths=_lengths(comparison["entries"]),
        rows=[_cells(key, entries) for key in keys],
        lineups=lineups,
        table_1=TABLE_1 if comparison["quotes_table_1"] else {},
        number=number,
    )
    path = folder / NAME
    page_file.write(path, text)
    return path


def _gap(difference: Mapping[str, Any]) -> tuple[float, float, float]:
    """A difference of PSNR and the ends of its interval, dB."""
    interval = difference["intervals"]["psnr"]
    return difference["means"]["psnr"], interval["low"], interval["high"]


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


def _cells(key: str, entries: Sequence[Entry]) -> list[tuple[str, str, bool]]:
    """Of each column the text, the value that it is sorted by, and whether it is the best of its row."""
    psnrs = [float(entry.row_of[key]["psnr"]) for entry in entries]
    blurry = next((row["psnr_blurry"] for entry in entries if "psnr_blurry" in (row := entry.row_of[key])), math.nan)
    spread = max(psnrs) - min(psnrs)
    cells = [(key, key, False), (number(blurry, "psnr"), "" if math.isnan(blurry) else repr(blurry), False)]
    cells += [(number(psnr, "psnr"), repr(psnr), psnr == max(psnrs)) for psnr in psnrs]
    return [*cells, (number(spread, "psnr"), repr(spread), False)]
