"""Cameras: a grey card through each, what clips, what comes back, what a mosaic loses."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage import data

from prep.arrays import Floats
from prep.errors import SynthesisError
from prep.synthesis.camera import Camera, Setting
from prep.synthesis.cameras import CAMERAS, DSLR, GOPRO, NONE, PHONE, named
from prep.synthesis.mosaic import demosaic, mosaic
from prep.synthesis.response import GAMMA, SRGB

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
EVERY = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
RNG = np.random.default_rng


def card(light: float, side: int = 400) -> Floats:
    return np.full((side, side, 3), light, np.float32)


def drawn(camera: Camera, seed: int = 0) -> Setting:
    return camera.draw(RNG(seed))


@pytest.mark.parametrize("camera", [GOPRO, PHONE, DSLR], ids=lambda camera: camera.name)
@pytest.mark.parametrize("light", [0.0, 0.02, 0.18, 0.5])
def test_a_grey_cards_noise_lies_on_the_stated_line(camera: Camera, light: float) -> None:
    """Variance = shot * raw value + read^2 + rounding^2 / 12, to 5 %, for the setting of three frames."""
    if not light:  # rounding to the sensor's own codes hides read noise
        camera = replace(camera, bits=16)
    for seed in range(3):
        setting = drawn(camera, seed)
        raw = setting.sense(card(light), RNG(seed + 10))
        clean = setting.sense(card(light), None)
        assert camera.bits is not None
        step = 1 / ((2**camera.bits - 1) * 15 / 16)  # a sixteenth of the codes lies below black
        assert np.abs(raw / step - np.rint(raw / step)).max() < 0.02
        wanted = setting.shot * clean.mean(dtype=np.float64) + setting.read**2 + step**2 / 12
        pixels = [raw[row::2, column::2] for row, column in CORNERS]  # under a mosaic, each of one colour
        means = [clean[row::2, column::2].mean() for row, column in CORNERS]
        found = np.mean([pixel.var(dtype=np.float64) for pixel in pixels]) if camera.mosaic else raw.var((0, 1)).mean()
        assert found == pytest.approx(wanted, rel=0.05)
        for pixel, mean in zip(pixels, means, strict=True):
            assert abs(pixel.mean(dtype=np.float64) - mean) < 5 * np.sqrt(wanted / 40000)  # noise adds no light


def test_noise_is_drawn_by_gain_along_the_line_of_brooks() -> None:
    settings = [drawn(PHONE, seed) for seed in range(200)]
    shots, reads = (np.array([getattr(setting, name) for setting in settings]) for name in ("shot", "read"))

    assert np.abs(np.log(reads**2) - (2.18 * np.log(shots) + 1.20)).max() < 1e-3
    assert 1e-4 <= shots.min() < 2e-4 and 6e-3 < shots.max() <= 1.2e-2
    assert 0.4 < (np.log(shots) < np.log(1e-4 * 1.2e-2) / 2).mean() < 0.6  # even in the logarithm


def test_without_noise_a_light_comes_back_within_one_and_a_half_grey_levels() -> None:
    """A chart of every grey, and of colours that are not all dark in a channel, in patches of 12 pixels."""
    colours = np.array(np.meshgrid(*[(40, 80, 120, 160, 200, 240)] * 3)).reshape(3, 12, 18).transpose(1, 2, 0)
    charts = [np.kron(each.astype(np.uint8), np.ones((12, 12, 1), np.uint8)) for each in (EVERY, colours)]
    for camera in CAMERAS.values():
        for seed in range(4):
            setting = drawn(replace(camera, highlights=(1.0, 1.0)), seed)
            for chart in charts:
                back = setting.photograph(setting.to_light(chart), None).astype(int)
                assert np.abs(back - chart)[6::12, 6::12].max() <= 1.5


def test_a_photograph_loses_only_what_a_mosaic_does() -> None:
    photo = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)  # as sharp as can be
    for camera in CAMERAS.values():
        setting = drawn(replace(camera, highlights=(1.0, 1.0)))
        error = np.abs(setting.photograph(setting.to_light(photo), None).astype(int) - photo)
        assert error.mean() < 4.5 if camera.mosaic else error.max() <= 1.5
        assert np.median(error) <= 2


@pytest.mark.parametrize("corner", CORNERS)
def test_demosaicing_is_exact_where_colours_change_evenly_and_closer_than_opencv_elsewhere(
    corner: tuple[int, int],
) -> None:
    y, x = np.mgrid[:40, :50].astype(np.float32)
    ramps = np.stack([x, 50 - y, x + y], axis=2) ** 2  # even in their roots
    assert np.abs(demosaic(mosaic(ramps, corner), corner) - ramps)[4:-4, 4:-4].max() < 1e-6 * ramps.max()

    photo = data.astronaut().astype(np.float32)
    raw = mosaic(photo, corner)
    code = {(0, 0): "RGGB", (0, 1): "GRBG", (1, 0): "GBRG", (1, 1): "BGGR"}[corner]
    others = cv2.demosaicing(raw.astype(np.uint16), getattr(cv2, f"COLOR_Bayer{code}2RGB"))
    errors = [np.square(each - photo)[8:-8, 8:-8].mean() for each in (demosaic(raw, corner), others.astype(np.float32))]
    assert errors[0] < 0.6 * errors[1]


def test_demosaicing_keeps_the_light_of_noise() -> None:
    for mean in (0.0, 0.005, 0.1):
        noisy = mean + np.sqrt(1.1e-3 * mean + 1e-6) * RNG(0).standard_normal((400, 400), np.float32)
        found = demosaic(noisy.astype(np.float32), (0, 0)).mean(dtype=np.float64)
        assert found == pytest.approx(mean, rel=0.01, abs=1e-5)


def test_saturation_clips_as_computed_by_hand() -> None:
    """A lamp of a quarter of the exposure's length.

    Code 255 is light 1, brightened to 2.4; three quarters show code 51, light 0.2^2.2 = 0.02899. The mean is
    0.6217: code 255 * 0.6217^(1 / 2.2) = 205.5. Half the exposure: 1.2145, clipped: 255. Unbrightened, a quarter is
    0.2717: 141.1.
    """
    lamp, wall = (np.full((1, 1, 3), code, np.uint8) for code in (255, 51))
    for factor, parts, wanted in ((2.4, 1, 205.5), (2.4, 2, 255), (1.0, 1, 141.1)):
        setting = drawn(Camera(response=GAMMA, highlights=(factor, factor)))
        mean = (parts * setting.to_light(lamp) + (4 - parts) * setting.to_light(wall)) / 4
        assert setting.photograph(mean, None)[0, 0] == pytest.approx([wanted] * 3, abs=0.51)


def test_a_full_pixel_is_white_without_tint_or_noise() -> None:
    for camera in (PHONE, DSLR):
        setting = drawn(camera)
        assert (setting.photograph(card(3.0, 40), RNG(1)) == 255).all()


def test_each_part_alone_does_what_it_says() -> None:
    light = SRGB.to_light(data.astronaut())
    plain = replace(NONE, response=SRGB)
    clean = drawn(plain).photograph(light, RNG(0)).astype(int)
    assert np.array_equal(clean, data.astronaut())

    def change(**parts: object) -> np.ndarray:
        return drawn(replace(plain, **parts)).photograph(light, RNG(0)) - clean  # type: ignore[arg-type]

    assert np.abs(change(matrices=PHONE.matrices, red=PHONE.red, blue=PHONE.blue)).max() <= 1
    assert 0.5 < np.abs(change(mosaic=True)).mean() < 5
    assert 1 < change(shot=(1e-3, 1e-3)).std() < 20
    dark = clean < 20
    assert np.abs(change(bits=8))[dark].max() > 5 > np.abs(change(bits=8))[~dark].max()
    assert 0.5 < np.abs(change(jpeg=(60, 60))).mean() < 10
    assert drawn(replace(plain, jpeg=(60, 60))).photograph(light, None).tolist() == clean.tolist()


def test_nothing_is_drawn_of_what_cannot_vary() -> None:
    fixed = replace(DSLR, matrices=DSLR.matrices[:1], red=(2, 2), blue=(2, 2), highlights=(1, 1), mosaic=False,
                    shot=(1e-4, 1e-4), read=(1e-4, 1e-4))  # fmt: skip
    nobody: np.random.Generator = None  # type: ignore[assignment]

    assert fixed.draw(nobody).shot == 1e-4
    assert NONE.draw(nobody).quality is None


def test_unknown_cameras_and_tinted_matrices_are_one_line() -> None:
    with pytest.raises(SynthesisError, match="leica is not a camera; use one of none, gopro, phone, dslr"):
        named("leica")
    with pytest.raises(
        SynthesisError, match="a colour matrix of mine tints white; the sum of each of its rows must be 1"
    ):
        Camera(name="mine", matrices=(((1, 0, 0), (0, 1, 0), (0, 0.2, 1)),))
