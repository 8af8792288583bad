"""Pictures that pages are made of: scaled, exact in colour, of the size that they say."""

import base64
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.pages import pictures
from prep.masks import equations


def decode(uri):
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(("width", "expected"), [(480, (270, 480)), (2000, (720, 1280))])
def test_a_photograph_is_scaled_down_and_never_enlarged(width, expected):
    assert decode(pictures.as_jpeg(np.zeros((720, 1280, 3), np.uint8), width)).shape[:2] == expected


def test_a_jpeg_keeps_red_red():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 200

    # A flat block loses nothing but the rounding of the colour transform.
    np.testing.assert_allclose(decode(pictures.as_jpeg(image, 16)).astype(int), image, atol=3)


@pytest.mark.parametrize("shape", [(20, 30, 3), (20, 30)])
def test_a_png_keeps_every_pixel(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode(pictures.as_png(image)), expected)


def test_the_colours_of_s_run_from_the_violet_to_the_yellow_of_viridis():
    drawn = pictures.colour(np.array([[0, equations.LEVELS]], np.uint16))

    # matplotlib's table: (0.267, 0.005, 0.329) and (0.993, 0.906, 0.144)
    assert drawn.tolist() == [[[68, 1, 84], [253, 231, 37]]]


def test_equal_steps_of_s_are_equal_steps_of_lightness():
    scale = pictures.colour(np.arange(0, equations.LEVELS + 1, 257, dtype=np.uint16)[None])

    steps = np.diff(cv2.cvtColor(scale.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, ::15, 0])
    # viridis is uniform in CAM02-UCS, of which the lightness of CIELAB is a near relation; jet misses by 22
    assert abs(steps / steps.mean() - 1).max() < 0.2


def test_a_small_map_shows_no_colour_that_is_not_on_the_scale():
    codes = np.random.default_rng(0).integers(0, 65536, (90, 160), np.uint16)
    scale = {tuple(each) for each in pictures.colour(np.arange(65536, dtype=np.uint16)[None])[0]}

    assert {tuple(each) for each in pictures.small_map(codes, 48).reshape(-1, 3)} <= scale


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_packed_codes_hold_every_bit(height, width, seed):
    codes = np.random.default_rng(seed).integers(0, 65536, (height, width), np.uint16)

    planes = np.frombuffer(zlib.decompress(base64.b64decode(pictures.pack_codes(codes))), np.uint8)
    high, low = planes.reshape(2, height, width).astype(np.uint16)
    np.testing.assert_array_equal(np.cumsum((high << 8) | low, axis=1, dtype=np.uint16), codes)
