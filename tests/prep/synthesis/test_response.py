"""Averaging as light: against plain float64, under responses of all kinds, with noise and highlights."""

from pathlib import Path

import numpy as np
import pytest

from prep.errors import SynthesisError
from prep.synthesis.exposure import GAMMA, LINEAR, PLAIN, Exposure, Response, read_response

RNG = np.random.default_rng(3)
SHOTS = [RNG.integers(0, 256, (20, 30, 3), np.uint8) for _ in range(9)]
NO_RNG: np.random.Generator = None  # type: ignore[assignment]  # without noise nothing is drawn


@pytest.mark.parametrize("response", [LINEAR, GAMMA])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_mean_is_that_of_plain_float64(response: Response, bits: int) -> None:
    shots = [shot if bits == 8 else shot.astype(np.uint16) * 257 for shot in SHOTS]
    whole = np.stack(SHOTS).astype(np.float64) / 255
    wanted = 255 * np.mean(whole**response.power, axis=0) ** (1 / response.power)

    blurry = Exposure(response=response).expose(shots, NO_RNG)

    assert np.abs(blurry - wanted).max() <= 0.501  # rounded once


def test_a_still_scene_is_its_frame_under_every_response(tmp_path: Path) -> None:
    (tmp_path / "curve.txt").write_text("\n".join(str(code**1.7) for code in range(256)))
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)

    for response in (LINEAR, GAMMA, read_response(tmp_path / "curve.txt")):
        assert np.array_equal(Exposure(response=response).expose([every] * 7, NO_RNG), every)


def test_a_measured_power_is_the_power(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text(",".join(str(3 * (code / 255) ** 2.2 + 5) for code in range(256)))

    measured = Exposure(response=read_response(tmp_path / "curve.csv")).expose(SHOTS, NO_RNG)

    assert np.abs(measured.astype(int) - Exposure(response=GAMMA).expose(SHOTS, NO_RNG)).max() <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2 1", r"curve.txt holds 4 numbers; wanted two or more that rise from black to white"),
        ("7", r"holds 1 numbers; wanted two or more"),
        ("0 nan 2", r"holds 3 numbers; wanted two or more"),
        ("code,light", r"holds something else than numbers .*; wanted light, code by code"),
    ],
)
def test_what_is_no_response_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "curve.txt").write_text(text)

    with pytest.raises(SynthesisError, match=message):
        read_response(tmp_path / "curve.txt")


def test_noise_has_the_variance_asked_for_and_the_mean_of_the_light() -> None:
    flat = np.full((200, 200, 3), 128, np.uint8)

    noisy = Exposure(shot=0.002, read=0.01).expose([flat], np.random.default_rng(0)) / 255.0

    assert noisy.mean() == pytest.approx(128 / 255, abs=1e-3)
    assert noisy.var() == pytest.approx(0.002 * 128 / 255 + 0.01**2, rel=0.05)


def test_a_light_that_passes_leaves_a_white_streak_only_if_it_was_brighter_than_white() -> None:
    shots = [np.full((1, 9, 3), 20, np.uint8) for _ in range(9)]
    for place, shot in enumerate(shots):
        shot[0, place] = 255

    assert Exposure(highlights=9).expose(shots, NO_RNG).min() == 255
    assert PLAIN.expose(shots, NO_RNG).max() < 60


def test_no_frame_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no sub-frame to average"):
        PLAIN.expose([], NO_RNG)
