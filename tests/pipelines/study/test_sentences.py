"""Rows compared seed by seed, and what a table says."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from study_runs import CONFIG

from pipelines.cli.study_report import scores_text
from pipelines.paper import PaperScore
from pipelines.study import design
from pipelines.study.comparisons import TableRow, against_controls, compare, with_spread
from pipelines.study.scoring import Result
from pipelines.study.sentences import comparison_text, difference_text, verdict

BLURRY = 19.0


def line(name: str, paper: float, *psnr: float, masks: str = "") -> TableRow:
    row = design.StudyRow(name=name, masks=masks, config=CONFIG, pack=Path("p.h5"), paper=PaperScore(paper, 0.9))
    results = []
    for seed, value in enumerate(psnr):
        config = replace(CONFIG, seed=seed)
        training = design.Training(
            row=row, seed=seed, config=config, folder=Path("r"), test=Path("t.h5"), scores=Path("r/s")
        )
        means = {"psnr": value, "psnr_blurry": BLURRY}
        results.append(Result(training=training, means=means, author={}, seconds=1))
    return TableRow(row=row, results=results)


def test_rows_are_compared_seed_by_seed() -> None:
    low, high = line("one", 28.0, 25.0, 27.0, 26.0), line("two", 30.5, 25.5, 26.9, 26.8)

    (comparison,) = compare([low, high])

    assert comparison.gains == pytest.approx([0.5, -0.1, 0.8])
    # Half the interval: t of 2 degrees of freedom, 4.303, times the deviation 0.458 over the root of 3.
    assert comparison_text(comparison) == (
        "two against one: +0.40 dB (95 % interval -0.74 to +1.54), higher with 2 of 3 seeds; not a clear difference; "
        "the paper states +2.50 dB"
    )
    (clear,) = compare([low, line("two", 30.5, 25.5, 27.6, 26.5)])
    assert comparison_text(clear).endswith("higher with 3 of 3 seeds; the paper states +2.50 dB")
    (one_seed,) = compare([line("one", 28.0, 25.0), line("two", 30.5, 25.5)])
    assert comparison_text(one_seed) == "two against one: +0.50 dB with one seed; the paper states +2.50 dB"


def test_a_measure_that_a_network_lacks_has_no_spread() -> None:
    gateless = line("a", 28, 20.0, 20.2)
    assert with_spread(gateless, "psnr") == "20.10 ± 0.14"
    assert with_spread(gateless, "auc_gate") == "-"


def test_each_kind_of_masks_is_compared_with_the_rows_before_and_with_the_other_kind() -> None:
    rows = [line("base", 28, 20.0), line("net", 30, 21.0, masks="lbp"), line("net", 30, 22.0, masks="paired")]

    titles = [(one.after.row.title, one.before.row.title) for one in compare(rows)]

    assert titles == [("net, lbp", "base"), ("net, paired", "base"), ("net, paired", "net, lbp")]


def test_rows_are_compared_with_the_controls_where_a_study_has_some() -> None:
    rows = [
        line("none", 0, 20.0),
        line("whole", 0, 20.5),
        line("net", 0, 21.0, masks="lbp"),
        line("net", 0, 22.0, masks="p"),
    ]

    controls, lines = against_controls(rows, ("none", "whole"), "psnr")

    assert [control.row.title for control in controls] == ["none", "whole"]
    assert [(row.row.title, [difference_text(cell) for cell in cells]) for row, cells in lines] == [
        ("whole", ["+0.50", ""]),
        ("net, lbp", ["+1.00", "+0.50"]),
        ("net, p", ["+2.00", "+1.50"]),
    ]
    assert [(one.after.row.title, one.before.row.title) for one in compare(rows, ("none", "whole"))] == [
        ("net, p", "net, lbp")
    ]


def test_a_difference_is_marked_where_its_interval_excludes_none() -> None:
    none, clear, level = (
        line("none", 0, 20.0, 20.1, 20.0),
        line("a", 0, 20.5, 20.7, 20.5),
        line("b", 0, 20.5, 20.0, 20.1),
    )

    (_, (first,)), (_, (second,)) = against_controls([none, clear, level], ("none",), "psnr")[1]

    # t of 2 degrees of freedom, 4.303, times the deviations 0.0577 and 0.3055 over the root of 3.
    assert difference_text(first) == "+0.53 (+0.39 to +0.68) *"
    assert difference_text(second) == "+0.17 (-0.59 to +0.93)"


def test_the_verdict_counts_what_held_beyond_the_noise() -> None:
    first, second, third = line("a", 28, 20.0, 20.2), line("b", 29, 21.0, 20.1), line("c", 30, 20.3, 20.5)

    (said,) = verdict([first, second, third])

    # c is 0.3 above a in both seeds; b above a by the means alone, and above c.
    assert said == (
        "The paper's order of 3 rows: of 3 pairs 1 clearly in the same order, 0 clearly reversed, 2 without a clear "
        "difference (95 % intervals)."
    )
    (one_seed,) = verdict([line("a", 28, 20.0), line("b", 29, 21.0)])
    assert one_seed == (
        "The paper's order of 2 rows: of 1 pair 1 in the same order with one seed; one seed shows no variation between "
        "seeds."
    )


def without_authors(name: str, *psnr: float) -> TableRow:
    given = line(name, 0, *psnr)
    return TableRow(row=replace(given.row, paper=None), results=given.results)


def test_without_an_order_of_the_authors_the_highest_row_is_named_and_what_is_level_with_it() -> None:
    low, level = without_authors("none", 20.0, 20.2, 20.1), without_authors("masks", 20.4, 20.2, 20.45)
    best = without_authors("region", 20.5, 20.6, 20.4)

    assert verdict([low, level, best]) == [
        "Highest mean of 3 seeds: region, 20.50 dB; not clearly lower: masks; 1 row clearly lower (95 % interval "
        "excludes 0)."
    ]
    unfinished = without_authors("soft", 22.0)  # a mean of one seed is above all others
    assert verdict([low, level, best, unfinished]) == [
        "Highest mean of 3 seeds: region, 20.50 dB; not clearly lower: masks; 1 row clearly lower (95 % interval "
        "excludes 0); left out, with fewer seeds: soft."
    ]
    assert verdict([best, unfinished]) == ["region, 20.50 dB; the only one of 2 rows with 3 seeds."]
    assert verdict([without_authors("none", 20.0), without_authors("masks", 20.5)]) == [
        "Highest with one seed: masks, 20.50 dB; one seed shows no variation between seeds."
    ]
    assert verdict([line("cdgnet", 30.67, 27.0)]) == [
        "cdgnet, 27.00 dB; the only row. The paper states 30.67 dB, SSIM 0.900 for cdgnet."
    ]


def test_rows_that_learnt_nothing_are_named() -> None:
    learnt, below = without_authors("a", 20.0, 20.2, 20.1), without_authors("b", 18.9, 18.8, 18.9)
    within = without_authors("c", 19.1, 18.9, 19.02)

    assert verdict([learnt, below, within])[0] == (
        "With this budget b and c have not learnt to deblur: PSNR is not above that of the blurry frames (19.00 dB) "
        "with every seed."
    )
    assert verdict([below, within])[0].startswith("With this budget no row has learnt to deblur")
    assert len(verdict([learnt])) == 1


def test_a_component_that_no_frame_has_is_left_out_of_a_trainings_line() -> None:
    means = {"psnr_blurry": 25.0, "psnr": 25.5, "psnr_m1_blurry": math.nan, "psnr_m1": math.nan}
    line = scores_text({**means, "psnr_m0_blurry": 24.0, "psnr_m0": 24.25})
    assert line == "PSNR 25.00 -> 25.50 dB, M = 0 24.00 -> 24.25 dB"
