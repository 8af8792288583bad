"""Results -> rows of a table, over the seeds, and two rows compared seed by seed."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipelines.study.design import StudyRow
from pipelines.study.scoring import Result

MEASURES = ("psnr", "psnr_m1", "psnr_m0", "ssim")  # that a table shows, of those of ``cdg-eval``


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """The results of a row over its seeds."""

    row: StudyRow
    results: Sequence[Result]

    def values(self, measure: str) -> list[float]:
        """A score of each seed."""
        return [result.means[measure] for result in self.results]

    def mean(self, measure: str) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values(measure))

    def spread(self, measure: str) -> float:
        """Standard deviation over the seeds (n - 1); NaN of one."""
        values = self.values(measure)
        return statistics.stdev(values) if len(values) > 1 else math.nan

    @property
    def seconds(self) -> float:
        """Mean seconds of a training."""
        return statistics.fmean(result.seconds for result in self.results)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two rows of a table, seed by seed."""

    before: TableRow
    after: TableRow

    @property
    def gains(self) -> list[float]:
        """PSNR of the second row minus that of the first in dB, for each seed that both have."""
        first = {result.training.seed: result.means["psnr"] for result in self.before.results}
        return [
            result.means["psnr"] - first[result.training.seed]
            for result in self.after.results
            if result.training.seed in first
        ]

    @property
    def paper_gain(self) -> float | None:
        """The gain in dB that the authors state; None where they state none, or the rows differ in masks alone."""
        before, after = self.before.row, self.after.row
        if before.paper and after.paper and before.name != after.name:
            return after.paper.psnr - before.paper.psnr
        return None


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


def compare(table: Sequence[TableRow]) -> list[Comparison]:
    """Each row with the one before it in the paper's order, masks by masks; then masks with masks."""
    comparisons = []
    first_kind, *other_kinds = mask_kinds(table)
    for masks in (first_kind, *other_kinds):
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
