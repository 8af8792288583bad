"""Local binary patterns against their definition."""

import itertools

import numpy as np
import pytest

from prep.sharpness import patterns

RNG = np.random.default_rng(3)


def plain_pattern(grey: np.ndarray, y: int, x: int, threshold: float) -> int:
    """The code of one pixel by the definition: float64, one neighbour after another."""
    padded = np.pad(grey.astype(np.float64), 1, mode="edge")
    ring = []
    for angle in range(8):
        dy, dx = -np.sin(angle * np.pi / 4), np.cos(angle * np.pi / 4)
        value = 0.0
        for cy, cx in itertools.product((-1, 0, 1), repeat=2):
            value += padded[y + 1 + cy, x + 1 + cx] * max(0, 1 - abs(dy - cy)) * max(0, 1 - abs(dx - cx))
        ring.append(np.floor(value + 1e-9) - grey[y, x] > threshold)
    changes = sum(ring[place] != ring[place - 1] for place in range(8))
    return sum(ring) if changes <= 2 else 9


@pytest.mark.parametrize("threshold", [4.08, 11.7])
@pytest.mark.parametrize("brightest", [12, 60, 256])
def test_patterns_follow_the_definition(threshold: float, brightest: int) -> None:
    grey = RNG.integers(0, brightest, (14, 17)).astype(np.uint8)

    marks = patterns.non_uniform(grey, threshold)

    expected = [[plain_pattern(grey, y, x, threshold) >= 6 for x in range(17)] for y in range(14)]
    assert np.array_equal(marks, np.array(expected))


def test_a_diagonal_neighbour_that_is_a_whole_number_is_not_floored_to_the_one_below() -> None:
    """Opposite sides cancel, 1/2 centre + 1/2 corner is left: 5 brighter than the centre, T = 4.08 and no less."""
    for level in range(30, 200):
        grey = np.full((3, 3), level, np.uint8)
        grey[0, 0] = grey[0, 2] = grey[2, 0] = grey[2, 2] = level + 10
        grey[0, 1], grey[1, 0], grey[1, 2], grey[2, 1] = level + 3, level - 3, level - 3, level + 3

        assert patterns.non_uniform(grey, 4.08)[1, 1] == 1  # four brighter, none side by side: code 9
