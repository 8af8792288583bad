"""A pair is told from what is none, by the pictures alone."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from wrong_pairs import (
    PICTURES,
    averaged_light,
    compressed,
    enlarged_middle,
    noisy,
    picture,
    shifted,
    smeared,
    to_gamma,
)

from prep.arrays import Bytes
from prep.pairing.comparison import CHANNELS, EQUAL, GAMMA, SCALE, SCENE, SHIFT, compare

TRUE_PAIRS: dict[str, Callable[[Bytes], Bytes]] = {
    "2 pixels": lambda sharp: smeared(sharp, 2),
    "10 pixels": lambda sharp: smeared(sharp, 10, 2.0),
    "60 pixels": lambda sharp: smeared(sharp, 60, 1.2),
    "sharp at the beginning of 12 pixels": lambda sharp: smeared(sharp, 12, begin=0),
    "sharp at the end of 40 pixels": lambda sharp: smeared(sharp, 40, begin=-1),
    "light averaged": lambda sharp: averaged_light(sharp, 25),
    "noise": lambda sharp: noisy(smeared(sharp, 15), 20),
    "JPEG of quality 10": lambda sharp: compressed(noisy(smeared(sharp, 15), 8), 10),
    "three quarters of the light": lambda sharp: np.rint(0.75 * smeared(sharp, 15)).astype(np.uint8),
    "1.8 times the light": lambda sharp: np.clip(1.8 * smeared(sharp, 15), 0, 255).astype(np.uint8),
    "2.2 times the light": lambda sharp: np.clip(2.2 * smeared(sharp, 15), 0, 255).astype(np.uint8),
    "24 levels brighter": lambda sharp: np.clip(smeared(sharp, 15) + 24.0, 0, 255).astype(np.uint8),
    "fog": lambda sharp: np.rint(0.4 * smeared(sharp, 15) + 140).astype(np.uint8),
    "a shake of 3 pixels": lambda sharp: shifted(smeared(sharp, 8), 3, -2),
}
FAULTS: dict[str, tuple[Callable[[Bytes], Bytes], str]] = {
    "shift": (lambda sharp: shifted(smeared(sharp, 10), 24, 9), SHIFT),
    "large shift": (lambda sharp: shifted(smeared(sharp, 20), -90, 40), SHIFT),
    "equal": (lambda sharp: sharp.copy(), EQUAL),
    "BGR": (lambda sharp: np.ascontiguousarray(smeared(sharp, 20)[..., ::-1]), CHANNELS),
    "linear": (lambda sharp: to_gamma(smeared(sharp, 20), 2.2), GAMMA),
    "gamma twice": (lambda sharp: to_gamma(smeared(sharp, 10), 1 / 2.2), GAMMA),
    "a quarter of the size": (lambda sharp: cv2.resize(smeared(sharp, 20), None, fx=0.25, fy=0.25), SCALE),
    "middle, enlarged": (lambda sharp: enlarged_middle(smeared(sharp, 10), 1.5), SCALE),
}


@pytest.mark.parametrize("name", ["coffee", "rocket"])
@pytest.mark.parametrize("kind", TRUE_PAIRS)
def test_a_blurry_frame_and_its_partner_are_a_pair(name: str, kind: str) -> None:
    sharp = picture(name)

    assert compare(TRUE_PAIRS[kind](sharp), sharp).fault == ""


@pytest.mark.parametrize("name", ["coffee", "rocket"])
@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_is_told_by_its_kind(name: str, kind: str) -> None:
    sharp, (spoil, fault) = picture(name), FAULTS[kind]

    assert compare(spoil(sharp), sharp).fault == fault


def test_the_blurry_frame_of_another_picture_is_another_scene() -> None:
    pictures = {name: cv2.resize(picture(name), (400, 300)) for name in PICTURES}
    for name, sharp in pictures.items():
        for other in pictures.keys() - {name}:
            assert compare(smeared(pictures[other], 15), sharp).fault == SCENE, (name, other)


@pytest.mark.parametrize(("x", "y"), [(1, 0), (0, -2), (5, 3), (-30, 12), (100, 60)])
def test_a_shift_is_measured_to_a_third_of_a_pixel_whatever_the_blur(x: int, y: int) -> None:
    sharp = picture("astronaut")

    shift = compare(shifted(smeared(sharp, 12), x, y), sharp).shift

    assert shift == pytest.approx((x, y), abs=1 / 3)


@pytest.mark.parametrize("gamma", [0.45, 0.8, 1.25, 2.2])
def test_the_gamma_is_measured(gamma: float) -> None:
    sharp = picture("coffee")

    figure = compare(to_gamma(smeared(sharp, 10), gamma), sharp).figure

    assert float(figure.rpartition(" ")[2]) == pytest.approx(gamma, rel=0.05)


@pytest.mark.parametrize(
    ("blurry", "sharp"),
    [
        (np.zeros((90, 120, 3), np.uint8), np.zeros((90, 120, 3), np.uint8)),
        (noisy(np.full((90, 120, 3), 180, np.uint8), 2), np.full((90, 120, 3), 180, np.uint8)),
        (noisy(np.full((9, 9, 3), 90, np.uint8), 40), np.full((9, 9, 3), 90, np.uint8)),
    ],
    ids=["black", "sky", "tiny"],
)
def test_frames_that_show_nothing_are_no_fault(blurry: Bytes, sharp: Bytes) -> None:
    assert compare(blurry, sharp).fault == ""


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_trails_of_saturated_lights_are_no_other_scene(name: str) -> None:
    light = (picture(name) / 255.0).astype(np.float32) ** 2.2 * 0.03
    rng = np.random.default_rng(0)
    for _ in range(30):
        place = int(rng.integers(light.shape[1])), int(rng.integers(light.shape[0]))
        cv2.circle(light, place, int(rng.integers(1, 5)), [float(rng.uniform(1, 20))] * 3, -1)
    path = np.zeros((51, 51), np.float32)
    cv2.line(path, (12, 6), (38, 38), 1)
    trails = cv2.filter2D(light, -1, path / path.sum())
    blurry, sharp = (np.rint(255 * np.clip(each, 0, 1) ** (1 / 2.2)).astype(np.uint8) for each in (trails, light))

    assert compare(noisy(blurry, 3), sharp).fault == ""
