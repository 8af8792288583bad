"""The page of a comparison: what is clear, what rests on few frames, and that it fits a narrow window."""

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.evaluate import comparison_page
from pipelines.evaluate.by_extent import EDGES
from pipelines.evaluate.comparison import Entry, compare_all
from pipelines.evaluate.examples import Wipe, part_panel, photo
from pipelines.evaluate.gallery import DrawnLineup

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAMES = ("a-network-with-a-name-as-long-as-a-file", "b", "c", "d")


def entry(name: str, gain: float, count: int) -> Entry:
    rows = {
        f"clip/{number:06}": {
            "key": f"clip/{number:06}",
            **{"psnr_blurry": 20.0 + number, "psnr": 20.0 + number + gain + 0.01 * number},
            **{"psnr_m1_blurry": math.nan, "psnr_m1": 30.0 if number < 2 else math.nan},
            "extents": [[900 * (number == 0), 10, 10]] + [[400, 10, 10]] * (len(EDGES) - 2),
        }
        for number in range(count)
    }
    ranges = [
        {"from": low, "to": high, "pixels": 900.0 if low == 0 else 400.0 * count, "psnr_blurry": 20.0, "psnr": 21.0}
        for low, high in itertools.pairwise(EDGES)
    ]
    summary = {"by_extent": {"known_from": "maps", "ranges": ranges}, "protocol": "p: whole frames"}
    return Entry(name=name, row_of=rows, summary=summary, folder=Path(name))


def write(folder: Path, count: int, names: tuple[str, ...] = NAMES) -> Path:
    entries = [entry(name, 0.5 * place, count) for place, name in enumerate(names)]
    keys = list(entries[0].row_of)
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3)).astype(np.uint8)
    shown = photo(keys[0], "a", image)
    wipe = Wipe(key=keys[0], before=shown, after=shown)
    parts = [part_panel(name, name, image) for name in names]
    lineups = [DrawnLineup(key=keys[0], reasons="largest difference; smallest difference", wipe=wipe, parts=parts)]
    return comparison_page.write(folder, compare_all(entries, keys), entries, keys, lineups)


def test_the_best_is_named_and_clear_differences_alone_are_marked(tmp_path: Path) -> None:
    text = write(tmp_path, 11).read_text(encoding="utf-8")

    assert "Best mean PSNR: <strong>d, 26.55 dB</strong>" in text
    assert '<span class="is-best gain">+0.50</span>' in text and '<span class="is-best loss">-0.50</span>' in text
    assert '<span class="few">2 of 11 frames</span>' in text and "too few frames</small>" in text  # M = 1
    assert '<span class="few">only 900 pixels</span>' in text


def test_few_frames_have_no_intervals_and_nothing_is_marked_as_clear(tmp_path: Path) -> None:
    text = write(tmp_path, 4).read_text(encoding="utf-8")

    assert '<span class="few">too few for intervals</span>' in text
    assert 'class="is-best gain"' not in text and 'class="is-best loss"' not in text


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium")
def test_the_page_fits_a_narrow_window_and_its_pictures_can_be_enlarged(browser: Any, tmp_path: Path) -> None:
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    tab.goto(write(tmp_path, 12).as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.locator(".panel button").first.click()
    assert tab.locator("#enlarged").is_visible()
    tab.close()
