"""The page of a study in a browser: it fits a narrow window, and no label of its charts is cut off."""

import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OUTSIDE = """() => [...document.querySelectorAll(".curve > svg text, .dot-plot > svg text")].filter(text => {
  const box = text.getBBox(), {width, height} = text.ownerSVGElement.viewBox.baseVal;
  return box.x < 0 || box.y < 0 || box.x + box.width > width || box.y + box.height > height;
}).map(text => text.textContent)"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium"),
]


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_runs_over_and_every_label_is_whole(study: Path, browser: Any, width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 844})
    tab.goto((study / "table3.html").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.locator(".curve > svg text").count() and tab.locator(".dot-plot > svg text").count()
    assert tab.evaluate(OUTSIDE) == []
    tab.close()


def test_the_crops_of_a_frame_stand_beside_each_other(study: Path, browser: Any) -> None:
    tab = browser.new_page(viewport={"width": 1400, "height": 844})
    tab.goto((study / "table3.html").as_uri())
    tops = """[...document.querySelectorAll(".example")].map(
      one => [...one.querySelector(".panels").children].map(each => each.offsetTop))"""
    for row in tab.evaluate(tops):
        assert len(row) == 5 and len(set(row)) == 1  # blurry, three rows, sharp
    tab.close()
