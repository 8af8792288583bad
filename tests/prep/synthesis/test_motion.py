"""Paths, and the extents that follow from them: against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prep.synthesis import motion, trajectories
from prep.synthesis.motion import Motion
from prep.synthesis.trajectories import Stroke

SIZE = (720, 1280)
CENTRE = ((SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2)
CORNER = float(np.hypot(*CENTRE))
Y, X = np.mgrid[: SIZE[0], : SIZE[1]]
RADII = np.hypot(X - CENTRE[0], Y - CENTRE[1])


def even(way: float, count: int) -> np.ndarray:
    """From -way / 2 to way / 2 at an even speed, at the middles of the parts."""
    return way * ((np.arange(count) + 0.5) / count - 0.5)


def moving(count: int, shift: tuple[float, float] = (0, 0), turn: float = 0, growth: float = 0) -> Motion:
    x, y = (even(way, count) for way in shift)
    return Motion(centre=CENTRE, shift=np.stack([x, y], 1), turn=even(turn, count), growth=even(growth, count))


def test_the_extent_of_a_shift_is_its_length_everywhere() -> None:
    extent = moving(31, shift=(24, -7)).extent(SIZE)

    assert np.abs(extent - 25).max() < 0.1


def test_the_extent_of_a_roll_is_that_of_the_arc() -> None:
    """A point at radius r runs along an arc of angle w: with u even in [-w/2, w/2] the variance along the tangent is
    r^2 (1/2 - sin(w) / (2 w)), across it less."""
    turn = 40 / CORNER
    exact = RADII * np.sqrt(12 * (0.5 - np.sin(turn) / (2 * turn)))

    extent = moving(41, turn=turn).extent(SIZE)

    assert np.abs(extent - exact).max() < 0.1
    assert extent.max() == pytest.approx(40, abs=0.1)


def test_the_extent_of_a_zoom_is_that_of_the_ray() -> None:
    """A point at radius r runs over r e^u, u even in [-g/2, g/2]: variance r^2 (sinh(g) / g - (2 sinh(g/2) / g)^2)."""
    growth = 30 / CORNER
    exact = RADII * np.sqrt(12 * (np.sinh(growth) / growth - (2 * np.sinh(growth / 2) / growth) ** 2))

    extent = moving(31, growth=growth).extent(SIZE)

    assert np.abs(extent - exact).max() < 0.1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_motions_extent_is_that_of_each_pixels_own_path(seed: int) -> None:
    stroke = Stroke(shortest=0, longest=40, roll=15, zoom=10)
    drawn = motion.draw(stroke, CENTRE, CORNER, np.random.default_rng(seed))
    extent = drawn.extent(SIZE)
    for x, y in ((0, 0), (1279, 0), (640, 360), (17, 701)):
        path = np.array([drawn.at(place) @ (x, y, 1) for place in range(drawn.count)])
        variance = np.linalg.eigvalsh(np.cov(path.T, bias=True))[1]
        assert extent[y, x] == pytest.approx(np.sqrt(12 * max(variance, 0)), abs=0.01)
        assert drawn.extent((1, 1), (x, y))[0, 0] == pytest.approx(extent[y, x], abs=1e-3)
    assert np.allclose(drawn.at(drawn.count // 2), np.eye(2, 3))  # at rest in the sharp frame


@pytest.mark.parametrize("tremor", [0.0, 1.0])
def test_a_path_has_the_extent_and_direction_asked_for(tremor: float) -> None:
    stroke = Stroke(shortest=12, longest=12, tilt=0.2, tremor=tremor)
    for seed in range(50):
        path = trajectories.draw_path(stroke, np.random.default_rng(seed))
        spread, axes = np.linalg.eigh(trajectories.covariance(trajectories.resample(path, 999)))
        assert np.sqrt(12 * spread[1]) == pytest.approx(12, abs=0.05)
        assert abs(axes[1, 1] / axes[0, 1]) <= np.tan(0.2) + 1e-6
        assert np.allclose(path[len(path) // 2], 0)


def test_a_hand_turns_about_where_a_stroke_does_not() -> None:
    def lengths(tremor: float) -> np.ndarray:
        stroke = Stroke(shortest=10, longest=10, tremor=tremor)
        paths = [trajectories.draw_path(stroke, np.random.default_rng(seed)) for seed in range(100)]
        return np.array([np.linalg.norm(np.diff(path, axis=0), axis=1).sum() for path in paths])

    assert np.abs(lengths(0) - 10).max() < 0.1
    assert np.median(lengths(1)) > 10.5 and np.percentile(lengths(1), 90) > 15


def test_inertia_draws_a_hand_back_to_where_it_began() -> None:
    ends = [np.linalg.norm(trajectories.walk(1.0, np.random.default_rng(seed))[-1]) for seed in range(300)]

    assert 0.5 < np.median(ends) < 0.9  # without the pull 1.2; without tremor 1


def test_sub_frames_lie_close_and_no_more_of_them_than_needed() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = motion.draw(Stroke(shortest=0, longest=40, roll=8, zoom=4), CENTRE, CORNER, rng)
        ends = [drawn.length(x, y) / (drawn.count - 1) for x, y in ((0, 0), (1279, 719), (0, 719), (1279, 0))]
        assert drawn.count % 2 == 1
        assert max(ends) < 1.6 and (drawn.count <= 7 or max(ends) > 1)
    assert motion.draw(Stroke(shortest=0, longest=0), CENTRE, CORNER, rng).count == 1
