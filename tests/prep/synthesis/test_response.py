"""Responses: against plain float64 and the standard, measured ones read back."""

from pathlib import Path

import numpy as np
import pytest

from prep.errors import SynthesisError
from prep.synthesis.response import GAMMA, LINEAR, RESPONSES, SRGB, Response, read_response

EVERY = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)


@pytest.mark.parametrize("response", [LINEAR, GAMMA])
@pytest.mark.parametrize("bits", [8, 16])
def test_light_is_the_code_to_its_power(response: Response, bits: int) -> None:
    codes = EVERY if bits == 8 else EVERY.astype(np.uint16) * 257

    light = response.to_light(codes)

    assert np.abs(light - (EVERY / 255.0) ** response.power).max() < 1e-6
    assert np.abs(response.to_codes(light) - EVERY).max() < 1e-3


def test_srgb_is_that_of_the_standard() -> None:
    """IEC 61966-2-1 as it is written, whose straight foot ends at 0.04045 with a slope of 1 / 12.92."""
    codes = EVERY / 255.0
    wanted = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)

    light = SRGB.to_light(EVERY)

    assert np.abs(light - wanted).max() < 1e-5
    assert np.abs(SRGB.to_codes(light) - EVERY).max() < 1e-3


def test_every_response_gives_every_code_back(tmp_path: Path) -> None:
    (tmp_path / "curve.txt").write_text("\n".join(str(code**1.7) for code in range(256)))

    for response in (*RESPONSES.values(), read_response(tmp_path / "curve.txt")):
        assert np.array_equal(np.rint(response.to_codes(response.to_light(EVERY))), EVERY)
        assert response.to_codes(np.array([-0.1, 1.7], np.float32)).tolist() == [0, 255]


def test_a_measured_power_is_the_power(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text(",".join(str(3 * (code / 255) ** 2.2 + 5) for code in range(256)))
    light = np.random.default_rng(0).random((20, 30, 3), np.float32)

    measured = read_response(tmp_path / "curve.csv")

    assert np.abs(measured.to_codes(light) - GAMMA.to_codes(light)).max() < 0.5
    assert np.abs(measured.to_light(EVERY) - GAMMA.to_light(EVERY)).max() < 1e-5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2 1", r"curve.txt contains 4 numbers; it needs at least two, each larger than the one before"),
        ("7", r"contains 1 number; it needs at least two"),
        ("0 nan 2", r"contains 3 numbers; it needs at least two"),
        ("code,light", r"is not a response curve .*; it must contain only numbers"),
    ],
)
def test_what_is_no_response_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "curve.txt").write_text(text)

    with pytest.raises(SynthesisError, match=message):
        read_response(tmp_path / "curve.txt")
