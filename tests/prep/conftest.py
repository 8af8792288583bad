"""A tiny data set in GoPro's layout, of real structure: textured, shaken, its blur known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from strokes import HAND, THING

from prep.synthesis import from_photos
from prep.synthesis.recipes import PhotoRecipe


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """``(150, 190, 3)``: smooth shapes and fine grain side by side."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:150, :190]
    smooth = 120 + 60 * np.sin(x / 9) * np.cos(y / 13)
    grain = np.where((x // 40 + y // 30) % 2, rng.normal(0, 30, (150, 190)), 0)
    return np.stack([smooth + grain, smooth - grain, 255 - smooth], axis=2).clip(0, 255).astype(np.uint8)


@pytest.fixture
def make_gopro(tmp_path: Path, photo: np.ndarray) -> Callable[..., Path]:
    """Writes a data set and gives its folder."""

    def make(train: int = 3, test: int = 1, size: tuple[int, int] = (96, 128)) -> Path:
        folder = tmp_path / "data" / "GOPRO_Large"
        for split, count in (("train", train), ("test", test)):
            recipe = PhotoRecipe(count=count, size=size, hand=HAND, thing=THING, things=(1, 1), seed=1)
            list(from_photos.write_gopro({f"clip_{split}": photo}, folder, split, recipe))
        return folder

    return make
