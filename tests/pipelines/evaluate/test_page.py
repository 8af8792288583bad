"""The page of scores: what is chosen and drawn, and what it does in a browser."""

import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from candidates import begun
from lightning_fabric import Fabric

from cdgnet import CDGNet, ModelConfig
from pipelines.evaluate import examples
from pipelines.evaluate import page as scores_page
from pipelines.evaluate.frame_sources import PictureFrames
from pipelines.evaluate.mask_source import MaskSource
from pipelines.evaluate.measures import FrameScores
from pipelines.evaluate.scatter import scatter
from pipelines.evaluate.scores import score_frames
from pipelines.evaluate.summary import summarise
from pipelines.restore.restorer import Restorer
from prep.datasets import tree_pairs
from prep.io import frames

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "z\"'<img src=x onerror=alert(1)>&amp;{{ 7 * 7 }}"
GAINS = {"clip/2": 0.5, "clip/10": 3.0, "clip/1": -1.25, f"clip/{HOSTILE}": 12.0}


def row(key: str, psnr: float, blurry: float = 20.0) -> FrameScores:
    return {"key": key, "mask_share": 0.25, "psnr_blurry": blurry, "psnr": psnr, "seconds": 0.5}


def test_lowest_and_highest_scores_and_gains_are_chosen_and_say_why() -> None:
    rows = [row(f"{number}", 20.0 + number, 10.0 + 2 * number) for number in range(20)]
    chosen = examples.choose(rows)
    assert list(chosen) == ["0", "1", "2", "19", "18", "17"]
    assert chosen["1"] == ["2nd lowest PSNR", "2nd largest gain"]
    assert chosen["19"] == ["highest PSNR", "smallest gain"]


def test_results_without_blurry_frames_have_no_gain() -> None:
    rows: list[FrameScores] = [{"key": str(number), "psnr": float(number)} for number in range(9)]
    assert list(examples.choose(rows)) == ["0", "1", "2", "8", "7", "6"]
    assert scatter(rows) is None


def test_the_part_shown_is_where_the_frame_changed_most() -> None:
    sharp = np.full((400, 600, 3), 100, np.uint8)
    before, after = sharp.copy(), sharp.copy()
    before[:, :200] = 120  # blurred, and left so
    after[:, :200] = 120
    before[250:300, 450:500] = 0  # and this was mended
    rows, columns = examples.most_changed_part(before, after, sharp)
    assert rows.start <= 250 and rows.stop >= 300 and columns.start <= 450 and columns.stop >= 500


def test_dots_lie_where_share_and_gain_say() -> None:
    rows = [{**row("a", 21.0), "mask_share": 0.0}, {**row("b", 22.0), "mask_share": 1.0}]
    plot = scatter(rows)
    assert plot is not None and [dot.key for dot in plot.dots] == ["a", "b"]
    first, second = plot.dots
    assert first.x < second.x and first.y > second.y  # up is more
    assert plot.zero - second.y == pytest.approx(2 * (plot.zero - first.y))


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (30.666, "psnr", "30.67"),
        (0.94512, "ssim", "0.9451"),
        (-1.2, "gain", "-1.20"),
        (math.nan, "psnr_m1", "\N{EN DASH}"),
    ],
)
def test_numbers_are_written_to_their_places(value: float, name: str, text: str) -> None:
    assert scores_page.number(value, name) == text


Scored = tuple[Path, list[dict[str, Any]], dict[str, Any], list[examples.Example]]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """Of four frames that differ in their names and gains, one of them without a pixel of M = 1."""
    folder, rng = tmp_path_factory.mktemp("scores"), np.random.default_rng(0)
    for number, key in enumerate(("clip/2", "clip/10", "clip/1", f"clip/{HOSTILE}")):
        sharp = rng.integers(0, 256, (64, 80, 3)).astype(np.uint8)
        blurry = cv2.GaussianBlur(sharp, (0, 0), 1 + number)
        extent = np.full((64, 80), 256 * (1 + 4 * number), np.uint16)
        for kind, image in (("blur", blurry), ("sharp", sharp), ("extent", extent)):
            frames.write(folder / "set" / kind / f"{key}.png", image)
    dataset = tree_pairs.find_pairs(folder / "set" / "blur", folder / "set" / "sharp")
    pairs = PictureFrames("pairs", dataset.pairs, MaskSource(method="laplacian", mu=0.5))
    restorer = Restorer(CDGNet(ModelConfig.preset("tiny")), Fabric(accelerator="cpu", devices=1))
    candidate = begun(pairs, folder / "eval", restorer)
    rows = [dict(each) for each in score_frames(pairs, [candidate])]
    for each in rows:
        each["psnr"] = each["psnr_blurry"] + GAINS[str(each["key"])]
    rows[0]["psnr_m1"] = rows[0]["psnr_m1_blurry"] = math.nan
    summary = summarise(rows, pairs, candidate)
    drawing, count = examples.draw_examples(pairs, rows, restorer, examples.Shortlist(), {})
    drawn = list(drawing)
    assert len(drawn) == count == 4
    return folder / "eval", rows, summary, drawn


