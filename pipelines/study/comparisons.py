"""Results -> the rows of a table, over all seeds, and comparisons of two rows, seed by seed."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy import stats

from pipelines.study.design import StudyRow
from pipelines.study.scoring import Result

MEASURES = ("psnr", "psnr_m1", "psnr_m0", "ssim")  # measures of ``cdg-eval`` that a table shows
DIVISION = {
    "auc_small": "AUC, small attention",
    "auc_large": "AUC, large attention",
    "auc_gate": "AUC, gate",
    "lead_small": "small branch where M = 1, dB",
    "lead_large": "large branch where M = 0, dB",
}
"""Measures of ``cdg-eval`` that show whether the division is learnt, with their column heads."""
WHERE = {"psnr": "whole frames", "psnr_m1": "where blur is small (M = 1)", "psnr_m0": "where blur is large (M = 0)"}
"""Measures for plots and comparisons with the controls, and the part of the frames that each covers."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """The results of a row over its seeds."""

    row: StudyRow
    results: Sequence[Result]

    def values(self, measure: str) -> list[float]:
        """Return the score of each seed; NaN for a measure that does not apply to the network."""
        return [result.means.get(measure, math.nan) for result in self.results]

    def mean(self, measure: str) -> float:
        """Return the mean over the seeds."""
        return statistics.fmean(self.values(measure))

    def spread(self, measure: str) -> float:
        """Return the standard deviation over the seeds (n - 1); NaN for one seed, or if the measure does not apply."""
        values = self.values(measure)
        return statistics.stdev(values) if len(values) > 1 and not any(map(math.isnan, values)) else math.nan

    @property
    def has_learnt(self) -> bool:
        """Whether the restored frames have a higher mean PSNR than the blurry frames, with every seed."""
        return all(result.means["psnr"] > result.means["psnr_blurry"] for result in self.results)

    @property
    def seconds(self) -> float:
        """Mean duration of a training in seconds."""
        return statistics.fmean(result.seconds for result in self.results)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two rows of a table, seed by seed."""

    before: TableRow
    after: TableRow
    measure: str = "psnr"

    @property
    def gains(self) -> list[float]:
        """``measure`` of the second row minus that of the first, in dB, for each seed that both have."""
        first = {result.training.seed: result.means[self.measure] for result in self.before.results}
        return [
            result.means[self.measure] - first[result.training.seed]
            for result in self.after.results
            if result.training.seed in first
        ]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean gain in dB; infinite with one seed.

        Source: Student 1908, for the paired differences.
        """
        return _interval(self.gains)

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes a difference of 0."""
        low, high = self.interval
        return low > 0 or high < 0

    @property
    def paper_gain(self) -> float | None:
        """The gain in dB that the authors state; None if they state none, or the rows differ only in their masks."""
        before, after = self.before.row, self.after.row
        if before.paper and after.paper and before.name != after.name:
            return after.paper.psnr - before.paper.psnr
        return None


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of some values."""
    if len(values) < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def number(measure: str, value: float) -> str:
    """Format a score for a table."""
    if math.isnan(value):
        return "-"
    if measure.startswith("lead"):
        return f"{value:+.2f}"
    return f"{value:.2f}" if measure.startswith("psnr") else f"{value:.4f}"


def with_spread(line: TableRow, measure: str) -> str:
    """Format a row's mean and, with several seeds, its standard deviation."""
    spread = line.spread(measure)
    mean = number(measure, line.mean(measure))
    return mean if math.isnan(spread) else f"{mean} ± {number(measure, spread).removeprefix('+')}"


def dividing_rows(table: Sequence[TableRow]) -> list[TableRow]:
    """Return the rows of networks that divide a frame, which have a measure in ``DIVISION``."""
    return [line for line in table if not all(math.isnan(line.mean(name)) for name in DIVISION)]


def table_rows(results: Sequence[Result]) -> list[TableRow]:
    """Return the table: one row for each row of the study that has a result."""
    by_title: dict[str, list[Result]] = {}
    for result in results:
        by_title.setdefault(result.training.row.title, []).append(result)
    return [TableRow(row=group[0].training.row, results=group) for group in by_title.values()]


def mask_kinds(table: Sequence[TableRow]) -> list[str]:
    """Return the masks that rows of a table learned from, in its order; one empty name if no row learned from masks."""
    return list(dict.fromkeys(line.row.masks for line in table if line.row.masks)) or [""]


def rows_with(table: Sequence[TableRow], masks: str) -> list[TableRow]:
    """Return the rows that learned from these masks or from none."""
    return [line for line in table if line.row.masks in ("", masks)]


def against_controls(
    table: Sequence[TableRow], controls: Sequence[str], measure: str
) -> tuple[list[TableRow], list[tuple[TableRow, list[Comparison | None]]]]:
    """Compare each row with each control.

    Args:
        table: The rows.
        controls: Names of the control rows, which do not use masks.
        measure: The measure to compare, in dB.

    Returns:
        The controls in the table, and for each row its comparison with each of them: None if a control would be
        compared with itself or a later control, or the two rows have no seed in common.
    """
    fixed = [line for line in table if line.row.name in controls]
    lines = []
    for line in table:
        earlier = fixed[: fixed.index(line)] if line in fixed else fixed
        pairs = [Comparison(before=control, after=line, measure=measure) for control in earlier]
        cells = [pair if pair.gains else None for pair in pairs] + [None] * (len(fixed) - len(earlier))
        if any(cells):
            lines.append((line, cells))
    return fixed, lines


def compare(table: Sequence[TableRow], controls: Sequence[str] = ()) -> list[Comparison]:
    """Compare each row with the previous one in the paper's order, for each kind of masks, and kinds of masks.

    Args:
        table: The rows.
        controls: Names of rows that ``against_controls`` compares the others with; if given, rows are not compared
            with the previous row.
    """
    comparisons = []
    first_kind, *other_kinds = mask_kinds(table)
    for masks in () if controls else (first_kind, *other_kinds):
        for before, after in pairwise(rows_with(table, masks)):
            # Two rows without masks occur with every kind of masks, but are compared only once.
            if masks == first_kind or masks in (before.row.masks, after.row.masks):
                comparisons.append(Comparison(before=before, after=after))
    first_rows = {line.row.name: line for line in table if line.row.masks == first_kind}
    for masks in other_kinds:
        comparisons += [
            Comparison(before=first_rows[line.row.name], after=line) for line in table if line.row.masks == masks
        ]
    return [comparison for comparison in comparisons if comparison.gains]
