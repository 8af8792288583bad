"""The page for checking masks in a real browser: what its tests share."""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.review import site
from prep.datasets import tree_pairs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium"),
]
HOSTILE = "a\"b'<img src=x onerror=alert(1)>&amp;{{ 7 * 7 }} über-写真"
COPY = "Object.values(localStorage).map(text => JSON.parse(text))"


def until(page: Any, condition: str, given: Any = None) -> None:
    """Wait until a JavaScript expression holds; the page's own policy forbids what playwright does for that."""
    end = time.monotonic() + 10
    while not page.evaluate(condition, given):
        assert time.monotonic() < end, f"{condition} did not come true of {given}"
        page.wait_for_timeout(20)


def open_large(page: Any, address: str, presses: int = 0) -> None:
    page.goto(address)
    page.wait_for_selector(".cell")
    for _ in range(presses):
        page.keyboard.press("j")
    page.keyboard.press("Space")
    until(page, "review.parts.large.whole && document.querySelector('.panels canvas')")


def masks_shown(page: Any, mu: float) -> np.ndarray:
    """The mask that the page makes, after mu was typed; and, read from a canvas, the one that it draws."""
    page.fill("#mu-number", str(mu))
    until(page, "mu => review.parts.large.mu === mu", mu)
    height, width, made, drawn = page.evaluate(
        """() => {
          const {large} = review.parts;
          const {width, height} = large.whole;
          const white = large.painted("white", 0, large.mu, [255, 255, 255, 255], [0, 0, 0, 255]);
          const pixels = white.getContext("2d").getImageData(0, 0, width, height).data;
          return [height, width, [...large.mask(0, large.mu)], [...pixels].filter((_, at) => at % 4 === 0)];
        }"""
    )
    np.testing.assert_array_equal(np.array(drawn) // 255, made)
    return np.array(made, np.uint8).reshape(height, width)


def review_of(folder: Path, *, is_served: bool = False) -> site.Review:
    dataset = tree_pairs.find_pairs(folder / "blurry", folder / "sharp")
    maps = [site.open_maps(folder / method, dataset.pairs) for method in ("lbp-absolute", "laplacian")]
    return site.Review(
        name="pairs", pairs=dataset.pairs, maps=maps, verdicts=folder / "verdicts.json", is_served=is_served
    )
