"""Scenes: what is seen, how far it is smeared, what is covered; against a plain rendering."""

import cv2
import numpy as np
import pytest

from prep.synthesis import motion, scene
from prep.synthesis.camera import Setting
from prep.synthesis.cameras import NONE
from prep.synthesis.motion import Motion
from prep.synthesis.outlines import Segments
from prep.synthesis.scene import Layer
from prep.synthesis.trajectories import Stroke

SIZE = (96, 128)
STILL = Stroke(shortest=0, longest=0)
RNG = np.random.default_rng


@pytest.fixture
def setting() -> Setting:
    return NONE.draw(RNG(0))


def shifted(way: float, count: int = 0) -> Motion:
    """To the right, at an even speed."""
    count = count or max(1, 2 * int(way) + 1)
    steps = way * ((np.arange(count) + 0.5) / count - 0.5)
    still = np.zeros(count)
    return Motion(centre=(64, 48), shift=np.stack([steps, still], 1), turn=still, growth=still)


def block(way: float, height: int = 40, width: int = 30, value: float = 1.0) -> Layer:
    picture = np.full((height, width, 4), value, np.float32)
    picture[:, :, 3] = 1
    return Layer(picture=picture, corner=(49, 28), motion=shifted(way))


def wall(way: float = 0) -> Layer:
    picture = RNG(0).random((96, 128, 3), np.float32)
    return Layer(picture=cv2.GaussianBlur(picture, (0, 0), 2), corner=(0, 0), motion=shifted(way))


def test_the_sharp_frame_holds_pixels_of_the_photograph_itself(photo: np.ndarray, setting: Setting) -> None:
    segments = Segments(photo)
    layers = scene.compose(photo, segments, SIZE, setting, RNG(4), hand=Stroke(shortest=5, longest=7), things=0)

    sharp = np.rint(255 * scene.expose(layers, SIZE).sharp).astype(np.uint8)

    corners = np.lib.stride_tricks.sliding_window_view(photo, SIZE, axis=(0, 1))
    assert (corners == sharp.transpose(2, 0, 1)).all(axis=(2, 3, 4)).any()  # not interpolated, so not softened


def test_what_stands_still_is_as_sharp_as_it_was(photo: np.ndarray, setting: Setting) -> None:
    layers = scene.compose(photo, Segments(photo), SIZE, setting, RNG(4), hand=STILL, thing=STILL, things=2)

    exposed = scene.expose(layers, SIZE)

    assert np.abs(exposed.blurry - exposed.sharp).max() < 1e-6
    assert (exposed.extent == 0).all()


def test_a_blurred_edge_is_a_ramp_as_long_as_the_extent() -> None:
    """A white block of 30 pixels that goes 12 to the right before black: light is the share of time it is there."""
    black = Layer(picture=np.zeros((*SIZE, 3), np.float32), corner=(0, 0), motion=shifted(0))

    exposed = scene.expose([black, block(12.0)], SIZE)

    x = np.arange(128)
    left, right = 49 - 0.5, 79 - 0.5  # of the block's edge in the middle of the exposure, pixels being 1 wide
    wanted = (np.clip((x - (left - 6)) / 12, 0, 1) * np.clip(((right + 6) - x) / 12, 0, 1)).astype(np.float32)
    assert np.abs(exposed.blurry[48, :, 0] - wanted).max() < 0.03
    assert exposed.extent[48, 60] == pytest.approx(12, abs=0.05)
    assert np.array_equal(np.unique(exposed.sharp), [0, 1])


def test_extents_count_sub_frames_as_long_as_they_are_seen() -> None:
    """Five sub-frames of a wall before seven of a block are seen for 1, 2, 1, 2 and 1 moments."""
    slow = Layer(picture=wall().picture, corner=(0, 0), motion=shifted(10.0, 5))
    fast = Layer(picture=block(0.0).picture, corner=(49, 28), motion=shifted(12.0, 7))
    places = np.repeat(10.0 * ((np.arange(5) + 0.5) / 5 - 0.5), (1, 2, 1, 2, 1))

    exposed = scene.expose([slow, fast], SIZE)

    assert exposed.extent[5, 5] == pytest.approx(np.sqrt(12 * places.var()), abs=1e-3)
    assert exposed.extent[48, 64] == pytest.approx(12 / 7 * np.sqrt(48), abs=1e-3)


def test_what_is_covered_for_a_part_of_the_time_has_no_extent() -> None:
    exposed = scene.expose([wall(), block(12.0)], SIZE)

    unknown = np.flatnonzero(np.isnan(exposed.extent[48]))

    assert set(range(44, 49)) | set(range(79, 84)) <= set(unknown.tolist())  # beside the block, at either end
    assert set(unknown.tolist()) <= set(range(43, 49)) | set(range(79, 85))
    assert (exposed.extent[48, 49:79] > 11.9).all()
    assert (exposed.extent[:20] == 0).all()


def test_the_nearest_layer_covers_the_others_whatever_it_moves() -> None:
    white, grey = block(0.0), block(30.0, value=0.5)

    exposed = scene.expose([wall(), grey, white], SIZE)

    assert np.abs(exposed.blurry[30:66, 50:78] - 1).max() < 1e-5
    assert (exposed.extent[30:66, 50:78] == 0).all()


