"""The review in a real browser, opened from a disk and served."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.review import site, verdicts
from prep.datasets import layouts
from prep.io import frames
from prep.masks import equations, making
from prep.masks.folder import MasksFolder

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium"),
]
HOSTILE = "a\"b'<img src=x onerror=alert(1)>&amp;{{ 7 * 7 }} über-写真"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``blurry``, ``sharp`` and ``masks`` by two methods, of frames one of which has a hostile name."""
    folder = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(3)
    for name in ("clip/000001", "clip/000002", f"other/{HOSTILE}"):
        sharp = rng.integers(0, 256, (72, 96, 3), np.uint8)
        blurry = sharp.copy()
        blurry[:, :50] = np.asarray(Image.fromarray(sharp).resize((12, 9)).resize((96, 72)))[:, :50]
        frames.write(folder / "sharp" / f"{name}.png", sharp)
        frames.write(folder / "blurry" / f"{name}.png", blurry)
    dataset = layouts.find_pairs(folder / "blurry", folder / "sharp")
    for method in ("lbp-absolute", "laplacian"):
        plan = making.plan(dataset.pairs, MasksFolder(folder / method), making.recipe_of(dataset, method), 0.5)
        list(making.make(plan, jobs=1))
    return folder


def review_of(folder: Path, *, is_served: bool = False) -> site.Review:
    dataset = layouts.find_pairs(folder / "blurry", folder / "sharp")
    maps = [site.open_maps(folder / method) for method in ("lbp-absolute", "laplacian")]
    return site.Review(
        name="pairs", pairs=dataset.pairs, maps=maps, verdicts=folder / "verdicts.json", is_served=is_served
    )