@pytest.fixture(scope="module")
def page(scored: Scored) -> Path:
    """The page of those frames."""
    return scores_page.write(*scored)


def test_the_page_needs_no_other_file_and_escapes_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "http" not in text.replace("http-equiv", "")
    assert "<img src=x" not in text
    assert ">nan" not in text and "nan dB" not in text
    assert "Means by sequence" in text and '<td class="key">clip</td>' in text
    assert "attention of the small branch" in text and "error, blurry" in text


def test_the_papers_table_is_quoted_beside_all_of_gopros_test_frames_alone(scored: Scored, tmp_path: Path) -> None:
    _, rows, summary, _ = scored
    assert summary["quotes_table_1"] is False
    for is_all in (False, True):
        path = scores_page.write(tmp_path, rows, summary | {"quotes_table_1": is_all}, [])
        text = path.read_text(encoding="utf-8")
        assert ("CDGNet 2021 (the authors)" in text) == ("quoted" in text) == is_all


def headline(page: Path) -> str:
    """The first line of the page, without its tags."""
    found = re.search(r"<h1(.*?)</h1>", page.read_text(encoding="utf-8"), re.S)
    assert found
    return " ".join(re.sub(r"<[^>]+>", " ", "<h1" + found[1]).split())


def rewritten(scored: Scored, folder: Path, change: float) -> Path:
    """The page of the frames with all gains set to ``change`` dB."""
    _, rows, summary, _ = scored
    rows = [{**each, "psnr": each["psnr_blurry"] + change} for each in rows]
    mean = {**summary["mean"], "psnr": summary["mean"]["psnr_blurry"] + change}
    return scores_page.write(folder, rows, {**summary, "mean": mean}, [])


@pytest.mark.parametrize(
    ("change", "said", "tone"),
    [
        (0.49, "+0.49 dB better than the blurry frames", "gain"),
        (-1.2, "-1.20 dB worse than the blurry frames", "loss"),
        (-0.001, "0.00 dB no clear change from the blurry frames", ""),
        (0.03, "+0.03 dB better than the blurry frames, too little to see", "gain"),
    ],
)
def test_the_headline_is_the_change_and_a_loss_reads_as_one(
    scored: Scored, tmp_path: Path, change: float, said: str, tone: str
) -> None:
    page = rewritten(scored, tmp_path, change)

    assert headline(page) == said
    text = page.read_text(encoding="utf-8")
    assert f'<h1 class="{tone}">' in text
    assert f"<title>{tmp_path.name}: {said.partition(' dB')[0]} dB | CDGNet scores</title>" in text


def test_a_change_whose_interval_contains_zero_is_neither_gain_nor_loss(scored: Scored, tmp_path: Path) -> None:
    _, rows, summary, _ = scored
    gains = (-1.0, 1.5, -0.8, 1.2, -0.5)
    many = [
        {**rows[0], "key": f"clip/{place}", "psnr": rows[0]["psnr_blurry"] + gain} for place, gain in enumerate(gains)
    ]
    mean = {**summary["mean"], "psnr": rows[0]["psnr_blurry"] + sum(gains) / 5, "psnr_blurry": rows[0]["psnr_blurry"]}

    page = scores_page.write(tmp_path, many, {**summary, "mean": mean, "frames": 5}, [])

    assert headline(page) == "+0.08 dB no clear change from the blurry frames"
    text = page.read_text(encoding="utf-8")
    assert "Worst frame: clip/0, -1.00 dB." in text
    assert "too narrow, because the frames are of only 1 sequence" in text


def test_a_fall_is_a_gain_where_lower_is_better() -> None:
    assert [scores_page.tone(-0.5, name) for name in ("psnr", "niqe", "lpips")] == ["loss", "gain", "gain"]
    assert scores_page.tone(math.nan, "psnr") == ""


def test_few_frames_get_no_interval_and_rows_of_few_pixels_are_marked(scored: Scored, tmp_path: Path) -> None:
    _, rows, summary, drawn = scored
    text = scores_page.write(tmp_path, rows, summary, drawn).read_text(encoding="utf-8")
    assert "4 frames: too few for an interval" in text and "too few frames</td>" in text
    assert '<span class="few">3 of 4 frames</span>' in text  # psnr_m1 of a frame without M = 1

    many = [{**each, "key": f"clip/{number}"} for number, each in enumerate(rows * 2)]
    text = scores_page.write(tmp_path, many, {**summary, "frames": 8}, drawn).read_text(encoding="utf-8")
    assert "too few for an interval" not in text and "95 % interval of the change: " in text


