"""The review in a real browser, opened from a disk and served."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from review_page import BROWSER, HOSTILE, masks_shown, open_large, until

from prep.masks import equations
from prep.masks.folder import MasksFolder

pytestmark = BROWSER


@pytest.mark.parametrize("mu", [0.9, 0.96, 0.97, 0.5, 0.0, 1.0])
def test_the_mask_at_any_mu_is_pythons_pixel_for_pixel(page: Any, written: str, folder: Path, mu: float) -> None:
    open_large(page, written)

    codes = MasksFolder(folder / "lbp-absolute").read_sharpness("clip/000001")
    np.testing.assert_array_equal(masks_shown(page, mu), equations.mask_of_codes(codes, mu))


def test_every_threshold_passes_the_codes_that_python_passes(page: Any, written: str) -> None:
    page.goto(written)
    mus = [
        *(code / equations.LEVELS for code in (0, 1, 62914, 62915, 65534, 65535)),
        0.9,
        0.93,
        0.96,
        0.9616,
        0.97,
        1 / 3,
    ]

    assert page.evaluate("mus => mus.map(review.leastCode)", mus) == [equations.least_code(mu) for mu in mus]


def test_the_slider_moves_mask_share_and_figures(page: Any, written: str, folder: Path) -> None:
    page.goto(written)
    page.wait_for_selector(".cell")
    rows = MasksFolder(folder / "lbp-absolute").records
    for mu in (0.9, 0.3):
        page.locator("#mu-range").fill(str(mu))
        expected = 100 * float(np.mean([row.shares[round(mu * 200)] for row in rows.values()]))
        until(page, "text => document.querySelector('#mean').textContent === text", f"{expected:.1f} %")

    open_large(page, written)
    page.locator("#mu-range").fill("0.9")
    until(page, "document.querySelector('.readout').textContent.includes('at mu 0.9')")
    codes = MasksFolder(folder / "lbp-absolute").read_sharpness("clip/000001")
    share = 100 * equations.mask_of_codes(codes, 0.9).mean()
    assert page.locator(".readout").text_content().startswith(f"{share:.2f} % small blur")


def test_the_value_of_s_under_the_pointer_is_the_maps(page: Any, written: str, folder: Path) -> None:
    open_large(page, written)
    codes = MasksFolder(folder / "lbp-absolute").read_sharpness("clip/000001")
    box = page.locator(".panels canvas").nth(0).bounding_box()
    scale = min(box["width"] / 96, box["height"] / 72)

    for x, y in ((70, 30), (10, 60)):
        left = box["x"] + box["width"] / 2 + (x + 0.5 - 48) * scale
        page.mouse.move(left, box["y"] + box["height"] / 2 + (y + 0.5 - 36) * scale)
        until(page, "at => document.querySelector('.readout').textContent.includes(at)", f"({x}, {y})")
        assert f"S {codes[y, x] / 65535:.4f}," in page.locator(".readout").text_content()


def test_zoom_moves_all_panels_alike(page: Any, written: str) -> None:
    open_large(page, written)
    for _ in range(5):
        page.keyboard.press("+")
    page.keyboard.press("ArrowRight")

    scales = page.evaluate("review.parts.large.views.map(({canvas}) => review.parts.large.current(canvas))")
    assert len(scales) == 6 and all(scale == scales[0] for scale in scales)
    fit = page.evaluate("review.parts.large.fit(review.parts.large.views[0].canvas)")
    assert scales[0]["scale"] == pytest.approx(fit * 1.5**5)


def test_two_methods_and_figure_11_stand_side_by_side(page: Any, written: str) -> None:
    open_large(page, written)

    page.click("#compare")
    titles = page.locator(".panels figcaption").all_text_contents()
    assert titles[1:3] == ["M: lbp-absolute, mu 0.5", "M: laplacian, mu 0.5"]
    page.fill("#mu-number", "0.96")
    page.click("#figure11")
    titles = page.locator(".panels figcaption").all_text_contents()
    assert titles[2:] == [f"M at mu {mu}, white is small blur" for mu in (0.93, 0.95, 0.96, 0.97)]


def test_shares_end_where_a_map_ends(page: Any, written: str) -> None:
    page.goto(written)
    page.wait_for_selector(".cell")
    shares = [0.3] * 193 + [0.0] * 8  # 30 % of the pixels have S = 0.9616, as lbp's ceiling
    at = "([mu, shares]) => review.shareAt(shares, mu, {top: 0.9616, share: 0.3})"
    values = [page.evaluate(at, [mu, shares]) for mu in (0.95, 0.96, 0.961, 0.9616, 0.9617, 0.97)]
    assert values == pytest.approx([0.3, 0.3, 0.3, 0, 0, 0])


@pytest.mark.parametrize("size", [(390, 844), (700, 450), (1400, 500)])
def test_pictures_can_be_seen_in_a_small_window(page: Any, written: str, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_large(page, written)
    boxes = page.evaluate("[...document.querySelectorAll('.panels figure > canvas')].map(one => one.clientHeight)")
    assert min(boxes) > 100
    ends = "selector => document.querySelector(selector).getBoundingClientRect().bottom"
    assert page.evaluate(ends, ".panels figure:last-child") <= page.evaluate(ends, ".below")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_narrow_window_opens_at_the_top_with_nothing_beyond_its_edge(page: Any, written: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(written)
    page.wait_for_selector(".cell")
    assert page.evaluate("scrollY") == 0 and page.locator("h1").is_visible()
    assert page.evaluate("document.activeElement.id") == "grid"
    assert not page.locator("#search").is_visible()
    page.get_by_text("Filter and sort").click()
    assert page.locator("#search").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    right = (
        "[...document.querySelectorAll('button, input, select, dd, li')].map(one => one.getBoundingClientRect().right)"
    )
    assert max(page.evaluate(right)) <= 390


def test_the_legend_says_what_is_pink_and_the_buttons_what_they_do(page: Any, written: str) -> None:
    page.goto(written)
    page.wait_for_selector(".cell")
    assert "pink: small blur, S above mu (M = 1)" in page.locator(".marks").inner_text()
    page.fill("#mu-number", "0.9")
    assert page.locator("#mu-reset").text_content() == "Reset to 0.5"
    page.click("#mu-reset")
    assert page.input_value("#mu-number") == "0.5" and page.locator("#mu-reset").is_disabled()
    assert "mu - 0.03" in str(page.locator("#figure11").get_attribute("title"))


def test_home_and_end_select_the_first_and_the_last_frame(page: Any, written: str) -> None:
    page.goto(written)
    page.wait_for_selector(".cell")
    page.keyboard.press("End")
    assert page.evaluate("review.parts.grid.selected === review.state.order.at(-1)")
    page.keyboard.press("Home")
    assert page.evaluate("review.parts.grid.selected === review.state.order[0]")


def test_a_page_without_its_frames_says_so(browser: Any, written: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/frames.js", lambda route: route.abort())
    page.goto(written)
    until(page, "document.querySelector('#none').textContent")
    assert "could not be loaded" in page.text_content("#none")
    context.close()


def test_a_hostile_name_is_shown_and_does_nothing(page: Any, written: str) -> None:
    open_large(page, written, presses=2)

    assert page.locator(".frame-name").text_content() == f"other/{HOSTILE}"
    assert page.locator("img:not(.thumb img)").count() == 0
    page.reload()  # the name is in the address now
    until(page, "review.parts.large.whole")
    assert page.locator(".frame-name").text_content() == f"other/{HOSTILE}"


def test_frames_are_found_sorted_and_filtered(page: Any, written: str, folder: Path) -> None:
    rows = MasksFolder(folder / "lbp-absolute").records
    page.goto(written)
    page.wait_for_selector(".cell")

    def order() -> list[str]:
        keys: list[str] = page.evaluate("review.state.order.map(number => review.frames[number].key)")
        return keys

    page.select_option("#sort", "most")
    assert order() == sorted(rows, key=lambda key: (-rows[key].shares[100], list(rows).index(key)))
    page.fill("#search", "CLIP 2")
    assert order() == ["clip/000002"]
    page.fill("#search", "")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.select_option("#kind", "rejected")
    assert len(order()) == 1
    page.fill("#search", "nothing of this name")
    assert page.locator("#none").is_visible()


def test_the_page_can_be_used_without_a_mouse_and_is_named_for_screen_readers(page: Any, written: str) -> None:
    page.goto(written)
    page.wait_for_selector(".cell")
    assert page.evaluate("document.activeElement.id") == "grid"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")

    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, select, canvas, svg")].filter(element =>
          !element.closest("[aria-hidden]") && element.getAttribute("aria-hidden") !== "true" && !element.labels?.length
          && !element.getAttribute("aria-label") && !element.textContent.trim()).map(element => element.outerHTML)"""
    )
    assert unnamed == []
    chosen = page.locator("[aria-selected=true]")
    assert chosen.get_attribute("aria-label").startswith("clip/000001, ")
    assert page.locator("#grid").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
