"""S from the extent of the blur between a blurry frame and its sharp partner."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prep.sharpness import paired

RNG = np.random.default_rng(7)


def texture(height: int = 240, width: int = 320) -> np.ndarray:
    """Grey noise with a spectrum like that of photographs, 1 / f."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height)))
    spectrum = np.fft.fft2(RNG.normal(size=(height, width))) / np.maximum(frequency, 1 / height)
    picture = np.fft.ifft2(spectrum).real
    grey = np.clip(128 + 45 * (picture - picture.mean()) / picture.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def smear(frame: np.ndarray, length: float, angle: float = 0.0) -> np.ndarray:
    """Average the frame along a straight stroke, in steps of a quarter pixel."""
    steps = np.linspace(-length / 2, length / 2, int(4 * length) + 1)
    total = np.zeros(frame.shape)
    for step in steps:
        shift = np.array([[1, 0, step * np.cos(angle)], [0, 1, step * np.sin(angle)]])
        total += cv2.warpAffine(
            frame.astype(np.float32), shift, frame.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
    return np.rint(total / len(steps)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, np.pi / 4, np.pi / 2, 2.5])
@pytest.mark.parametrize("length", [3.0, 6.0, 12.0, 20.0])
def test_the_extent_of_a_stroke_is_measured_within_a_quarter(length: float, angle: float) -> None:
    sharp = texture()

    extent = paired.extent(smear(sharp, length, angle), sharp)

    assert np.median(extent) == pytest.approx(length, rel=0.25)


def test_an_unblurred_pair_has_no_extent_and_is_sharp_everywhere() -> None:
    sharp = texture()

    assert paired.extent(sharp, sharp).max() < 0.1
    assert paired.sharpness(sharp, sharp).min() > 0.999


def test_a_shift_between_the_frames_is_no_blur() -> None:
    sharp = texture()

    shifted = paired.extent(np.roll(sharp, 1, axis=1), sharp)[20:-20, 20:-20]

    assert np.median(shifted) < 1.5
    assert np.median(paired.extent(smear(sharp, 8), sharp)) > 5


def test_noise_alone_does_not_look_like_a_large_blur() -> None:
    sharp = texture()
    noisy = (sharp + RNG.normal(0, 3, sharp.shape)).clip(0, 255).astype(np.uint8)

    assert np.median(paired.extent(noisy, sharp)) < 2


def test_a_moving_half_is_told_from_a_still_one() -> None:
    sharp = texture()
    blurry = sharp.copy()
    blurry[:, 160:] = smear(sharp, 12)[:, 160:]

    sharpness = paired.sharpness(blurry, sharp)

    assert (sharpness[:, :130] > 0.96).mean() > 0.95
    assert (sharpness[:, 190:] > 0.96).mean() < 0.05


def test_s_is_096_at_three_pixels_and_a_half_at_their_multiple(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = np.array([[0, 3, 8, np.sqrt(216), np.inf]], np.float32)
    monkeypatch.setattr(paired, "extent", lambda blurry, sharp: lengths)
    frame = np.zeros((20, 20, 3), np.uint8)

    assert paired.sharpness(frame, frame)[0] == pytest.approx([1, 0.96, 216 / 280, 0.5, 0], abs=1e-6)


def test_a_place_without_texture_takes_the_extent_of_its_surroundings() -> None:
    sharp = texture()
    sharp[100:130, 140:170] = 128
    blurry = smear(sharp, 10)

    assert paired.extent(blurry, sharp)[115, 155] == pytest.approx(10, rel=0.5)


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_constant_pair_holds_no_evidence_and_counts_as_blurred(level: int) -> None:
    frame = np.full((40, 60, 3), level, np.uint8)

    assert np.isinf(paired.extent(frame, frame)).all()
    assert (paired.sharpness(frame, frame) == 0).all()


def test_without_a_partner_of_the_same_size_there_is_no_map() -> None:
    frame = texture(40, 60)

    with pytest.raises(ValueError, match="sharp frame is none, the blurry frame is 60 x 40"):
        paired.sharpness(frame)
    with pytest.raises(ValueError, match="sharp frame is 30 x 40, the blurry frame is 60 x 40"):
        paired.sharpness(frame, frame[:, :30])


@settings(max_examples=30, deadline=None)
@given(st.integers(16, 90), st.integers(16, 90), st.integers(0, 2**32 - 1))
def test_any_pair_gives_finite_s_of_its_own_size_within_0_and_1(height: int, width: int, seed: int) -> None:
    blurry, sharp = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), np.uint8)

    sharpness = paired.sharpness(blurry, sharp)

    assert sharpness.shape == (height, width)
    assert sharpness.dtype == np.float32
    assert sharpness.min() >= 0
    assert sharpness.max() <= 1
