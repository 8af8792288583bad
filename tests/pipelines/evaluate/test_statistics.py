"""Means, intervals and differences of scores."""

import math
from itertools import product

import numpy as np
import pytest

from pipelines.errors import EvaluationError
from pipelines.evaluate import statistics
from pipelines.evaluate.measures import MEASURES, FrameScores


def rows_of(clips: int, frames_each: int, spread: float) -> list[FrameScores]:
    """Frames of a clip have one score, and clips scatter by ``spread``."""
    rng = np.random.default_rng(0)
    levels = rng.normal(30, spread, clips)
    places = product(range(clips), range(frames_each))
    return [{"key": f"{clip:02}/{frame}", "psnr": levels[clip]} for clip, frame in places]


def test_an_interval_counts_a_clip_of_like_frames_once() -> None:
    rows = rows_of(40, 25, 2.0)
    psnrs = [float(row["psnr"]) for row in rows]
    interval = statistics.bootstrap_interval([row["key"] for row in rows], psnrs)
    # The mean of 40 independent draws, by the normal law; counted by frames it would be a fifth of that.
    wanted = 1.96 * np.std(psnrs) / math.sqrt(40)
    assert (interval.high - interval.low) / 2 == pytest.approx(wanted, rel=0.1)
    assert interval.of == "sequences"


def test_few_clips_give_an_interval_over_frames() -> None:
    rows = rows_of(2, 30, 1.0)
    psnrs = [float(row["psnr"]) for row in rows]
    assert statistics.bootstrap_interval([row["key"] for row in rows], psnrs).of == "frames"


def test_a_steady_gain_over_other_scores_is_told_from_none() -> None:
    rows = rows_of(10, 3, 2.0)
    rng = np.random.default_rng(1)
    other = {str(row["key"]): {**row, "psnr": float(row["psnr"]) - 0.3 + rng.normal(0, 0.01)} for row in rows}
    difference = statistics.compare(rows, other)
    interval = difference.intervals["psnr"]
    assert 0.28 < interval.low < difference.means["psnr"] < interval.high < 0.32
    assert (difference.higher["psnr"], difference.frames) == (30, 30)
    with pytest.raises(EvaluationError, match="have no 00/0"):
        statistics.compare(rows, {})


def test_the_authors_frames_are_thirty_a_clip_from_the_second_on() -> None:
    keys = [f"{clip}/{number:05}" for clip in ("a", "b") for number in range(1, 101)]
    chosen = statistics.author_frames(keys)
    assert len(chosen) == 60
    assert (chosen[0], chosen[29]) == ("a/00002", "a/00097")


def test_an_image_without_a_component_leaves_its_mean_alone() -> None:
    names = [measure + suffix for measure in MEASURES for suffix in ("_blurry", "")]
    rows = [dict.fromkeys(names, 20.0), {**dict.fromkeys(names, 30.0), "psnr_m1": math.nan}]

    means = statistics.mean_scores(rows)

    assert means["psnr"] == 25
    assert means["psnr_m1"] == 20


def test_an_interval_takes_five_frames_or_five_sequences_with_a_score() -> None:
    keys = [f"{sequence}/{frame}" for sequence in range(5) for frame in range(2)]
    assert statistics.has_interval(keys, [1.0] * 10)
    assert not statistics.has_interval(keys, [1.0] * 8 + [math.nan] * 2)  # of four sequences
    assert statistics.has_interval([f"a/{number}" for number in range(5)], [1.0] * 5)
    assert not statistics.has_interval([f"a/{number}" for number in range(5)], [math.nan] + [1.0] * 4)
