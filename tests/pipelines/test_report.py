"""The demo's report: its headline, its rows, its curve, and the picture for a read-me."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from pipelines import report

HOSTILE = "\"><script>alert('1')</script>/über-写真"
SUMMARY = report.Summary(
    psnr_blurry=25.318,
    psnr_restored=27.449,
    ssim_blurry=0.7821,
    ssim_restored=0.8432,
    frames=7,
    device="CPU, 2 threads",
    preset="tiny",
    parameters=1234567,
    steps=1200,
    seconds=312.4,
    protocol="RGB, 8 bit, whole frames",
)
CURVE = [(0, 0.1, 0.01, 1.0), (100, 0.01, 0.01, 0.1), (200, 0.001, 0.01, 0.02)]


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] not in ("style", "script"):
            self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def said(self):
        return " ".join(" ".join(self.texts).split())


def example(key="clip/000001", height=120, width=180):
    rng = np.random.default_rng(0)
    blurry, small, large, restored, sharp = (
        np.full((height, width, 3), grey, np.uint8) for grey in (60, 90, 120, 150, 180)
    )
    return report.Example(
        key=key,
        blurry=blurry,
        codes=rng.integers(0, 65536, (height, width), np.uint16),
        mask=rng.integers(0, 2, (height, width), np.uint8),
        small=small,
        large=large,
        restored=restored,
        sharp=sharp,
        psnr_blurry=22.504,
        psnr_restored=25.996,
    )


def decode(uri):
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def lines(text):
    """Points of the restored, small and large lines."""
    drawn = {tag["class"]: tag["points"] for tag in Page(text).all("polyline")}
    return [
        [tuple(float(part) for part in point.split(",")) for point in drawn[f"line-{number}"].split()]
        for number in (1, 2, 3)
    ]


def test_the_headline_gives_both_means_and_what_they_are_of():
    said = Page(report.render([], [], SUMMARY)).said()

    assert "blurry 25.32 dB → restored 27.45 dB +2.13 dB on photographs never trained on" in said
    assert "the mean of 7 frames" in said


def test_a_loss_of_quality_is_not_hidden():
    said = Page(report.render([], [], replace(SUMMARY, psnr_restored=25.0))).said()

    assert "-0.32 dB on photographs never trained on" in said


def test_the_facts_are_all_there():
    said = Page(report.render([], [], SUMMARY)).said()

    for fact in (
        "SSIM, mean 0.7821 → 0.8432",
        "Frames scored 7",
        "Protocol RGB, 8 bit, whole frames",
        "Network preset tiny, 1,234,567 parameters",
        "Training 1,200 steps in 5 min 12 s",
        "Device CPU, 2 threads",
    ):
        assert fact in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (42, "42 s"), (3599.4, "59 min 59 s"), (9060, "2 h 31 min")],
)
def test_a_duration_is_said_as_people_say_it(seconds, said):
    assert replace(SUMMARY, seconds=seconds).duration == said


def test_the_page_needs_no_other_file_and_no_network():
    text = report.render([example(), example(HOSTILE)], CURVE, SUMMARY)

    names = ("src", "href", "srcset", "action")
    links = [tag[name] for _, tag in Page(text).tags for name in names if name in tag]
    assert links and all(link.startswith("data:") for link in links)
    assert not re.search(r"@import|url\(|https?:|//[a-z]", re.sub(r"base64,[^\"]*", "", text))


def test_hostile_names_are_shown_as_they_are_and_add_no_tag():
    plain = Page(report.render([example()], CURVE, SUMMARY))
    summary = replace(SUMMARY, device=HOSTILE, protocol=HOSTILE)
    hostile = Page(report.render([example(HOSTILE)], CURVE, summary))

    assert hostile.said().count(HOSTILE) == 3
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]


def test_a_row_shows_the_way_from_blurry_to_sharp_in_order():
    page = Page(report.render([example()], [], SUMMARY))

    names = "blurry S M small branch large branch restored sharp"
    assert page.said().count(" ".join(["22.50 dB → 26.00 dB +3.49 dB blurry restored", names])) == 1
    # before: the wipe's two pictures; after: the enlarged view's, empty until it opens
    shown = [decode(tag["src"]) for tag in page.all("img")[2:-1]]
    assert [picture[5, 5, 0] for picture in (shown[0], *shown[3:])] == [60, 90, 120, 150, 180]


def test_every_picture_decodes_to_the_size_that_the_page_keeps_free_for_it():
    page = Page(report.render([example(height=600, width=1000)], [], SUMMARY))

    sizes = [(int(tag["height"]), int(tag["width"])) for tag in page.all("img")[:-1]]
    assert sizes == [(480, 800)] * 2 + [(288, 480)] * 7
    assert [decode(tag["src"]).shape[:2] for tag in page.all("img")[:-1]] == sizes
    assert all(tag["alt"].startswith("clip/000001, ") for tag in page.all("img")[:-1])


def test_the_wipe_lays_blurry_over_restored_and_works_by_keyboard():
    page = Page(report.render([example()], [], SUMMARY))

    after, before = page.all("img")[:2]
    (wipe,) = page.all("input")
    assert (decode(after["src"])[5, 5, 0], decode(before["src"])[5, 5, 0]) == (150, 60)
    assert (wipe["type"], wipe["min"], wipe["max"], wipe["value"]) == ("range", "0", "100", "50")
    assert wipe["aria-label"] == "Wipe between blurry and restored, clip/000001"
    assert "tabindex" not in wipe and "disabled" not in wipe


def test_a_factor_of_ten_is_equally_high_everywhere_on_the_curve():
    restored, small, large = lines(report.render([], CURVE, SUMMARY))

    # Points are rounded to tenths, so two differences may part by two tenths.
    drops = [restored[1][1] - restored[0][1], restored[2][1] - restored[1][1], large[1][1] - large[0][1]]
    assert max(drops) - min(drops) < 0.21 and min(drops) > 0
    assert len({y for _, y in small}) == 1


def test_the_curve_spans_its_axis_in_steps():
    restored, *_ = lines(report.render([], CURVE, SUMMARY))

    assert [x for x, _ in restored] == [72, 350, 628]


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_point_that_a_log_axis_cannot_show_is_left_out(bad):
    restored, small, large = lines(report.render([], [*CURVE, (300, 0.1, bad, 0.1)], SUMMARY))

    assert len(restored) == len(small) == len(large) == 3


def test_without_a_curve_there_is_no_chart():
    page = Page(report.render([], [], SUMMARY))

    assert not page.all("polyline") and "Training loss" not in page.said()


@pytest.mark.parametrize("top", [1e-6, 0.0101, 0.03, 0.5, 4000.0])
@pytest.mark.parametrize("steps", [1, 7, 120, 300000])
def test_both_axes_carry_a_readable_number_of_ticks_inside_the_chart(top, steps):
    text = report.render([], [(1, top, 0.01, 0.01), (steps, 0.01, 0.01, 0.01)], SUMMARY)

    across = [float(tag["y1"]) for tag in Page(text).all("line") if tag["class"] == "grid"]
    along = [float(tag["x1"]) for tag in Page(text).all("line") if tag["class"] == "axis"]
    assert 3 <= len(across) <= 7 and all(12 <= y <= 262 for y in across)
    assert 1 <= len(along) <= 7 and all(58 <= x <= 628 for x in along)


def test_the_picture_has_a_row_an_example_and_five_columns():
    sheet = report.picture([example(), example(height=200, width=100)])

    assert sheet.dtype == np.uint8
    # 12 above, 44 of names, rows of 240 and 720, 46 of scores each; 5 x 360, 4 x 12 between, 2 x 24 beside
    assert sheet.shape == (12 + 44 + 240 + 46 + 720 + 46, 5 * 360 + 4 * 12 + 2 * 24, 3)
    assert [sheet[200, 24 + 372 * place + 100, 0] for place in (0, 3, 4)] == [60, 150, 180]


def test_the_picture_names_its_columns_and_scores_two_of_them():
    sheet = report.picture([example()])

    written = [
        [bool(sheet[rows, 24 + 372 * place : 384 + 372 * place].std() > 5) for place in range(5)]
        for rows in (slice(12, 56), slice(296, 342))
    ]
    assert written == [[True] * 5, [True, False, False, True, False]]


def test_a_picture_of_no_example_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        report.picture([])
