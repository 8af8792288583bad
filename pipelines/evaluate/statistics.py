"""Means over frames and sequences, bootstrap intervals, and the difference between two sets of scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipelines.errors import EvaluationError
from pipelines.evaluate.measures import FrameScores, columns, measures_of
from prep.datasets import layouts
from prep.units import counted

_RESAMPLES = 10_000
FEWEST = 5  # fewest sequences, or frames, for an interval


def mean_scores(rows: Sequence[FrameScores]) -> dict[str, float]:
    """Compute the mean of each measure over frames, ignoring NaN (from frames with almost nothing of a component)."""
    means = {}
    for name in columns(rows[0]):
        values = [float(row[name]) for row in rows if not math.isnan(float(row[name]))]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def sequence_means(rows: Sequence[FrameScores]) -> dict[str, dict[str, float]]:
    """Compute the means of each sequence; empty if the frames belong to no sequence."""
    sequences: dict[str, list[FrameScores]] = {}
    for row in rows:
        sequences.setdefault(layouts.sequence(str(row["key"])), []).append(row)
    return {} if set(sequences) == {""} else {name: mean_scores(rows) for name, rows in sorted(sequences.items())}


def author_frames(keys: Sequence[str]) -> list[str]:
    """Return the 30 frames per clip that VideoDeblurring's author scored: floor(linspace(2, 97, 30)), counted from 1.

    Source: Su et al. 2017, the authors' code, which probably, but not certainly, counts from 1.
    """
    clips: dict[str, list[str]] = {}
    for key in sorted(keys):
        clips.setdefault(layouts.sequence(key), []).append(key)
    places = np.floor(np.linspace(2, 97, 30)).astype(int) - 1
    return [clip_keys[place] for clip_keys in clips.values() for place in places if place < len(clip_keys)]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The 95 % interval of a mean over frames."""

    low: float
    high: float
    of: str  # the unit of resampling: sequences or frames


def bootstrap_interval(keys: Sequence[str], values: Sequence[float]) -> Interval:
    """Compute the 95 % bootstrap interval of a mean over frames, as expected for other frames of the same kind.

    Whole sequences are resampled, because frames of one sequence are alike. With fewer than five sequences, single
    frames are resampled instead, and the interval is too narrow. The random seed is fixed.

    Args:
        keys: The keys of the frames, which contain the sequences.
        values: One per frame; NaN does not count.

    Returns:
        The interval; both ends are NaN if every value is NaN.

    Source: Efron & Tibshirani 1993, An introduction to the bootstrap, section 13.3 (percentiles).
    """
    return _bootstrap(tuple(keys), tuple(values))


@lru_cache(maxsize=64)  # takes a second for 1000 frames; report and page need the same intervals
def _bootstrap(keys: tuple[str, ...], values: tuple[float, ...]) -> Interval:
    of, groups = _resampled(keys)
    _, clusters = np.unique(groups, return_inverse=True)
    scores = np.asarray(values, np.float64)
    known = ~np.isnan(scores)
    if not known.any():
        return Interval(low=math.nan, high=math.nan, of=of)
    sums = np.bincount(clusters[known], scores[known], minlength=clusters.max() + 1)
    counts = np.bincount(clusters[known], minlength=clusters.max() + 1)
    resamples = np.random.default_rng(0).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), _RESAMPLES)
    totals = resamples @ counts
    means = (resamples @ sums)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(low=float(low), high=float(high), of=of)


def _resampled(keys: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return what a bootstrap resamples, sequences or frames, and the one that each frame belongs to."""
    sequences = [layouts.sequence(key) for key in keys]
    return ("sequences", sequences) if len(set(sequences)) >= FEWEST else ("frames", keys)


def interval_note(keys: Sequence[str]) -> str:
    """Say what intervals over these frames resample, and why they may be too narrow."""
    of, _ = _resampled(keys)
    if of == "sequences":
        return "bootstrap over sequences"
    sequences = {layouts.sequence(key) for key in keys}
    if sequences == {""}:
        return "bootstrap over frames; too narrow if the frames are of one video"
    few = counted(len(sequences), "sequence")
    return f"bootstrap over frames; too narrow, because the frames are of only {few} and alike within one"


def has_interval(keys: Sequence[str], values: Sequence[float]) -> bool:
    """Return whether there are enough values for a meaningful interval: those of five sequences, or of five frames.

    Args:
        keys: The keys of the frames, which contain the sequences.
        values: One per frame; NaN does not count.
    """
    _, groups = _resampled(keys)
    return len({group for group, value in zip(groups, values, strict=True) if not math.isnan(value)}) >= FEWEST


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference between two sets of scores of the same frames, per measure: this set minus the other."""

    means: Mapping[str, float]
    intervals: Mapping[str, Interval]
    higher: Mapping[str, int]  # number of frames in which this set is higher
    frames: int


def compare(rows: Sequence[FrameScores], others: Mapping[str, FrameScores]) -> Difference:
    """Compare the scores of restored frames with another set, frame by frame.

    Args:
        rows: The rows of this set, at least one.
        others: The rows of the other set, by key.

    Raises:
        EvaluationError: If the other set has no scores of a frame.
    """
    keys = [str(row["key"]) for row in rows]
    missing = [key for key in keys if key not in others]
    if missing:
        raise EvaluationError(
            f"the other scores have no {missing[0]} (missing: {counted(len(missing), 'frame')}); score the same frames"
        )
    shared = [name for name in measures_of(rows[0]) if name in others[keys[0]]]
    gains = {name: [float(row[name]) - float(others[str(row["key"])][name]) for row in rows] for name in shared}
    gains = {name: values for name, values in gains.items() if not np.isnan(values).all()}  # drop what no frame has
    return Difference(
        means={name: float(np.nanmean(values)) for name, values in gains.items()},
        intervals={name: bootstrap_interval(keys, values) for name, values in gains.items()},
        higher={name: sum(value > 0 for value in values) for name, values in gains.items()},
        frames=len(rows),
    )