def test_a_scene_is_what_a_plain_rendering_of_all_layers_gives() -> None:
    """Every layer drawn over the whole frame at each of 301 moments, in float64."""
    layers = [wall(9.0), block(14.0, value=0.7), block(5.0, height=20, width=50, value=0.2)]
    total = np.zeros((*SIZE, 3))
    for moment in range(301):
        time = (moment + 0.5) / 301 - 0.5
        frame = np.zeros((*SIZE, 3))
        for layer, way in zip(layers, (9.0, 14.0, 5.0), strict=True):
            left, top = layer.corner
            forward = np.array([[1, 0, left + way * time], [0, 1, top]])
            border = cv2.BORDER_REFLECT_101 if layer.picture.shape[2] == 3 else cv2.BORDER_CONSTANT
            view = cv2.warpAffine(layer.picture, forward, SIZE[::-1], flags=cv2.INTER_LINEAR, borderMode=border)
            frame = view[:, :, :3] + frame * (1 - view[:, :, 3:4] if view.shape[2] == 4 else 0)
        total += frame / 301

    exposed = scene.expose(layers, SIZE)

    assert np.abs(exposed.blurry - total).max() < 0.05
    assert np.abs(exposed.blurry - total).mean() < 0.004


def test_the_extent_is_the_width_of_a_blurred_dot(setting: Setting) -> None:
    dots = np.zeros((200, 240, 3), np.uint8)
    dots[20::40, 20::40] = 255
    stroke = Stroke(shortest=4, longest=8, tremor=0, roll=3, zoom=2)
    errors = []
    for seed in range(12):
        layers = scene.compose(dots, Segments(dots), (120, 160), setting, RNG(seed), hand=stroke, things=0)
        exposed = scene.expose(layers, (120, 160))
        for y, x in np.argwhere(exposed.sharp[20:-20, 20:-20, 0] > 0.8) + 20:
            patch = exposed.blurry[y - 12 : y + 13, x - 12 : x + 13, 0].astype(np.float64).clip(0)
            ys, xs = np.indices(patch.shape) - 12
            weights = patch.ravel() / patch.sum()
            points = np.stack([xs.ravel(), ys.ravel()])
            centred = points - points @ weights[:, None]
            spread = np.linalg.eigvalsh((centred * weights) @ centred.T)[1]
            errors.append(np.sqrt(12 * spread) - exposed.extent[y, x])

    assert len(errors) > 50
    assert abs(np.median(errors)) < 0.25
    assert np.percentile(np.abs(errors), 90) < 0.6  # interpolation widens it


def test_a_long_stroke_leaves_no_row_of_ghosts(setting: Setting) -> None:
    dots = np.zeros((200, 240, 3), np.uint8)
    dots[100:103, 120:123] = 255
    long = Stroke(shortest=48, longest=48, tilt=0, tremor=0)

    layers = scene.compose(dots, Segments(dots), (200, 240), setting, RNG(0), hand=long, things=0)
    seen = scene.expose(layers, (200, 240)).blurry[:, :, 0].max(axis=0)  # along the stroke

    lit = np.flatnonzero(seen > 0.2 * seen.max())
    assert np.ptp(lit) >= 46
    assert seen[lit[4] : lit[-4]].min() > 0.8 * seen.max()


def test_things_are_cut_along_the_photographs_edges_and_may_be_anywhere(setting: Setting) -> None:
    photo = np.full((300, 400, 3), (30, 90, 40), np.uint8)
    cv2.fillPoly(photo, [np.array([(120, 60), (300, 100), (260, 240), (140, 210)])], (220, 60, 50))
    segments = Segments(photo)
    edge = cv2.Canny(photo, 50, 150) > 0
    near = cv2.dilate(edge.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    on_edge, middles = [], []
    for seed in range(60):
        cutout = segments.draw(22000, RNG(seed))
        x, y = cutout.corner
        height, width = cutout.alpha.shape
        red = photo[y : y + height, x : x + width, 0] > 150
        if red[cutout.alpha > 0.9].mean() > 0.95:  # it began inside the red shape
            outline = cv2.Canny((255 * (cutout.alpha > 0.5)).astype(np.uint8), 50, 150) > 0
            on_edge.append(near[y : y + height, x : x + width][outline].mean())
        layer = scene.compose(photo, segments, (200, 300), setting, RNG(seed), things=1)[1]
        middles.append([layer.corner[0] + layer.picture.shape[1] / 2, layer.corner[1] + layer.picture.shape[0] / 2])

    assert len(on_edge) > 10
    assert np.median(on_edge) > 0.5
    assert np.all(np.min(middles, axis=0) < (60, 40)) and np.all(np.max(middles, axis=0) > (240, 160))


def test_blur_is_large_where_the_extent_is(photo: np.ndarray, setting: Setting) -> None:
    stroke = Stroke(shortest=0, longest=14)
    changes, extents = [], []
    for seed in range(20):
        layers = scene.compose(photo, Segments(photo), SIZE, setting, RNG(seed), hand=stroke, thing=stroke)
        exposed = scene.expose(layers, SIZE)
        changes.append(np.abs(exposed.blurry - exposed.sharp).mean())
        extents.append(np.nanmean(exposed.extent))

    assert np.corrcoef(changes, extents)[0, 1] > 0.7


def test_a_photograph_smaller_than_the_frame_is_refused(photo: np.ndarray, setting: Setting) -> None:
    with pytest.raises(ValueError, match="190 x 150 pixels, smaller than the 128 x 151"):
        scene.compose(photo, Segments(photo), (151, 128), setting, RNG(0))


def test_a_motion_reaches_no_farther_than_it_says() -> None:
    drawn = motion.draw(Stroke(shortest=30, longest=30, roll=20, zoom=10), (64, 48), 80, RNG(1))
    thing = Layer(picture=np.ones((30, 30, 4), np.float32), corner=(40, 30), motion=drawn)
    box = thing.swept(SIZE)
    whole = scene.Box(left=0, top=0, right=128, bottom=96)
    for place in range(drawn.count):
        alpha = thing.view(place, whole)[:, :, 3].copy()
        inside = alpha[box.slices()].copy()
        assert alpha.sum() == pytest.approx(inside.sum())
