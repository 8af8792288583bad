"""Synthetic pairs whose blur is known."""

import numpy as np
import pytest

from prep.synthesis import motion
from prep.synthesis.exposure import GAMMA, Exposure

SIZE = (96, 128)


def test_the_same_seed_gives_the_same_pair(photo: np.ndarray) -> None:
    one, two = (motion.shake(photo, SIZE, np.random.default_rng(4)) for _ in range(2))
    other = motion.shake(photo, SIZE, np.random.default_rng(5))

    assert np.array_equal(one.blurry, two.blurry)
    assert not np.array_equal(one.blurry, other.blurry)


def test_the_sharp_frame_holds_pixels_of_the_photograph_itself(photo: np.ndarray) -> None:
    shaken = motion.shake(photo, SIZE, np.random.default_rng(4))
    corners = np.lib.stride_tricks.sliding_window_view(photo[..., 1], (12, 12))

    assert (corners == shaken.sharp[:12, :12, 1]).all(axis=(2, 3)).any()  # not interpolated, so not softened


def test_the_extent_is_the_width_of_a_blurred_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    dots = np.zeros((200, 240, 3), np.uint8)
    dots[20::40, 20::40] = 255
    monkeypatch.setattr(motion, "_region", lambda size, rng: np.zeros(size, np.float32))
    errors = []
    for seed in range(12):
        shaken = motion.shake(dots, (120, 160), np.random.default_rng(seed))
        for y, x in np.argwhere(shaken.sharp[20:-20, 20:-20, 0] > 200) + 20:
            patch = shaken.blurry[y - 12 : y + 13, x - 12 : x + 13, 0].astype(float)
            ys, xs = np.nonzero(patch > patch.max() * 0.4)
            errors.append(np.hypot(np.ptp(ys), np.ptp(xs)) - shaken.extent[y, x])

    assert len(errors) > 50
    assert abs(np.median(errors)) < 1.0  # a dot on the pixel grid is up to one pixel too wide or too narrow
    assert np.percentile(np.abs(errors), 90) < 2.5  # and a bent way is longer than the span of its ends


def test_blur_is_large_where_the_extent_is(photo: np.ndarray) -> None:
    stroke = motion.Stroke(shortest=0, longest=14, tilt=1.5)
    changes, extents = [], []
    for seed in range(20):
        shaken = motion.shake(photo, SIZE, np.random.default_rng(seed), camera=stroke, region=stroke)
        changes.append(np.abs(shaken.blurry.astype(float) - shaken.sharp).mean())
        extents.append(shaken.extent.mean())

    assert np.corrcoef(changes, extents)[0, 1] > 0.7


def test_a_photograph_smaller_than_the_frame_is_refused(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match="photograph is 190 x 150 pixels; wanted at least 128 x 151"):
        motion.shake(photo, (151, 128), np.random.default_rng(0))


def test_averaged_as_light_a_shaken_edge_is_brighter(photo: np.ndarray) -> None:
    linear, light = (
        motion.shake(photo, SIZE, np.random.default_rng(4), exposure=exposure).blurry.astype(float)
        for exposure in (Exposure(), Exposure(response=GAMMA))
    )

    assert (light - linear).min() > -2
    assert (light - linear).max() > 3


def test_a_long_stroke_leaves_no_row_of_ghosts(monkeypatch: pytest.MonkeyPatch) -> None:
    dots = np.zeros((200, 240, 3), np.uint8)
    dots[100:103, 120:123] = 255
    monkeypatch.setattr(motion, "_region", lambda size, rng: np.zeros(size, np.float32))
    still, long = motion.Stroke(shortest=0, longest=0, tilt=0), motion.Stroke(shortest=48, longest=48, tilt=0)

    shaken = motion.shake(dots, (200, 240), np.random.default_rng(0), camera=long, region=still)

    seen = shaken.blurry[:, :, 0].max(axis=0)  # along the stroke
    lit = np.flatnonzero(seen)
    assert np.ptp(lit) >= 46
    assert seen[lit[3] : lit[-3]].min() > 0.4 * seen.max()  # a dot of 3 pixels is seen once or twice in steps of 2
