"""Search many pairs for frames that do not match: first in a sample, then in more if the sample has faults."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from prep import parallel
from prep.arrays import Bytes
from prep.datasets import layouts
from prep.datasets.layouts import Pair
from prep.errors import PrepError
from prep.io import frames
from prep.pairing.comparison import CHANNELS, EQUAL, GAMMA, SCALE, SCENE, SHIFT, Comparison, compare, is_outside
from prep.units import counted

Reader = Callable[[str], tuple[Bytes, Bytes]]
"""A function that returns the blurry and the sharp frame of a key."""

MEANINGS = {
    SCENE: "{} and sharp show different scenes",
    SHIFT: "{} is shifted against sharp",
    EQUAL: "{} and sharp are identical",
    CHANNELS: "red and blue are swapped in {} or in sharp",
    GAMMA: "{} and sharp differ in gamma",
    SCALE: "{} and sharp show the scene at different sizes",
}
_SAMPLE = 32  # pairs in the first sample
_MORE = 224  # most further pairs, from the sequences in which the sample has faults
_LEAST_SHIFTED = 5  # pairs needed to find a small common shift
_AGREEING = 0.6  # least share of the pairs that must have that shift
_LEAST_COMMON = 0.7  # smallest common shift, in pixels
_SPREAD = 0.5, 0.25  # tolerance of the common shift: in pixels, and as a share of it; the larger one holds
_GAMMA_SHARE = 0.5  # least share of the pairs: another gamma affects a whole data set; single frames differ in lighting


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault that some of the compared pairs have."""

    fault: str  # a key of ``MEANINGS``
    keys: tuple[str, ...]  # keys of the faulty pairs, in order
    compared: int  # number of pairs that were compared
    figure: str  # the values measured for the first faulty pair, in words; may be empty
    picture: str = "blurry"  # name of the frame that was compared with the sharp one

    def __str__(self) -> str:
        figure = f" ({self.figure})" if self.figure else ""
        pairs = f"{len(self.keys):,} of {counted(self.compared, 'compared pair')}"
        return f"{pairs}: {MEANINGS[self.fault].format(self.picture)}; first {self.keys[0]}{figure}"


def search_dataset(pairs: Sequence[Pair], jobs: int) -> list[Finding]:
    """Search the pairs of a data set: read 32 pairs, and up to 224 more to count the faulty ones.

    Pairs that cannot be read are skipped; other checks report them.

    Args:
        pairs: Sorted by key.
        jobs: Threads; -1 for one per core.
    """
    named = {pair.key: pair for pair in pairs}

    def read(key: str) -> tuple[Bytes, Bytes]:
        return frames.read(named[key].blurry), frames.read(named[key].sharp)

    return search(list(named), read, jobs)


def search(keys: Sequence[str], read: Reader, jobs: int) -> list[Finding]:
    """Search pairs by key, as ``search_dataset`` does.

    Args:
        keys: The keys of all pairs; those of a sequence must be adjacent.
        read: Reads a pair; if it raises ``PrepError``, the pair is skipped.
        jobs: Threads; -1 for one per core.
    """
    first = sample(keys)
    compared = _compare_all(first, read, jobs)
    wrong = {key for finding in summarise(compared) for key in finding.keys}
    if len(wrong) <= len(compared) / 2:  # else the whole data set is faulty
        clips = set(map(layouts.sequence, wrong))
        rest = [key for key in keys if layouts.sequence(key) in clips and key not in compared]
        compared |= _compare_all(sample(rest, _MORE), read, jobs)
    return summarise({key: compared[key] for key in keys if key in compared})


def summarise(compared: Mapping[str, Comparison], picture: str = "blurry") -> list[Finding]:
    """Summarise the faults of compared pairs in one finding per kind of fault.

    Args:
        compared: The comparisons by key, in order.
        picture: Name of the frames that were compared with the sharp ones.
    """
    keys: dict[str, list[str]] = {fault: [] for fault in MEANINGS}
    for key, comparison in compared.items():
        if comparison.fault:
            keys[comparison.fault].append(key)
    if len(keys[GAMMA]) < _GAMMA_SHARE * len(compared):
        keys[GAMMA] = []
    figures = {fault: compared[faulty[0]].figure for fault, faulty in keys.items() if faulty}
    if common := _common_shift(compared):
        keys[SHIFT], figures[SHIFT] = common
    return [
        Finding(fault=fault, keys=tuple(keys[fault]), compared=len(compared), figure=figure, picture=picture)
        for fault, figure in figures.items()
    ]


def _common_shift(compared: Mapping[str, Comparison]) -> tuple[list[str], str] | None:
    """Find a shift that most pairs have in common; return their keys and the shift in words, or None.

    Motion blur itself shifts a pair by some pixels, in a different direction in each clip. So one clip alone does not
    prove a shift that is smaller than its blur.
    """
    shifts = {key: each.shift for key, each in compared.items() if each.shift is not None}
    if len(shifts) < _LEAST_SHIFTED:
        return None
    points = np.array(list(shifts.values()))
    common = np.median(points, axis=0)
    size = float(np.hypot(*common))
    near = np.hypot(*(points - common).T) <= max(_SPREAD[0], _SPREAD[1] * size)
    if size < _LEAST_COMMON or near.mean() < _AGREEING:
        return None
    clips: dict[str, list[bool]] = {}
    for key, is_near in zip(shifts, near, strict=True):
        clips.setdefault(layouts.sequence(key), []).append(bool(is_near))
    blur = float(np.median([compared[key].blur for key in shifts]))
    is_of_many = sum(np.mean(each) >= _AGREEING for each in clips.values()) > 1
    if not is_of_many and not is_outside((float(common[0]), float(common[1])), blur, _LEAST_COMMON):
        return None  # a pan with the sharp frame at the start or end of the exposure shifts all pairs equally
    alike = [key for key, is_near in zip(shifts, near, strict=True) if is_near]
    x, y = (round(float(distance), 1) + 0.0 for distance in common)  # no -0.0
    return alike, f"by about {x}, {y} pixels (x, y), the same for most pairs"


def sample(keys: Sequence[str], count: int = _SAMPLE) -> list[str]:
    """Choose ``count`` of the keys, evenly spaced, or all of them if there are fewer."""
    if len(keys) <= count:
        return list(keys)
    return [keys[(2 * place + 1) * len(keys) // (2 * count)] for place in range(count)]


def _compare_all(keys: Sequence[str], read: Reader, jobs: int) -> dict[str, Comparison]:
    results = parallel.in_threads(keys, partial(_compare, read=read), jobs, ahead=2)
    return {key: result for key, result in zip(keys, results, strict=True) if result is not None}


def _compare(key: str, read: Reader) -> Comparison | None:
    try:
        return compare(*read(key))
    except PrepError:
        return None
