"""A data set is searched on a sample, and what is wrong is counted."""

from collections.abc import Sequence

import numpy as np
import pytest
from wrong_pairs import picture, shifted, smeared, to_gamma

from prep.arrays import Bytes
from prep.errors import FrameError
from prep.pairing import search
from prep.pairing.comparison import GAMMA, SCENE, SHIFT, Comparison

KEYS = [f"clip_{clip}/{number:03}" for clip in range(3) for number in range(40)]


class Frames:
    """Pairs of different blur, some of them spoilt; notes what was read."""

    def __init__(self, wrong: Sequence[str] = (), shift: tuple[int, int] = (0, 0)) -> None:
        self.wrong, self.shift, self.sharp = wrong, shift, picture("astronaut")[:192, 100:356]
        self.read_keys: list[str] = []

    def read(self, key: str) -> tuple[Bytes, Bytes]:
        self.read_keys.append(key)
        blurry = smeared(self.sharp, 5 + KEYS.index(key) % 7, angle=KEYS.index(key))
        return (picture("chelsea")[:192, :256] if key in self.wrong else shifted(blurry, *self.shift)), self.sharp


def test_true_pairs_are_read_as_a_sample_of_every_sequence_and_pass_without_a_word() -> None:
    frames = Frames()

    assert search.search(KEYS, frames.read, jobs=1) == []
    assert len(frames.read_keys) == 32
    assert {key.partition("/")[0] for key in frames.read_keys} == {"clip_0", "clip_1", "clip_2"}


@pytest.mark.slow
def test_where_the_sample_is_suspicious_its_sequence_is_read_whole_and_counted() -> None:
    frames = Frames(wrong=[key for key in KEYS if key.startswith("clip_1")][:20])

    (finding,) = search.search(KEYS, frames.read, jobs=1)

    assert (finding.fault, len(finding.keys), finding.keys[0]) == (SCENE, 20, "clip_1/000")
    assert {key for key in KEYS if key.startswith("clip_1")} <= set(frames.read_keys)
    assert finding.compared == len(frames.read_keys) == len(set(frames.read_keys)) < 70
    assert str(finding).startswith(
        f"20 of {finding.compared} compared pairs: blurry and sharp show different scenes; first clip_1/000 (corr"
    )


@pytest.mark.parametrize("shift", [(1, 0), (-1, 2)])
@pytest.mark.slow
def test_a_small_shift_is_found_once_most_pairs_share_it(shift: tuple[int, int]) -> None:
    (finding,) = search.search(KEYS, Frames(shift=shift).read, jobs=1)

    assert finding.fault == SHIFT
    assert f"by about {shift[0]}.0, {shift[1]}.0 pixels (x, y), the same for most pairs" in str(finding)


@pytest.mark.parametrize("length", [4, 8, 16, 32])
def test_one_pan_with_the_sharp_frame_at_its_beginning_shares_no_shift_but_that_of_its_blur(length: int) -> None:
    photo = picture("coffee")[:240]
    windows = {place: photo[:, place : place + 360] for place in range(12 * 8 + 40)}
    further = 0

    def read(key: str) -> tuple[Bytes, Bytes]:
        begin = 8 * int(key)
        blurry = np.mean([windows[begin + step] for step in range(length + 1)], axis=0)
        return shifted(np.rint(blurry).astype(np.uint8), further, 0), windows[begin]

    keys = [str(number) for number in range(12)]
    assert search.search(keys, read, jobs=1) == []
    further = -length
    assert [finding.fault for finding in search.search(keys, read, jobs=1)] == [SHIFT]


def test_a_pair_that_cannot_be_read_is_passed_over() -> None:
    frames = Frames()

    def read(key: str) -> tuple[Bytes, Bytes]:
        if key.endswith("0"):
            raise FrameError("damaged")
        return frames.read(key)

    assert search.search(KEYS, read, jobs=1) == []


def test_a_gamma_is_named_of_most_pairs_not_of_a_single_one() -> None:
    sharp = picture("coffee")
    pairs = {"linear": Comparison(fault=GAMMA, figure="about 2.2"), "usual": Comparison()}

    assert [finding.fault for finding in search.summarise({"a": pairs["linear"], "b": pairs["usual"]})] == [GAMMA]
    assert search.summarise({"a": pairs["linear"], "b": pairs["usual"], "c": pairs["usual"]}) == []
    found = search.search(["a", "b"], lambda _: (to_gamma(smeared(sharp, 9), 0.45), sharp), jobs=1)
    assert [finding.fault for finding in found] == [GAMMA]


def test_pairs_without_a_known_shift_share_none() -> None:
    assert search.summarise({str(number): Comparison() for number in range(40)}) == []
    assert np.isfinite(search.summarise({"a": Comparison(fault=SHIFT, shift=(12.0, 5.0))})[0].compared)
