"""A tiny data set in GoPro's layout, and packs of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from review_page import CHROMIUM
from strokes import HAND, THING

from prep.datasets import layouts
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.packs import packing
from prep.synthesis import from_photos
from prep.synthesis.recipes import PhotoRecipe


@pytest.fixture(scope="session")
def gopro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``GOPRO_Large`` of three training clips from two recordings and one test clip, 64 x 80 pixels."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:100, :120]
    smooth = 120 + 60 * np.sin(x / 7) * np.cos(y / 9)
    grain = np.where((x // 30 + y // 20) % 2, rng.normal(0, 30, (100, 120)), 0)
    photo = np.stack([smooth + grain, smooth - grain, 255 - smooth], axis=2).clip(0, 255).astype(np.uint8)
    folder = tmp_path_factory.mktemp("data") / "GOPRO_Large"
    clips = {"train": ("GOPR0001_00_00", "GOPR0001_00_01", "GOPR0002_00_00"), "test": ("GOPR0003_00_00",)}
    for split, names in clips.items():
        recipe = PhotoRecipe(count=2, size=(64, 80), hand=HAND, thing=THING, things=(1, 1), seed=1)
        list(from_photos.write_gopro(dict.fromkeys(names, photo), folder, split, recipe))
    return folder


def make_pack(root: Path, folder: Path, split: str, side: int | None) -> Path:
    """Pack one split of a data set into ``folder``."""
    dataset = layouts.find(root)
    pairs, recipe = dataset.select(split), making.recipe_of(dataset, "lbp")
    list(making.make(making.plan(pairs, MasksFolder(folder / "masks"), recipe, 0.96), jobs=1))
    size, is_whole = packing.crop_size(pairs, side), side is None
    is_padded = is_whole and len(set(packing.frame_sizes(pairs))) > 1
    head = packing.header(dataset, split, recipe, 0.96, size, whole_frames=is_whole, targets=True, is_padded=is_padded)
    list(packing.pack(pairs, MasksFolder(folder / "masks"), folder / f"{split}.h5", head, jobs=1))
    return folder / f"{split}.h5"


@pytest.fixture(scope="session")
def packing_of() -> Callable[[Path, Path, str, int | None], Path]:
    """``make_pack``, for tests with data of their own."""
    return make_pack


@pytest.fixture(scope="session")
def train_pack(gopro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames in crops of 48."""
    return make_pack(gopro, tmp_path_factory.mktemp("packs"), "train", 48)


@pytest.fixture(scope="session")
def test_pack(gopro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two whole frames."""
    return make_pack(gopro, tmp_path_factory.mktemp("packs"), "test", None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