@pytest.fixture(scope="module")
def written(folder: Path) -> str:
    """The page's address, opened from the disk."""
    list(site.write_folder(review_of(folder), folder / "view", jobs=1))
    return (folder / "view" / "index.html").as_uri()


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    """The page's address, served by the command."""
    (folder / "lbp-absolute" / "verdicts.json").unlink(missing_ok=True)
    words = ["view", "--blurry", "blurry", "--sharp", "sharp", "--masks", "lbp-absolute", "--serve", "--port", "0"]
    command = [str(Path(sys.executable).with_name("cdg-prep")), *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        line = next(line for line in process.stdout if "http://" in line)
        yield line.split()[-1]
        process.terminate()  # a shell that starts things behind itself lets them ignore SIGINT


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page on which nothing may go wrong."""
    context = browser.new_context(viewport={"width": 1300, "height": 850})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if is_wrong(message) else None)
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    yield page
    context.close()
    assert wrong == []


COPY = "Object.values(localStorage).map(text => JSON.parse(text))"


def is_wrong(message: Any) -> bool:
    """A server that a test takes away is expected to be missed."""
    return bool(message.type == "error" and not any(status in message.text for status in ("503", "404")))


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
    assert page.locator(".readout").text_content().startswith(f"{share:.2f} % marked")


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
    assert titles[2:] == ["M at mu 0.93", "M at mu 0.95", "M at mu 0.96", "M at mu 0.97"]


def test_keys_set_verdicts_that_survive_a_reload_and_are_on_disk(page: Any, served: str, folder: Path) -> None:
    path = folder / "lbp-absolute" / "verdicts.json"
    page.goto(served)
    page.wait_for_selector(".cell")
    page.keyboard.press("a")
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.keyboard.press("n")
    page.keyboard.type("sky; jars")  # no key of this text is a command
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#saved').textContent === 'saved'")

    assert {key: (one.verdict, one.note) for key, one in verdicts.read(path).items()} == {
        "clip/000001": ("accept", ""),
        "clip/000002": ("reject", "sky; jars"),
    }
    page.evaluate("localStorage.clear()")
    page.reload()
    page.wait_for_selector("#reject[aria-pressed=true]")
    assert page.input_value("#note") == "sky; jars"
    page.keyboard.press("Escape")
    assert page.locator(".cell").nth(0).get_attribute("data-verdict") == "accept"


def test_a_server_that_went_away_loses_no_verdict(page: Any, served: str, folder: Path) -> None:
    page.goto(served)
    page.wait_for_selector(".cell")
    page.route("**/verdicts", lambda route: route.fulfill(status=503))
    page.evaluate("review.verdicts.set('clip/000001', {verdict: 'reject'})")
    until(page, "document.querySelector('#saved').textContent.startsWith('not saved')")

    page.unroute("**/verdicts")
    until(page, "document.querySelector('#saved').textContent === 'saved'")
    assert verdicts.rejected(folder / "lbp-absolute" / "verdicts.json") == {"clip/000001"}


def test_what_a_server_never_got_is_sent_when_the_page_is_opened_again(page: Any, served: str, folder: Path) -> None:
    page.goto(served)
    page.wait_for_selector(".cell")
    page.route("**/verdicts", lambda route: route.fulfill(status=503))
    page.evaluate("review.verdicts.set('clip/000002', {verdict: 'reject', note: 'only here'})")
    until(page, "document.querySelector('#saved').textContent.startsWith('not saved')")
    other = page.context.new_page()
    page.close(run_before_unload=False)

    other.goto(served)
    other.wait_for_selector(".cell")
    until(other, "document.querySelector('#saved').textContent === 'saved'")
    assert verdicts.read(folder / "lbp-absolute" / "verdicts.json")["clip/000002"].note == "only here"
    # What the server has is not sent again: another person may have changed it since.
    other.evaluate("review.verdicts.count('reject')")
    assert not any(entry["unsaved"] for entry in other.evaluate(COPY))


def test_a_verdict_that_is_refused_holds_no_other_up(page: Any, served: str, folder: Path) -> None:
    page.goto(served)
    page.wait_for_selector(".cell")
    page.evaluate("review.verdicts.set('gone/000001', {verdict: 'reject'})")
    page.evaluate("review.verdicts.set('clip/000001', {verdict: 'accept'})")
    until(page, "document.querySelector('#saved').textContent.includes('1 not saved: the server has no such frame')")
    assert list(verdicts.read(folder / "lbp-absolute" / "verdicts.json")) == ["clip/000001"]


def test_verdicts_never_go_where_a_masks_folder_was(page: Any, served: str, folder: Path) -> None:
    page.goto(served)
    page.wait_for_selector(".cell")
    (folder / "lbp-absolute").rename(folder / "moved")
    try:
        page.evaluate("review.verdicts.set('clip/000001', {verdict: 'accept'})")
        until(page, "document.querySelector('#saved').textContent.includes('the masks folder is gone')")
        assert not (folder / "lbp-absolute").exists()
    finally:
        (folder / "moved").rename(folder / "lbp-absolute")
    until(page, "document.querySelector('#saved').textContent === 'saved'")


def test_two_windows_of_a_page_on_a_disk_do_not_undo_each_other(page: Any, written: str) -> None:
    other = page.context.new_page()
    for each in (page, other):
        each.goto(written)
        each.wait_for_selector(".cell")
    page.evaluate("review.verdicts.set('clip/000001', {verdict: 'reject'})")
    other.evaluate("review.verdicts.set('clip/000002', {verdict: 'accept'})")
    page.evaluate("review.verdicts.set('clip/000001', {note: 'mine'})")
    for each in (page, other):
        each.reload()
        each.wait_for_selector(".cell")
        # Windows hear of each other when the browser has time for it.
        until(each, "note => review.verdicts.get('clip/000001').note === note", "mine")
        until(each, "verdict => review.verdicts.get('clip/000002').verdict === verdict", "accept")
        assert each.evaluate("review.verdicts.get('clip/000001').verdict") == "reject"


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
    until(page, "document.querySelector('#none').textContent.includes('could not be loaded')")
    context.close()


def test_from_a_disk_verdicts_stay_in_the_browser_and_can_be_downloaded(
    page: Any, written: str, tmp_path: Path
) -> None:
    page.goto(written)
    page.wait_for_selector(".cell")
    page.keyboard.press("r")
    page.reload()
    page.wait_for_selector(".cell[data-verdict=reject]")

    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "v.json")
    assert verdicts.rejected(tmp_path / "v.json") == {"clip/000001"}
    page.locator("#grid").focus()
    page.keyboard.press("u")
    page.reload()
    page.wait_for_selector(".cell")
    assert page.evaluate("review.verdicts.count('reject')") == 0


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
