"""Verdicts on the page for checking masks, in a real browser: none is lost."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from review_page import BROWSER, COPY, review_of, until

from pipelines.review import site, verdicts
from pipelines.review.verdicts import Verdict

pytestmark = [*BROWSER, pytest.mark.slow]


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
    page.wait_for_load_state("networkidle")  # or pictures are still read from the folder
    (folder / "lbp-absolute").rename(folder / "moved")
    try:
        page.evaluate("review.verdicts.set('clip/000001', {verdict: 'accept'})")
        until(page, "document.querySelector('#saved').textContent.includes('the masks folder no longer exists')")
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


def test_a_file_of_verdicts_from_a_clock_that_is_ahead_hides_no_later_verdict(
    page: Any, folder: Path, tmp_path: Path
) -> None:
    kept = folder / "verdicts.json"
    verdicts.write(kept, {"clip/000001": Verdict(verdict="accept", note="")})
    ahead = time.time() + 3600
    os.utime(kept, (ahead, ahead))
    list(site.write_folder(review_of(folder), tmp_path / "view", jobs=1))
    kept.unlink()
    page.goto((tmp_path / "view" / "index.html").as_uri())
    page.wait_for_selector(".cell")
    for key in ("clip/000001", "clip/000002"):
        page.evaluate("key => review.verdicts.set(key, {verdict: 'reject'})", key)

    page.reload()

    page.wait_for_selector(".cell")
    assert page.evaluate("review.verdicts.count('reject')") == 2


@pytest.mark.slow
def test_a_verdict_that_cannot_be_saved_holds_no_other_up(page: Any, served: str, folder: Path) -> None:
    page.goto(served)
    page.wait_for_selector(".cell")
    page.route(
        "**/verdicts",
        lambda route: route.fulfill(status=503) if "000001" in route.request.post_data else route.continue_(),
    )
    for key in ("clip/000001", "clip/000002"):
        page.evaluate("key => review.verdicts.set(key, {verdict: 'reject'})", key)
    path = folder / "lbp-absolute" / "verdicts.json"
    until(page, "Object.values(localStorage).some(text => !JSON.parse(text).unsaved)")
    assert verdicts.rejected(path) == {"clip/000002"}
    page.unroute("**/verdicts")
    until(page, "document.querySelector('#saved').textContent === 'saved'")


def test_a_verdict_records_the_method_and_the_mu_that_were_shown(page: Any, served: str, folder: Path) -> None:
    page.goto(served)
    page.wait_for_selector(".cell")
    page.keyboard.press("a")
    page.fill("#mu-number", "0.7")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Space")
    page.keyboard.press("r")
    until(page, "document.querySelector('#saved').textContent === 'saved'")

    saved = verdicts.read(folder / "lbp-absolute" / "verdicts.json")
    assert {key: (one.verdict, one.method, one.mu) for key, one in saved.items()} == {
        "clip/000001": ("accept", "lbp-absolute", 0.5),
        "clip/000002": ("reject", "lbp-absolute", 0.7),
    }
    assert page.text_content("#judged") == "rejected at lbp-absolute, mu 0.7"
    page.evaluate("localStorage.clear()")
    page.reload()  # what the server has comes back with both
    page.wait_for_selector("#reject[aria-pressed=true]")
    assert page.text_content("#judged") == "rejected at lbp-absolute, mu 0.7"
