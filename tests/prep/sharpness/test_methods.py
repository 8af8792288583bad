"""What all sharpness maps have in common: one signature, any frame, the same answer each time."""

import subprocess
import sys

import numpy as np
import pytest

from prep.sharpness import METHODS, hifst, laplacian, lbp, lbp_absolute

RNG = np.random.default_rng(11)
COMPILES = pytest.mark.slow  # pymatting's first import compiles for more than a minute
NAMES = [  # of methods that look at pictures
    pytest.param(name, marks=COMPILES if name == "lbp-matting" else ()) for name in METHODS if name != "extent"
]

FRAMES = {
    "black": np.zeros((40, 56, 3), np.uint8),
    "saturated": np.full((40, 56, 3), 255, np.uint8),
    "half saturated": np.repeat(np.repeat(np.array([[0], [255]], np.uint8), 20, 0), 56, 1)[:, :, None].repeat(3, 2),
    "noise": RNG.integers(0, 256, (40, 56, 3), np.uint8),
    "smallest": RNG.integers(0, 256, (16, 16, 3), np.uint8),
    "narrow": RNG.integers(0, 256, (16, 200, 3), np.uint8),
    "tall, odd": RNG.integers(0, 256, (131, 17, 3), np.uint8),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
@pytest.mark.parametrize("name", NAMES)
def test_any_frame_gives_s_of_its_size_up_to_the_ceiling_and_twice_the_same(name: str, frame: np.ndarray) -> None:
    method = METHODS[name]
    before = frame.copy()

    first, second = method.compute(frame, frame), method.compute(frame, frame)

    assert first.dtype == np.float32
    assert first.shape == frame.shape[:2]
    assert first.min() >= 0
    assert first.max() <= method.ceiling
    assert np.array_equal(first, second)
    assert np.array_equal(frame, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_frame_is_at_the_methods_floor(name: str) -> None:
    frame = np.full((48, 64, 3), 90, np.uint8)

    sharpness = METHODS[name].compute(frame, frame)

    assert np.ptp(sharpness) == 0
    assert sharpness[0, 0] <= 0.0384


@pytest.mark.parametrize("name", NAMES)
def test_frames_below_16_pixels_are_refused(name: str) -> None:
    frame = np.zeros((15, 40, 3), np.uint8)

    with pytest.raises(ValueError, match="the frame is 40 x 15; the smallest is 16 x 16"):
        METHODS[name].compute(frame, frame)


@pytest.mark.parametrize("name", [name for name in METHODS if not METHODS[name].beside and name != "lbp-matting"])
def test_a_blind_map_does_not_look_at_the_sharp_frame(name: str) -> None:
    frame, other = FRAMES["noise"], FRAMES["black"]

    assert np.array_equal(METHODS[name].compute(frame, None), METHODS[name].compute(frame, other))


@pytest.mark.parametrize("module", [lbp, lbp_absolute, hifst, laplacian])
def test_texture_is_sharper_than_a_smooth_ramp(module: object) -> None:
    frame = np.tile(np.linspace(40, 200, 160), (96, 1))
    frame[:, :48] = RNG.integers(0, 256, (96, 48))
    sharpness = module.sharpness(np.repeat(frame.astype(np.uint8)[:, :, None], 3, axis=2))  # type: ignore[attr-defined]

    assert sharpness[30:60, 15:35].mean() > 0.5 > sharpness[30:60, 100:140].mean()


def test_loading_the_methods_compiles_no_matting() -> None:
    code = "import sys, prep.sharpness; sys.exit('pymatting' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_method_states_its_parameters_and_source() -> None:
    for name, method in METHODS.items():
        assert method.name == name
        assert method.parameters
        assert any(character.isdigit() for character in method.source)