def test_ranges_of_few_pixels_or_frames_are_marked() -> None:
    extents = [[9000, 1]] + [[0, 0]] * 5
    rows: list[FrameScores] = [{"key": "0", "extents": extents}, *({"key": str(n)} for n in range(1, 6))]
    assert scores_page.few_text({"from": 0.0, "to": 2.0, "pixels": 412.0}, rows) == "only 412 pixels"
    assert scores_page.few_text({"from": 0.0, "to": 2.0, "pixels": 9000.0}, rows) == "only 1 frame"
    assert scores_page.few_text({"from": 0.0, "to": 2.0, "pixels": 9000.0}, [{**rows[0]}] * 6) == ""


@pytest.fixture(scope="module")
def opened(page: Path) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 800})
        faults: list[str] = []
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("dialog", lambda dialog: faults.append(dialog.message))
        tab.goto(page.as_uri())
        yield tab
        browser.close()
        assert faults == []


def keys(tab: Any) -> list[str]:
    return [str(text) for text in tab.locator(".frames tbody tr:visible td:first-child").all_text_contents()]


def head(tab: Any, name: str) -> Any:
    return tab.locator(".frames th", has=tab.get_by_role("button", name=name, exact=True))


@pytest.mark.browser
def test_a_click_sorts_by_number_and_another_turns_it_round(opened: Any) -> None:
    by_gain = sorted(GAINS, key=lambda key: -GAINS[key])
    head(opened, "gain").get_by_role("button").click()
    assert keys(opened) == by_gain
    assert head(opened, "gain").get_attribute("aria-sort") == "descending"
    head(opened, "gain").get_by_role("button").click()
    assert keys(opened) == by_gain[::-1]
    assert head(opened, "gain").get_attribute("aria-sort") == "ascending"


@pytest.mark.browser
def test_a_key_sorts_and_names_count_as_people_do(opened: Any) -> None:
    head(opened, "frame").get_by_role("button").focus()
    opened.keyboard.press("Enter")
    assert keys(opened) == ["clip/1", "clip/2", "clip/10", f"clip/{HOSTILE}"]
    assert head(opened, "gain").get_attribute("aria-sort") == "none"


@pytest.mark.browser
def test_a_score_that_is_not_there_comes_last_either_way(opened: Any) -> None:
    column = opened.locator(".frames th").all_text_contents().index("PSNR, M = 1") + 1
    for _ in range(2):
        head(opened, "PSNR, M = 1").get_by_role("button").click()
        shown = opened.locator(f".frames tbody td:nth-child({column})").evaluate_all(
            "all => all.map(one => one.dataset.value)"
        )
        there = [value for value in shown if value]
        assert 0 < len(there) < 4
        assert shown[: len(there)] == there


@pytest.mark.browser
def test_names_are_filtered(opened: Any) -> None:
    opened.get_by_role("searchbox").fill("P/1")
    assert sorted(keys(opened)) == ["clip/1", "clip/10"]
    assert opened.locator("#count").text_content() == "2 of 4 shown"
    opened.get_by_role("searchbox").fill("")
    assert len(keys(opened)) == 4


@pytest.mark.browser
def test_a_dot_shows_its_row(opened: Any) -> None:
    opened.get_by_role("searchbox").fill("nothing")
    opened.locator(".scatter circle").nth(1).click()
    assert opened.locator(".frames tr.is-found").count() == 1
    assert len(keys(opened)) == 4


@pytest.mark.browser
def test_the_wipe_follows_mouse_and_keys(opened: Any) -> None:
    wipe = opened.locator(".wipe").first
    wipe.scroll_into_view_if_needed()
    box = wipe.bounding_box()
    opened.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    at = float(wipe.evaluate("element => element.style.getPropertyValue('--at')").rstrip("%"))
    assert at == pytest.approx(80, abs=2)
    wipe.locator("input").press("ArrowLeft")
    assert float(wipe.evaluate("element => element.style.getPropertyValue('--at')").rstrip("%")) == at - 1
    before = wipe.locator(".before").evaluate("element => getComputedStyle(element).clipPath")
    assert f"{100 - (at - 1):g}%" in before
    assert wipe.locator("input").get_attribute("aria-valuetext") == f"{at - 1:g} % blurry"


@pytest.mark.browser
def test_nothing_runs_over_a_narrow_window(opened: Any) -> None:
    opened.set_viewport_size({"width": 390, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    right = "[...document.querySelectorAll('#mean-table td')].map(cell => cell.getBoundingClientRect().right)"
    assert max(opened.evaluate(right)) <= 390  # every number of the table is in sight
    outside = """[...document.querySelectorAll(".scatter text")].filter(text => {
      const box = text.getBBox();
      return box.x < 0 || box.x + box.width > 640 || box.y + box.height > 284;
    }).map(text => text.textContent)"""
    assert opened.evaluate(outside) == []
    opened.set_viewport_size({"width": 1200, "height": 800})
