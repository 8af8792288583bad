"""The page on which a person checks masks: self-contained, exact in its figures, safe with any file name."""

import base64
import re
import weakref
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep import frames, layouts, masking, masks, review

HOSTILE = "a\"b'/<script>alert(1)</script>&amp;{{ 7 * 7 }}/über-写真"
SHARES = (0.0, 0.1, 0.2, 0.5)
FACTS = review.Facts(layout="gopro", variant="blur", method="lbp", mu=0.96, shares=SHARES, warnings=1)


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside of style and script by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append((self.tags[-1][0] if self.tags else "", data.strip()))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def said(self):
        return [text for tag, text in self.texts if tag not in ("style", "script") and text]

    def panels(self):
        """Pictures that can be enlarged, in their order."""
        return [
            picture
            for (tag, _), (name, picture) in zip(self.tags, self.tags[1:], strict=False)
            if tag == "button" and name == "img"
        ]


def decode(uri):
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def photograph(height, width, seed=0):
    """Smooth noise: compresses about as a photograph does."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    smooth = sum(cv2.GaussianBlur(noise, (0, 0), size) * size for size in (1, 4, 16))
    return np.clip(128 + 90 * smooth, 0, 255).astype(np.uint8)


def frame(key="clip/000001", height=90, width=160, sharp=True, warning=""):
    codes = np.zeros((height, width), np.uint16)
    codes[:, : width // 4] = masks.LEVELS
    return review.Frame(
        key=key,
        split="test",
        blurry=photograph(height, width),
        sharp=photograph(height, width, seed=1) if sharp else None,
        codes=codes,
        mu=0.96,
        mask_share=0.25,
        warning=warning,
    )


@given(st.integers(1, 300), st.integers(2, 40))
def test_a_sample_spreads_evenly_from_the_first_item_to_the_last(length, count):
    taken = review.sample(range(length), count)

    gaps = np.diff(taken)
    assert len(taken) == min(length, count)
    assert (taken[0], taken[-1]) == (0, length - 1)
    assert length <= 1 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)


def test_a_sample_of_one_is_the_first_item():
    assert review.sample("abc", 1) == ["a"]


def test_a_sample_of_nothing_is_empty():
    assert review.sample("", 3) == []


def test_a_sample_of_no_item_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        review.sample("abc", 0)


@pytest.mark.parametrize(("width", "expected"), [(480, (270, 480)), (2000, (720, 1280))])
def test_a_photograph_is_scaled_down_and_never_enlarged(width, expected):
    assert decode(review.as_jpeg(np.zeros((720, 1280, 3), np.uint8), width)).shape[:2] == expected


def test_a_jpeg_keeps_red_red():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 200

    # A flat block loses nothing but the rounding of the colour transform.
    np.testing.assert_allclose(decode(review.as_jpeg(image, 16)).astype(int), image, atol=3)


@pytest.mark.parametrize("shape", [(20, 30, 3), (20, 30)])
def test_a_png_keeps_every_pixel(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode(review.as_png(image)), expected)


def test_the_colours_of_s_run_from_the_violet_to_the_yellow_of_viridis():
    drawn = review.colour(np.array([[0, masks.LEVELS]], np.uint16))

    # matplotlib's table: (0.267, 0.005, 0.329) and (0.993, 0.906, 0.144)
    assert drawn.tolist() == [[[68, 1, 84], [253, 231, 37]]]


def test_equal_steps_of_s_are_equal_steps_of_lightness():
    scale = review.colour(np.arange(0, masks.LEVELS + 1, 257, dtype=np.uint16)[None])

    steps = np.diff(cv2.cvtColor(scale.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, ::15, 0])
    # viridis is uniform in CAM02-UCS, of which the lightness of CIELAB is a near relation; jet misses by 22
    assert abs(steps / steps.mean() - 1).max() < 0.2


def test_a_small_map_shows_no_colour_that_is_not_on_the_scale():
    codes = np.random.default_rng(0).integers(0, 65536, (90, 160), np.uint16)
    scale = {tuple(each) for each in review.colour(np.arange(65536, dtype=np.uint16)[None])[0]}

    assert {tuple(each) for each in review.small_map(codes, 48).reshape(-1, 3)} <= scale


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_one_marked_pixel_of_a_large_frame_is_outlined_in_black_and_white(grey):
    mask = np.zeros((720, 1280), np.uint8)
    mask[300, 500] = 1

    drawn = review.overlay(np.full((720, 1280, 3), grey, np.uint8), mask, 480)

    around = drawn[300 * 480 // 1280 - 4 :, 500 * 480 // 1280 - 4 :][:9, :9].reshape(-1, 3).tolist()
    assert [0, 0, 0] in around and [255, 255, 255] in around


def test_marked_pixels_are_tinted_and_those_far_from_them_are_untouched():
    image, mask = np.full((60, 80, 3), 100, np.uint8), np.zeros((60, 80), np.uint8)
    mask[:, :20] = 1

    drawn = review.overlay(image, mask, 80)

    assert (drawn[:, 23:] == 100).all()
    # 0.58 of the frame's grey and 0.42 of magenta (255, 0, 200)
    assert drawn[30, 10].tolist() == [165, 58, 142]


def test_an_empty_mask_leaves_the_frame_as_it_is():
    image = photograph(60, 80)

    drawn = review.overlay(image, np.zeros((60, 80), np.uint8), 40)

    np.testing.assert_array_equal(drawn, review.shrink(image, 40))


def test_the_page_needs_no_other_file_and_no_network():
    text = review.render([frame(), frame(HOSTILE)], FACTS)

    page = Page(text)
    links = [tag[name] for _, tag in page.tags for name in ("src", "href", "srcset", "action") if name in tag]
    policies = [tag.get("content") for tag in page.all("meta") if tag.get("http-equiv")]
    assert links and all(link.startswith("data:") for link in links)
    assert not re.search(r"@import|url\(|https?:|//[a-z]", re.sub(r"base64,[^\"]*", "", text))
    assert policies[0].startswith("default-src 'none'; img-src data:;")


def test_every_picture_decodes_to_the_size_that_the_page_keeps_free_for_it():
    page = Page(review.render([frame(height=720, width=1280)], FACTS))

    for picture in page.panels():
        kept = int(picture["height"]), int(picture["width"])
        assert decode(picture["src"]).shape[:2] == kept == (270, 480)


def test_every_picture_says_what_it_shows():
    page = Page(review.render([frame(HOSTILE)], FACTS))

    alts = [picture["alt"] for picture in page.panels()]
    assert len(set(alts)) == 5 and all(alt.startswith(HOSTILE) for alt in alts)


def test_a_hostile_key_is_shown_as_it_is_and_adds_no_tag():
    plain, hostile = (Page(review.render([frame(key, warning=key)], FACTS)) for key in ("clip/1", HOSTILE))

    assert hostile.said().count(HOSTILE) == 2
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]


def test_sgt_and_lgt_are_black_where_they_are_masked_out_and_sharp_elsewhere():
    shown = frame()
    pictures = Page(review.render([shown], FACTS)).panels()

    sgt, lgt = (decode(picture["src"]).astype(int) for picture in pictures[3:])

    # JPEG at quality 86: a few grey levels on average, black but for the blocks at the edge of the mask
    assert sgt[:, 48:].max() == 0 and lgt[:, :32].max() == 0
    assert abs(sgt + lgt - shown.sharp).mean() < 6


def test_a_frame_without_a_sharp_one_has_no_panels_of_targets():
    page = Page(review.render([frame(sharp=False)], FACTS))

    assert len(page.panels()) == 3
    assert "Sgt" not in page.said()


def test_a_row_says_the_share_the_range_of_s_and_the_warning():
    page = Page(review.render([frame(warning="mask is empty: S reaches only 0.9")], FACTS))

    assert {"25.0 % marked", "S 0.000 to 1.000"} <= {text.replace("\xa0", " ") for text in page.said()}
    assert ("strong", "mask is empty: S reaches only 0.9") in page.texts


def test_a_row_without_a_warning_highlights_nothing():
    assert not Page(review.render([frame()], FACTS)).all("strong")


def test_the_header_counts_the_whole_folder():
    said = " ".join(Page(review.render([frame()], FACTS)).said()).replace("\xa0", " ")

    assert "Masks of gopro blur method lbp, mu 0.96 Frames shown 1 of 4" in said
    assert "Mean mask share 20.0 % Median 15.0 % Empty masks 1 Warnings 1" in said


def test_the_histogram_counts_every_share_once():
    bins = replace(FACTS, shares=[0.0, 0.04, 0.051, 0.999, 1.0]).histogram()

    assert (bins[0], bins[1], bins[-1], sum(bins)) == (2, 1, 2, 5)


def test_the_scale_is_printed_once_with_mu_at_its_place():
    text = review.render([frame("a"), frame("b")], FACTS)

    page = Page(text)
    assert sum(tag.get("class") == "scale" for tag in page.all("img")) == 1
    assert ".marks .mu { left: 96.0000%; }" in text and "mu 0.96" in page.said()


def test_a_page_of_no_frame_says_so():
    assert "No frame was chosen." in Page(review.render([], replace(FACTS, shares=[]))).said()


def test_frames_are_held_one_at_a_time():
    held: list[weakref.ref[review.Frame]] = []
    most = 0

    def stream() -> Iterator[review.Frame]:
        nonlocal most
        for number in range(5):
            most = max(most, sum(each() is not None for each in held))
            shown = frame(str(number))
            held.append(weakref.ref(shown))
            yield shown
            del shown

    review.render(stream(), FACTS)

    assert most <= 1


def test_twelve_frames_of_gopro_size_stay_below_six_megabytes():
    assert 12 * len(review.render([frame(height=720, width=1280)], FACTS)) < 6e6


@pytest.fixture
def dataset(tmp_path: Path) -> layouts.Dataset:
    for number in range(4):
        for name in ("blurry", "sharp"):
            frames.write(tmp_path / name / f"{number}.png", photograph(48, 64, seed=number))
    return layouts.find_pairs(tmp_path / "blurry", tmp_path / "sharp")


def make_masks(dataset, folder, mu, count=4):
    plan = masking.plan(dataset.pairs[:count], folder, masking.recipe_of(dataset, "lbp"), mu)
    return list(masking.make(plan, 1))


def test_a_masks_folder_becomes_a_page_with_its_own_figures(dataset, tmp_path):
    folder = tmp_path / "masks"
    rows = make_masks(dataset, folder, 0.5)

    chosen = review.choose(dataset.pairs, folder, 2)
    review.write_page(tmp_path / "view.html", review.load(chosen, folder), dataset, folder)

    said = " ".join(Page((tmp_path / "view.html").read_text(encoding="utf-8")).said()).replace("\xa0", " ")
    mean = sum(row.mask_share for row in rows) / 4
    assert f"Masks of pairs method lbp, mu 0.5 Frames shown 2 of 4 Mean mask share {100 * mean:.1f} %" in said


def test_only_frames_with_a_mask_are_chosen(dataset, tmp_path):
    make_masks(dataset, tmp_path / "masks", 0.5, count=3)

    chosen = review.choose(dataset.pairs, tmp_path / "masks", 9)

    assert [pair.key for pair in chosen] == ["0", "1", "2"]


def test_a_folder_without_masks_sends_the_person_to_cdg_prep_masks(dataset, tmp_path):
    with pytest.raises(masking.MaskError, match="none of 4 masks asked for; run cdg-prep masks"):
        review.choose(dataset.pairs, tmp_path / "masks", 2)


def test_a_frame_without_a_mask_is_named(dataset, tmp_path):
    with pytest.raises(masking.MaskError, match="no mask of 0; run cdg-prep masks"):
        list(review.load(dataset.pairs, tmp_path / "masks"))


def test_masks_of_two_thresholds_do_not_share_a_page(dataset, tmp_path):
    make_masks(dataset, tmp_path / "masks", 0.5)
    make_masks(dataset, tmp_path / "masks", 0.75, count=2)

    with pytest.raises(masking.MaskError, match=r"mu 0\.5, 0\.75; wanted one mu"):
        review.write_page(tmp_path / "view.html", [], dataset, tmp_path / "masks")
    assert not (tmp_path / "view.html").exists()
