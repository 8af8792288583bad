"""The page of a scores folder, ``report.html``: a sortable table of all scores and example frames, in one file."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluate.by_extent import EDGES
from pipelines.evaluate.examples import ERROR_TOP, Example
from pipelines.evaluate.measures import FrameScores, columns, first_measure, gain, has_blurry, measures_of
from pipelines.evaluate.no_reference import is_lower_better
from pipelines.evaluate.scatter import scatter
from pipelines.evaluate.statistics import FEWEST, Interval, bootstrap_interval, has_interval, interval_note
from pipelines.pages import page_file
from pipelines.pages.templates import templates
from pipelines.paper import TABLE_1
from prep.datasets import layouts
from prep.units import counted

NAME = "report.html"
_VISIBLE = 0.1  # dB: smaller changes of PSNR are hardly seen
FEWEST_PIXELS = 1000  # fewest pixels of a range of blur lengths that is shown without a warning
_TITLES = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ssim_matlab3d": "SSIM, MATLAB",
    "psnr_m1": "PSNR, M = 1",
    "psnr_m0": "PSNR, M = 0",
    "lpips": "LPIPS",
    "niqe": "NIQE",
    "key": "frame",
    "mask_share": "M = 1",
    "auc_small": "AUC, small branch",
    "auc_large": "AUC, large branch",
    "auc_gate": "AUC, gate",
    "auc_middle": "AUC, centre",
    "psnr_small_branch": "small branch, M = 1",
    "psnr_large_branch": "large branch, M = 0",
    "lead_small": "small branch ahead",
    "lead_large": "large branch ahead",
}


@dataclass(frozen=True, kw_only=True)
class _Mean:
    """A measure over all frames, as texts for the page."""

    measure: str
    blurry: str
    score: str
    change: str  # restored minus blurry; empty without blurry frames
    tone: str  # CSS class of the change: gain, loss or empty
    interval: str
    few: str  # a mark if only some of the frames have the measure; otherwise empty


def write(folder: Path, rows: Sequence[FrameScores], summary: Mapping[str, Any], examples: Sequence[Example]) -> Path:
    """Write the page of a scores folder, replacing an earlier page.

    Args:
        folder: The scores folder.
        rows: All rows of scores.
        summary: From ``summarise``.
        examples: The example frames.

    Raises:
        ForeignFile: If a file of the user's own has the page's name.
    """
    measures = measures_of(summary["mean"])
    gains = ["gain"] if has_blurry(rows[0]) else []
    heads = ["key", *columns(rows[0]), *gains, *(["mask_share"] if "mask_share" in rows[0] else [])]
    keys, means = [str(row["key"]) for row in rows], [_mean(rows, summary, measure) for measure in measures]
    page = templates(Path(__file__).parent).get_template("scores.html.j2")
    text = page.render(
        folder=folder.resolve().name,
        summary=summary,
        first=first_measure(rows[0]),
        is_lower_better=is_lower_better(first_measure(rows[0])),
        is_pair=has_blurry(rows[0]),
        means=means,
        few_ranges=[few_text(each, rows) for each in summary["by_extent"].get("ranges", [])],
        counts=Counter(layouts.sequence(str(row["key"])) for row in rows),
        measures=measures,
        legend=summary["legend"],
        heads=heads,
        rows=[_cells(row, heads) for row in rows],
        scatter=scatter(rows),
        examples=examples,
        table_1=TABLE_1 if summary["quotes_table_1"] else {},
        error_top=ERROR_TOP,
        fewest=FEWEST,
        number=number,
        score=score,
        share=share,
        signed=signed,
        title_of=title_of,
        tone=tone,
        verdict=_verdict(means[0], summary["mean"]) if has_blurry(rows[0]) else "",
        worst=min(rows, key=gain) if has_blurry(rows[0]) else rows[0],
        interval_note=interval_note(keys),
    )
    path = folder / NAME
    page_file.write(path, text)
    return path


def _mean(rows: Sequence[FrameScores], summary: Mapping[str, Any], measure: str) -> _Mean:
    """Summarise a measure over all frames, with its interval, and compared with blurry frames if these were scored."""
    means, blurry = summary["mean"], f"{measure}_blurry"
    values = [float(row[measure]) for row in rows]
    is_pair = blurry in means
    if is_pair:
        values = [value - float(row[blurry]) for value, row in zip(values, rows, strict=True)]
    keys, known = [str(row["key"]) for row in rows], sum(not math.isnan(value) for value in values)
    change = means[measure] - means[blurry] if is_pair else math.nan
    interval = bootstrap_interval(keys, values) if has_interval(keys, values) else None
    is_clear = interval is None or not interval.low <= 0 <= interval.high
    return _Mean(
        measure=measure,
        blurry=number(means[blurry], measure) if is_pair else "",
        score=number(means[measure], measure),
        change=signed(change, measure) if is_pair else "",
        tone=tone(change, measure) if is_clear else "",
        interval=_interval_text(interval, measure, is_signed=is_pair),
        few="" if known in (0, len(rows)) else f"{known} of {len(rows)} frames",
    )


def _verdict(main: _Mean, means: Mapping[str, float]) -> str:
    """The words beside the change of the first measure, in the headline."""
    word = {"gain": "better than the blurry frames", "loss": "worse than the blurry frames"}.get(main.tone)
    if word is None:
        return "no clear change from the blurry frames"
    is_small = main.measure == "psnr" and abs(means["psnr"] - means["psnr_blurry"]) < _VISIBLE
    return f"{word}, too little to see" if is_small else word


def _interval_text(interval: Interval | None, measure: str, *, is_signed: bool) -> str:
    """Format the 95 % interval of a mean; None says that there are too few frames."""
    if interval is None:
        return "too few frames"
    form = signed if is_signed else number
    return f"{form(interval.low, measure)} to {form(interval.high, measure)}"


def few_text(range_: Mapping[str, Any], rows: Sequence[FrameScores]) -> str:
    """Return a mark for a range of blur lengths that has few pixels or few frames; empty for other ranges."""
    if range_["pixels"] < FEWEST_PIXELS:
        return f"only {counted(round(range_['pixels']), 'pixel')}"
    bins = [place for place, low in enumerate(EDGES[:-1]) if range_["from"] <= low < range_["to"]]
    frames = sum(any(row["extents"][place][0] for place in bins) for row in rows if row.get("extents"))
    return f"only {counted(frames, 'frame')}" if frames < min(FEWEST, len(rows)) else ""


def tone(change: float, measure: str) -> str:
    """Return the CSS class that colours a change from the blurry to the restored frame: gain, loss, or empty.

    Args:
        change: Restored minus blurry.
        measure: The measure that changed; if lower is better, a fall is a gain.
    """
    better = -change if is_lower_better(measure) or measure == "lpips" else change
    text = number(abs(better), measure)
    if math.isnan(better) or not float(text):
        return ""
    return "gain" if better > 0 else "loss"


def title_of(column: str) -> str:
    """Return the heading of a column of scores; that of blurry frames has two lines."""
    measure = column.removesuffix("_blurry")
    return _TITLES.get(measure, measure) + ("\nblurry" if measure != column else "")


def _cells(row: FrameScores, heads: Sequence[str]) -> list[tuple[str, str]]:
    """Return, for each column, its text and the value to sort it by, which is empty if there is no score."""
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
    """Format a score: dB with two decimals, shares in percent, others with four decimals."""
    if value is None or math.isnan(value):
        return "–"  # noqa: RUF001
    if name == "mask_share":
        return f"{100 * value:.1f} %"
    if name == "gain" or name.startswith("lead"):
        return f"{value:+.2f}"
    return f"{value:.2f}" if name.startswith("psnr") else f"{value:.4f}"


def signed(value: float, measure: str) -> str:
    """Format a difference between two scores with its sign; without a sign if it rounds to 0."""
    if math.isnan(value):
        return number(value, measure)
    text = number(abs(value), measure)
    return ("+" if value > 0 else "-") * bool(float(text)) + text


def score(value: float | None, measure: str) -> str:
    """Format a score with its unit, or with the name of its measure if it has no unit."""
    return f"{number(value, measure)} dB" if measure == "psnr" else f"{title_of(measure)} {number(value, measure)}"


def share(part: float, whole: float) -> str:
    """Format a part of a whole in percent; a small part is not rounded to 0."""
    percent = 100 * part / whole
    return "under 0.1 %" if 0 < percent < 0.05 else f"{percent:.1f} %"
