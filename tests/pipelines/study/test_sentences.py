"""Rows compared seed by seed, and what a table says."""

from dataclasses import replace
from pathlib import Path

import pytest
from study_runs import CONFIG

from pipelines.paper import PaperScore
from pipelines.study import design
from pipelines.study.comparisons import TableRow, compare
from pipelines.study.scoring import Result
from pipelines.study.sentences import comparison_text, verdict


def line(name: str, paper: float, *psnr: float, masks: str = "") -> TableRow:
    row = design.StudyRow(name=name, masks=masks, config=CONFIG, pack=Path("p.h5"), paper=PaperScore(paper, 0.9))
    results = []
    for seed, value in enumerate(psnr):
        config = replace(CONFIG, seed=seed)
        training = design.Training(
            row=row, seed=seed, config=config, folder=Path("r"), test=Path("t.h5"), scores=Path("r/s")
        )
        results.append(Result(training=training, means={"psnr": value}, author={}, seconds=1))
    return TableRow(row=row, results=results)


def test_rows_are_compared_seed_by_seed() -> None:
    low, high = line("one", 28.0, 25.0, 27.0, 26.0), line("two", 30.5, 25.5, 26.9, 26.8)

    (comparison,) = compare([low, high])

    assert comparison.gains == pytest.approx([0.5, -0.1, 0.8])
    assert (
        comparison_text(comparison)
        == "two against one: +0.40 dB ± 0.46, higher in 2 of 3 seeds (the authors: +2.50 dB)"
    )


def test_each_kind_of_masks_is_compared_with_the_rows_before_and_with_the_other_kind() -> None:
    rows = [line("base", 28, 20.0), line("net", 30, 21.0, masks="lbp"), line("net", 30, 22.0, masks="paired")]

    titles = [(one.after.row.title, one.before.row.title) for one in compare(rows)]

    assert titles == [("net, lbp", "base"), ("net, paired", "base"), ("net, paired", "net, lbp")]


def test_the_verdict_counts_what_held() -> None:
    first, second, third = line("a", 28, 20.0, 20.2), line("b", 29, 21.0, 20.1), line("c", 30, 20.3, 20.3)

    (said,) = verdict([first, second, third])

    # a < b by the means but not in the second seed; a < c always; b > c by the means.
    assert said == (
        "The authors' order of 3 rows did not hold: 2 of 3 pairs of rows stand as theirs in the means, 1 in every seed."
    )


def test_without_an_order_of_the_authors_the_highest_row_is_named() -> None:
    none, masks = (replace(line(name, 0, *psnr).row, paper=None) for name, psnr in (("none", ()), ("masks", ())))
    low = TableRow(row=none, results=line("none", 0, 20.0, 20.2).results)
    high = TableRow(row=masks, results=line("masks", 0, 20.1, 20.1).results)
    higher = TableRow(row=masks, results=line("masks", 0, 20.5, 20.1).results)

    assert verdict([low, high]) == ["none is the highest of 2 rows, 20.10 dB in the mean."]
    assert verdict([low, higher]) == [
        "Highest in the mean: masks against none: +0.20 dB ± 0.42, higher in 1 of 2 seeds."
    ]
    assert verdict([line("cdgnet", 30.67, 27.0)]) == [
        "cdgnet stands alone, 27.00 dB in the mean. The authors state 30.67 dB, SSIM 0.900 of cdgnet."
    ]
