"""Real pairs pass without a word, and are named once they are spoilt, where a copy of some lies at hand."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from wrong_pairs import enlarged_middle, shifted, to_gamma

from prep.arrays import Bytes
from prep.datasets import layouts, tree_pairs
from prep.datasets.layouts import Pair
from prep.io import frames
from prep.pairing import search
from prep.pairing.comparison import CHANNELS, EQUAL, GAMMA, SCALE, SCENE, SHIFT, compare

DATA = Path(os.environ.get("CDG_DATA", Path(__file__).parents[2] / "shared" / "data"))
CASES = Path(__file__).parents[2] / "shared" / "cases" / "wrong_pairs"
DATASETS = {
    "gopro": lambda: layouts.find(DATA, "gopro").pairs,
    "reds": lambda: layouts.find(DATA, "reds").pairs,
    "reds_x4": lambda: tree_pairs.find_pairs(DATA / "REDS_x4_027" / "blur", DATA / "REDS_x4_027" / "sharp").pairs,
}
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real frames in {DATA}; set CDG_DATA to a copy")


@pytest.mark.parametrize("name", DATASETS)
def test_no_real_pair_is_called_wrong(name: str) -> None:
    assert search.search_dataset(DATASETS[name](), jobs=-1) == []


@pytest.mark.slow
@pytest.mark.parametrize(("gain", "offset"), [(1.8, 0), (2.2, 0), (1, 16), (1, -24), (0.4, 140)])
def test_another_exposure_or_black_level_of_real_pairs_is_no_fault(gain: float, offset: int) -> None:
    named = {pair.key: pair for dataset in DATASETS.values() for pair in dataset()[::3]}

    def read(key: str) -> tuple[Bytes, Bytes]:
        blurry, sharp = (frames.read(source) for source in (named[key].blurry, named[key].sharp))
        return np.clip(gain * blurry.astype(np.float32) + offset, 0, 255).astype(np.uint8), sharp

    assert search.search(list(named), read, jobs=-1) == []


def test_frames_of_other_clips_are_other_scenes_wherever_a_part_of_them_looks_alike() -> None:
    named = {pair.key: pair for pair in DATASETS["gopro"]()}
    alike = [("GOPR0372_07_00/000048", "GOPR0410_11_00/000161"), ("GOPR0385_11_01/003100", "GOPR0410_11_00/000161")]

    for one, other in alike:
        assert compare(frames.read(named[one].blurry), frames.read(named[other].sharp)).fault == SCENE, one


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no wrong pairs in {CASES}")
def test_each_of_three_wrong_pairs_is_named_by_its_kind() -> None:
    found = search.search_dataset(tree_pairs.find_pairs(CASES / "b", CASES / "s").pairs, jobs=-1)

    assert {finding.fault: finding.keys for finding in found} == {"scene": ("0",), "shift": ("1",), "equal": ("2",)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "spoil"),
    [
        (SHIFT, lambda blurry, sharp: shifted(blurry, blurry.shape[1] // 25, 5)),
        (SHIFT, lambda blurry, sharp: shifted(blurry, -1, 1)),
        (EQUAL, lambda blurry, sharp: sharp),
        (CHANNELS, lambda blurry, sharp: np.ascontiguousarray(blurry[..., ::-1])),
        (GAMMA, lambda blurry, sharp: to_gamma(blurry, 2.2)),
        (SCALE, lambda blurry, sharp: cv2.resize(blurry, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_CUBIC)),
        (SCALE, lambda blurry, sharp: enlarged_middle(blurry, 2)),
    ],
    ids=["shift", "one pixel", "equal", "BGR", "gamma", "quarter", "enlarged"],
)
def test_each_fault_is_named_of_most_real_pairs(fault: str, spoil: Callable[[Bytes, Bytes], Bytes]) -> None:
    pairs: Sequence[Pair] = [pair for dataset in DATASETS.values() for pair in dataset()[::3]]
    named = {pair.key: pair for pair in pairs}

    def read(key: str) -> tuple[Bytes, Bytes]:
        blurry, sharp = (frames.read(source) for source in (named[key].blurry, named[key].sharp))
        return spoil(blurry, sharp), sharp

    (finding,) = search.search(list(named), read, jobs=-1)

    assert finding.fault == fault
    assert len(finding.keys) >= 0.6 * finding.compared
