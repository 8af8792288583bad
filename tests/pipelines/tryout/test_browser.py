"""The page for trying a network in a real browser."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightning_fabric import Fabric
from review_page import BROWSER, until
from tryout_page import HOSTILE, animation, hand_in, make_restorer, picture, serving, wait_for, working

from cdgnet import CDGNet, ModelConfig
from pipelines.restore.restorer import Restorer
from pipelines.tryout.queue import Queue

pytestmark = BROWSER

STATES = "[...document.querySelectorAll('#list .state')].map(each => each.textContent)"
NAMES = "[...document.querySelectorAll('#list .name')].map(each => each.textContent)"
ALL_SETTLED = (
    "count => {const items = [...document.querySelectorAll('#list li')]; "
    "return items.length === count && items.every(each => ['done', 'failed'].includes(each.dataset.state))}"
)
IS_SHOWN = (
    "[...document.querySelectorAll('#stage img')].every(each => !each.hidden && each.complete && each.naturalWidth)"
)
SEND = """([kind, files]) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(data), letter => letter.charCodeAt(0))], name));
  }
  const given = {bubbles: true, cancelable: true};
  document.body.dispatchEvent(kind === "paste" ? new ClipboardEvent(kind, {...given, clipboardData: transfer})
    : new DragEvent(kind, {...given, dataTransfer: transfer}));
}"""


def give(page: Any, kind: str, *files: tuple[str, bytes]) -> None:
    """Drop or paste files."""
    page.evaluate(SEND, [kind, [(name, base64.b64encode(data).decode()) for name, data in files]])


@pytest.fixture
def shown(page: Any, queue: Queue) -> Any:
    """The page with a restored picture."""
    wait_for(queue, hand_in(queue, picture(120, 200, "JPEG"), "photo.jpg"))
    page.evaluate("tryout.queue.ask()")
    until(page, IS_SHOWN)
    return page


def test_dropped_pictures_are_restored_in_their_order_and_wrong_files_say_why(page: Any) -> None:
    give(page, "dragenter", ("a.png", picture()))
    assert page.locator("#drop").is_visible()
    files = [
        *(("a.png", picture()), ("notes.txt", b"hello"), ("drawing.svg", b"<svg/>"), ("moving.png", animation())),
        *(("cut.jpg", picture(200, 300, "JPEG")[:2500]), ("clip.mp4", b"x"), ("empty.png", b"")),
        (f"{HOSTILE}.png", picture(seed=1)),
    ]
    give(page, "drop", *files)
    assert not page.locator("#drop").is_visible()
    until(page, ALL_SETTLED, len(files))

    said = page.evaluate(STATES)
    assert page.evaluate(NAMES) == [name for name, _ in files]  # the hostile one as text
    assert page.locator("#list img").count() == len(files)  # and no picture of its own
    wanted = [
        *("done in ", "This page cannot read", "This page cannot read", "This file contains 3 pictures"),
        *("This file is damaged", "for a video, run cdg-deblur clip.mp4", "This file is empty", "done in "),
    ]
    assert all(part in text for part, text in zip(wanted, said, strict=True)), said
    assert page.text_content("#name") == "a.png"  # the first of what was dropped
    assert page.locator("#line").is_visible()
    page.keyboard.press("j")
    assert page.text_content("#note") == said[1] and not page.locator("#line").is_visible()


def test_a_pasted_picture_is_restored_and_downloaded_under_its_name(page: Any, queue: Queue, tmp_path: Path) -> None:
    give(page, "paste", ("image.png", picture()))
    until(page, ALL_SETTLED, 1)
    until(page, IS_SHOWN)

    with page.expect_download() as download:
        page.keyboard.press("d")

    assert download.value.suggested_filename == "image-restored.png"
    found = queue.get(queue.facts()[0]["number"])
    assert found and Path(download.value.path()).read_bytes() == found.restored.read_bytes()
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()


@pytest.mark.slow
def test_all_results_can_be_downloaded_at_once_when_there_are_two(page: Any, queue: Queue, tmp_path: Path) -> None:
    first = hand_in(queue, picture(), "a.png")
    wait_for(queue, first)
    page.wait_for_selector("#download:visible")
    assert not page.locator("#download-all").is_visible()
    wait_for(queue, hand_in(queue, picture(seed=1), "b.png"))
    page.wait_for_selector("#download-all:visible")
    assert page.locator("#download-all").text_content() == "Download all 2 (zip)"
    with page.expect_download() as download:
        page.click("#download-all")
    assert download.value.suggested_filename == "restored.zip"


def test_strength_changes_what_is_shown_and_what_is_downloaded(shown: Any, queue: Queue, tmp_path: Path) -> None:
    restored = "document.querySelector('.restored img')"
    before = shown.evaluate(f"{restored}.src")
    shown.focus("#strength")
    for _ in range(10):
        shown.keyboard.press("ArrowRight")
    assert (shown.text_content("#strength-value"), shown.input_value("#wipe")) == ("1.50", "50")  # the wipe stays
    until(shown, f"{restored}.complete && {restored}.src.endsWith('?strength=1.5')")
    assert shown.evaluate(f"{restored}.naturalWidth") == 200
    until(shown, "document.querySelector('.restored').ariaBusy === 'false'")

    with shown.expect_download() as download:
        shown.click("#download")

    found = queue.get(queue.facts()[0]["number"])
    assert found and download.value.suggested_filename == "photo-restored.jpg"
    assert Path(download.value.path()).read_bytes() != found.restored.read_bytes()
    for _ in range(10):
        shown.keyboard.press("ArrowRight")  # not on the slider: the wipe moves
    assert shown.text_content("#strength-value") == "1.50"
    shown.focus("#strength")
    for _ in range(10):
        shown.keyboard.press("ArrowLeft")
    assert shown.evaluate(f"{restored}.src") == before


def test_each_picture_keeps_its_strength_and_a_button_gives_all_the_same(shown: Any, queue: Queue) -> None:
    def strengths() -> list[float]:
        return [facts["strength"] for facts in queue.facts()]

    assert not shown.locator("#strength-all").is_visible(), "of one picture there is no choice"
    wait_for(queue, hand_in(queue, picture(seed=1), "b.png"))
    shown.wait_for_selector("#strength-all:visible")
    shown.fill("#strength", "1.6")
    until(shown, "tryout.queue.all()[0].strength === 1.6")
    assert strengths() == [1.6, 1]

    shown.keyboard.press("j")
    assert (shown.text_content("#name"), shown.text_content("#strength-value")) == ("b.png", "1.00")
    shown.reload()
    until(shown, IS_SHOWN)
    assert shown.text_content("#strength-value") == "1.60", "it is kept when the page is loaded again"
    assert shown.evaluate("document.querySelector('.restored img').src").endswith("?strength=1.6")

    shown.click("#strength-all")
    until(shown, "tryout.queue.all().every(one => one.strength === 1.6)")
    assert strengths() == [1.6, 1.6]
    assert all(said.endswith(", strength 1.60") for said in shown.evaluate(STATES))
    hand_in(queue, picture(seed=2), "c.png")
    assert strengths() == [1.6, 1.6, 1.6]


@pytest.mark.slow
def test_zoom_and_pan_move_both_pictures_alike_and_the_wipe_divides_them(page: Any, queue: Queue) -> None:
    wait_for(queue, hand_in(queue, picture(720, 960, "JPEG"), "photo.jpg"))
    page.evaluate("tryout.queue.ask()")
    until(page, IS_SHOWN)

    def boxes() -> list[dict[str, float]]:
        return [image.bounding_box() for image in page.locator("#stage img").all()]

    stage = page.locator("#stage").bounding_box()
    middle = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    assert boxes()[0]["width"] == pytest.approx(min(stage["width"], stage["height"] / 720 * 960), abs=1)  # fitted
    page.keyboard.press("1")
    assert (boxes()[0]["width"], boxes()[0]["height"]) == (960, 720)  # a pixel of the picture is one of CSS
    before = boxes()[0]
    page.mouse.move(middle[0] + 100, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0] + 130, middle[1] - 20)
    page.mouse.up()
    assert (boxes()[0]["x"], boxes()[0]["y"]) == (before["x"] + 30, before["y"] - 20)
    point = middle[0] + 130, middle[1] - 20
    under = [(at - boxes()[0][side]) / boxes()[0]["width"] for at, side in zip(point, "xy", strict=True)]
    page.mouse.wheel(0, -400)
    until(page, "tryout.parts.view.scale > 1.5")
    now = [(at - boxes()[0][side]) / boxes()[0]["width"] for at, side in zip(point, "xy", strict=True)]
    assert now == pytest.approx(under, abs=1e-3)  # what was under the pointer still is
    assert boxes()[0] == boxes()[1]
    page.keyboard.press("Shift+ArrowRight")
    assert boxes()[0] == boxes()[1]

    page.keyboard.press("ArrowLeft")
    line = page.locator("#line").bounding_box()
    assert line["x"] + line["width"] / 2 == pytest.approx(stage["x"] + 0.48 * stage["width"], abs=1)
    clips = "[...document.querySelectorAll('.half')].map(each => getComputedStyle(each).clipPath)"
    assert page.evaluate(clips) == ["inset(0px 52% 0px 0px)", "inset(0px 0px 0px 48%)"]
    left, right = (page.locator(f".half.{half} span").bounding_box() for half in ("blurry", "restored"))
    assert left["x"] + left["width"] < line["x"] + line["width"] / 2 < right["x"]  # each half says what it is
    page.keyboard.down("b")
    assert page.evaluate(clips) == ["inset(0px 0% 0px 0px)", "inset(0px 0px 0px 100%)"]
    page.keyboard.up("b")
    assert page.evaluate(clips)[0] == "inset(0px 52% 0px 0px)"


def test_where_all_is_seen_a_drag_anywhere_moves_the_wipe(shown: Any) -> None:
    stage = shown.locator("#stage").bounding_box()
    shown.mouse.move(stage["x"] + 300, stage["y"] + 200)
    shown.mouse.down()
    shown.mouse.move(stage["x"] + stage["width"] / 4, stage["y"] + 200)
    shown.mouse.up()

    assert float(shown.input_value("#wipe")) == pytest.approx(25, abs=0.2)


def test_two_fingers_zoom_about_their_middle(shown: Any) -> None:
    stage = shown.locator("#stage").bounding_box()
    for kind, finger, x in (("down", 1, 300), ("down", 2, 400), ("move", 2, 600), ("move", 1, 100), ("up", 1, 100)):
        shown.evaluate(
            """([kind, id, x, y]) => document.querySelector("#stage").dispatchEvent(new PointerEvent(`pointer${kind}`,
              {pointerId: id, pointerType: "touch", clientX: x, clientY: y, button: 0, bubbles: true}))""",
            [kind, finger, stage["x"] + x, stage["y"] + 250],
        )
    fit = shown.evaluate("tryout.parts.view.fitting()")
    assert shown.evaluate("tryout.parts.view.scale") == pytest.approx(5 * fit)


def test_two_tabs_show_the_same_list_and_choose_for_themselves(page: Any, desk: tuple[Queue, str]) -> None:
    give(page, "drop", ("a.png", picture()), ("b.png", picture(seed=1)))
    until(page, ALL_SETTLED, 2)
    other = page.context.new_page()
    other.goto(desk[1])
    until(other, ALL_SETTLED, 2)
    other.keyboard.press("j")
    until(other, "document.querySelector('#name').textContent === 'b.png'")

    give(other, "drop", ("c.png", picture(seed=2)))
    until(page, ALL_SETTLED, 3)

    assert page.text_content("#name") == "a.png"
    page.click("#list li:nth-child(2) .remove")
    until(other, ALL_SETTLED, 2)
    assert page.evaluate(NAMES) == other.evaluate(NAMES) == ["a.png", "c.png"]
    assert other.text_content("#name") == "c.png"  # what it dropped itself

    other.keyboard.press("k")
    page.fill("#strength", "1.6")
    until(other, "document.querySelector('#strength-value').textContent === '1.60'")


def test_branches_are_shown_when_they_are_asked_for(shown: Any, queue: Queue) -> None:
    assert not shown.locator("#branches").is_visible()
    shown.click("#ask")
    until(shown, "document.querySelectorAll('#branches img').length === 5")
    until(shown, "[...document.querySelectorAll('#branches img')].every(each => each.complete && each.naturalWidth)")
    titles = shown.locator("#branches strong").all_text_contents()
    assert titles == [
        "small branch",
        "large branch",
        "attention of the small branch",
        "attention of the large branch",
        "gate",
    ]
    hand_in(queue, picture(), "b.png")
    shown.evaluate("tryout.queue.ask()")
    until(shown, ALL_SETTLED, 2)
    shown.keyboard.press("j")
    assert not shown.locator("#branches").is_visible()  # they were those of the other picture


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_and_the_page_goes_on_with_the_next(browser: Any, tmp_path: Path) -> None:
    restorer = make_restorer()
    context = browser.new_context()
    page = context.new_page()
    with working(tmp_path / "one", restorer) as queue:
        with serving(queue) as port:
            page.goto(f"http://127.0.0.1:{port}/")
            give(page, "drop", ("a.png", picture()))
            until(page, ALL_SETTLED, 1)
        until(page, "!document.querySelector('#trouble').hidden")
        assert "The server does not answer" in page.text_content("#trouble")
        give(page, "drop", ("b.png", picture(seed=1)))
        with serving(queue, port):
            until(page, ALL_SETTLED, 2)
            assert page.locator("#trouble").is_hidden()
            assert page.evaluate(NAMES) == ["a.png", "b.png"]
    with working(tmp_path / "two", restorer) as fresh, serving(fresh, port):
        until(page, "document.querySelectorAll('#list li').length === 0")
        assert page.locator("#empty").is_visible()
    context.close()


@pytest.mark.parametrize(("size", "scheme"), [((390, 844), "light"), ((390, 844), "dark"), ((1000, 600), "dark")])
def test_the_page_fits_a_window_and_its_words_can_be_read(
    size: tuple[int, int], scheme: str, shown: Any, queue: Queue
) -> None:
    hand_in(queue, picture(), f"{'long' * 75}.png")
    queue.offer([("x" * 300 + ".txt", 5)])
    shown.set_viewport_size({"width": size[0], "height": size[1]})
    shown.emulate_media(color_scheme=scheme)
    shown.evaluate("tryout.queue.ask()")
    until(shown, ALL_SETTLED, 3)

    assert shown.evaluate("document.documentElement.scrollWidth") <= size[0]
    box = shown.locator("#stage").bounding_box()
    assert box["width"] >= min(size[0], 600) and box["height"] >= 280
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(245, 245, 244)", "dark": "rgb(18, 19, 20)"}[scheme]
    small = (
        "[...document.querySelectorAll('button, .button')].filter(each => each.offsetParent && each.offsetWidth < 28)"
    )
    assert shown.evaluate(f"{small}.map(each => each.outerHTML)") == []


def test_the_page_can_be_used_without_a_mouse_and_is_named_for_screen_readers(shown: Any) -> None:
    unnamed = shown.evaluate(
        """[...document.querySelectorAll("button, a, input, img, progress, output")].filter(element =>
          !element.closest("[aria-hidden]") && !element.labels?.length && !element.getAttribute("aria-label")
          && !element.textContent.trim() && !element.hasAttribute("alt")).map(element => element.outerHTML)"""
    )
    assert unnamed == []
    give(shown, "drop", ("b.png", picture()))
    until(shown, "document.querySelector('#said').textContent.startsWith('b.png: done in')")
    shown.focus("#list li:last-child .remove")
    shown.keyboard.press("Enter")
    until(shown, ALL_SETTLED, 1)
    assert shown.evaluate("document.activeElement.className") == "pick"  # the focus is not lost with the row
    assert shown.get_attribute("#wipe", "aria-valuetext") == "50 % blurry"


@pytest.mark.slow
def test_a_picture_of_48_megapixels_shows_progress_and_both_halves(browser: Any, tmp_path: Path) -> None:
    plain = replace(ModelConfig.preset("tiny", "dmphn-1"), widths=(4, 4, 8), growths=(4, 4, 4))  # tiny takes minutes
    restorer = Restorer(CDGNet(plain), Fabric(accelerator="cpu", devices=1))
    context = browser.new_context()
    page = context.new_page()
    seen, task = set(), {"state": "working"}
    with working(tmp_path / "kept", restorer) as queue, serving(queue) as port:
        number = hand_in(queue, picture(6000, 8000, "JPEG"), "large.jpg")
        page.goto(f"http://127.0.0.1:{port}/")
        while task["state"] == "working":
            page.wait_for_timeout(100)
            task = queue.facts()[0]["restoring"]
            seen.add(task.get("share"))
        wait_for(queue, number)
        page.wait_for_timeout(8000)
        until(page, IS_SHOWN)
        assert page.text_content("#facts").startswith("8000 \u00d7 6000")
    context.close()
    assert len(seen) > 20
