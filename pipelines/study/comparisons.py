"""Results -> rows of a table, over the seeds, and two rows compared seed by seed."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy import stats

from pipelines.study.design import StudyRow
from pipelines.study.scoring import Result

MEASURES = ("psnr", "psnr_m1", "psnr_m0", "ssim")  # that a table shows, of those of ``cdg-eval``
DIVISION = {
    "auc_small": "AUC, small attention",
    "auc_large": "AUC, large attention",
    "auc_gate": "AUC, gate",
    "lead_small": "small branch where M = 1, dB",
    "lead_large": "large branch where M = 0, dB",
}
"""Measures of ``cdg-eval`` that show whether the division is learnt, with their column heads."""
WHERE = {"psnr": "whole frames", "psnr_m1": "where blur is small (M = 1)", "psnr_m0": "where blur is large (M = 0)"}
"""Measures by which rows are compared with the controls and drawn, and the part of the frames they cover."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """The results of a row over its seeds."""

    row: StudyRow
    results: Sequence[Result]

    def values(self, measure: str) -> list[float]:
        """A score of each seed; NaN of a measure that the network does not have."""
        return [result.means.get(measure, math.nan) for result in self.results]

    def mean(self, measure: str) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values(measure))

    def spread(self, measure: str) -> float:
        """Standard deviation over the seeds (n - 1); NaN of one, and of a measure that the network does not have."""
        values = self.values(measure)
        return statistics.stdev(values) if len(values) > 1 and not any(map(math.isnan, values)) else math.nan

    @property
    def has_learnt(self) -> bool:
        """Whether its frames are nearer to the sharp ones than the blurry are, in every seed."""
        return all(result.means["psnr"] > result.means["psnr_blurry"] for result in self.results)

    @property
    def seconds(self) -> float:
        """Mean seconds of a training."""
        return statistics.fmean(result.seconds for result in self.results)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two rows of a table, seed by seed."""

    before: TableRow
    after: TableRow
    measure: str = "psnr"

    @property
    def gains(self) -> list[float]:
        """PSNR of the second row minus that of the first in dB, for each seed that both have."""
        first = {result.training.seed: result.means[self.measure] for result in self.before.results}
        return [
            result.means[self.measure] - first[result.training.seed]
            for result in self.after.results
            if result.training.seed in first
        ]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean gain in dB; infinite from one seed.

        Source: Student 1908, of the paired differences.
        """
        return _interval(self.gains)

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes that there is no difference."""
        low, high = self.interval
        return low > 0 or high < 0

    @property
    def paper_gain(self) -> float | None:
        """The gain in dB that the authors state; None where they state none, or the rows differ in masks alone."""
        before, after = self.before.row, self.after.row
        if before.paper and after.paper and before.name != after.name:
            return after.paper.psnr - before.paper.psnr
        return None


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of some values."""
    if len(values) < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def number(measure: str, value: float) -> str:
    """A figure as tables show it."""
    if math.isnan(value):
        return "-"
    if measure.startswith("lead"):
        return f"{value:+.2f}"
    return f"{value:.2f}" if measure.startswith("psnr") else f"{value:.4f}"


def with_spread(line: TableRow, measure: str) -> str:
    """A row's mean and, with several seeds, its standard deviation."""
    spread = line.spread(measure)
    mean = number(measure, line.mean(measure))
    return mean if math.isnan(spread) else f"{mean} ± {number(measure, spread).removeprefix('+')}"


def dividing_rows(table: Sequence[TableRow]) -> list[TableRow]:
    """Those of networks that divide a frame."""
    return [line for line in table if not all(math.isnan(line.mean(name)) for name in DIVISION)]


def table_rows(results: Sequence[Result]) -> list[TableRow]:
    """The table: a row for each row of the study that has a result."""
    by_title: dict[str, list[Result]] = {}
    for result in results:
        by_title.setdefault(result.training.row.title, []).append(result)
    return [TableRow(row=group[0].training.row, results=group) for group in by_title.values()]


def mask_kinds(table: Sequence[TableRow]) -> list[str]:
    """The masks that rows of a table learned from, in its order; one empty name where none did."""
    return list(dict.fromkeys(line.row.masks for line in table if line.row.masks)) or [""]


def rows_with(table: Sequence[TableRow], masks: str) -> list[TableRow]:
    """The rows that learned from these masks or from none."""
    return [line for line in table if line.row.masks in ("", masks)]


def against_controls(
    table: Sequence[TableRow], controls: Sequence[str], measure: str
) -> tuple[list[TableRow], list[tuple[TableRow, list[Comparison | None]]]]:
    """The difference of each row from each control.

    Args:
        table: The rows.
        controls: Their names; they look at no masks.
        measure: That is compared, in dB.

    Returns:
        The controls of the table; of each row its comparison with each of them, None where a control would be compared
        with itself or with one after it, or no seed is in both.
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
    """Each row with the one before it in the paper's order, masks by masks; and masks with masks.

    Args:
        table: The rows.
        controls: Names of rows that the others are compared with instead, by ``against_controls``.
    """
    comparisons = []
    first_kind, *other_kinds = mask_kinds(table)
    for masks in () if controls else (first_kind, *other_kinds):
        for before, after in pairwise(rows_with(table, masks)):
            # Two rows without masks stand beside every kind of masks: they are compared once.
            if masks == first_kind or masks in (before.row.masks, after.row.masks):
                comparisons.append(Comparison(before=before, after=after))
    first_rows = {line.row.name: line for line in table if line.row.masks == first_kind}
    for masks in other_kinds:
        comparisons += [
            Comparison(before=first_rows[line.row.name], after=line) for line in table if line.row.masks == masks
        ]
    return [comparison for comparison in comparisons if comparison.gains]
