"""Pictures of pieces of photographs, to train on."""

import numpy as np
import pytest

from pipelines import collage
from prep.arrays import Bytes

GREY = [np.full((200, 300, 3), level, np.uint8) for level in (80, 160)]


def made(seed: int, photographs: list[Bytes] = GREY) -> Bytes:
    return collage.make(photographs, np.random.default_rng(seed))


def test_each_seed_gives_another_picture_and_always_the_same() -> None:
    first = made(0)

    assert first.shape == (*collage.SIDES, 3) and first.dtype == np.uint8
    assert np.array_equal(first, made(0))
    assert np.mean(np.any(first != made(1), axis=-1)) > 0.5


def test_colours_are_those_of_the_photographs() -> None:
    picture = made(0).astype(int)

    assert np.ptp(picture, axis=-1).max() <= 1  # grey photographs, grey leaves
    assert picture.min() >= 80 * collage.GAINS[0] - 1 and picture.max() <= 160 * collage.GAINS[1] + 1


def test_leaves_cover_the_picture_with_edges_of_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def has_an_edge(picture: Bytes) -> np.ndarray:
        steps = np.abs(np.diff(picture[..., 1].astype(int), axis=1)) > 8
        blocks = steps[:560, :700].reshape(14, 40, 14, 50)
        return np.asarray(blocks.any(axis=(1, 3)))

    assert has_an_edge(made(2)).mean() > 0.9
    monkeypatch.setattr(collage, "LEAVES", 20)
    assert has_an_edge(made(2)).mean() < 0.9


def test_small_leaves_are_many_as_the_cube_of_their_radius_says() -> None:
    radii = collage._radii(100_000, np.random.default_rng(0))
    least, most = collage.RADII

    assert radii.min() >= least and radii.max() <= most
    # With density r^-3 the share of what is larger than twice the least is (1/4 - q) / (1 - q), q = (least / most)^2.
    share = (least / most) ** 2
    assert np.mean(radii > 2 * least) == pytest.approx((0.25 - share) / (1 - share), abs=0.005)
