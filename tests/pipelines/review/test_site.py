"""The review as files: all that is needed, nothing else, exact maps; verdicts; the picture sheet."""

import base64
import dataclasses
import json
import re
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.pages.sheet import COLUMN, FOOT, GAP, HEAD, MARGIN
from pipelines.review import site, verdicts
from pipelines.review.sheet import SheetFrame, draw_masks
from pipelines.review.verdicts import Verdict
from prep import errors
from prep.datasets import layouts, tree_pairs
from prep.io import frames
from prep.masks import equations, making
from prep.masks.folder import MaskRecord, MasksFolder

HOSTILE = "a\"b'<script>alert(1)<%2fscript>&amp;{{ 7 * 7 }} über-写真"


def photograph(height: int, width: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    smooth = sum(cv2.GaussianBlur(noise, (0, 0), size) * size for size in (1, 4, 16))
    return np.clip(128 + 90 * smooth, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> layouts.Dataset:
    folder = tmp_path_factory.mktemp("pairs")
    for number, name in enumerate(("clip/1", "clip/2", f"other/{HOSTILE}")):
        for kind in ("blurry", "sharp"):
            frames.write(folder / kind / f"{name}.png", photograph(48, 64, seed=number))
    return tree_pairs.find_pairs(folder / "blurry", folder / "sharp")


def make_masks(
    dataset: layouts.Dataset, folder: Path, mu: float, method: str = "lbp", count: int = 3
) -> site.SharpnessMaps:
    plan = making.plan(dataset.pairs[:count], MasksFolder(folder), making.recipe_of(dataset, method), mu)
    assert all(isinstance(row, MaskRecord) for row in making.make(plan, 1))
    return site.open_maps(folder, dataset.pairs)


@pytest.fixture(scope="module")
def review(dataset: layouts.Dataset, tmp_path_factory: pytest.TempPathFactory) -> site.Review:
    folder = tmp_path_factory.mktemp("masks")
    maps = [make_masks(dataset, folder / "lbp", 0.5), make_masks(dataset, folder / "paired", 0.9, "paired", count=2)]
    pairs = site.pairs_with_masks(dataset.pairs, maps[0])
    return site.Review(name="pairs", pairs=pairs, maps=maps, verdicts=folder / "verdicts.json", is_served=False)


def arguments_of(review: site.Review, name: str) -> list[object]:
    """The arguments that a script of the review hands over."""
    text = (site.file_content(review, name) or b"").decode()
    call = re.fullmatch(r"review\.(?:give|open)\((.*)\);\n", text, re.DOTALL)
    assert call, text[:80]
    arguments: list[object] = json.loads(f"[{call[1]}]")
    return arguments


def unpack(text: str, height: int, width: int) -> np.ndarray:
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(2, height, width)
    high, low = planes.astype(np.uint16)
    return np.cumsum((high << 8) | low, axis=1, dtype=np.uint16)


def test_a_folder_holds_every_file_that_the_page_asks_for_and_no_other(review: site.Review, tmp_path: Path) -> None:
    done = list(site.write_folder(review, tmp_path / "view", jobs=2))

    names = sorted(path.relative_to(tmp_path / "view").as_posix() for path in (tmp_path / "view").rglob("*.*"))
    assert sorted(done) == sorted(site.file_names(review))
    assert names == sorted([".cdg-view", *done])  # which marks the folder as the page's
    page = (tmp_path / "view" / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {link for link in links if not link.startswith("data:")} <= set(names)
    for path in (tmp_path / "view").rglob("*.*"):
        if path.suffix in (".html", ".js", ".css") and path.parent.name == "view":
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", path.read_text(encoding="utf-8")), path


def test_maps_come_whole_and_a_frame_without_one_says_so(review: site.Review) -> None:
    name, frame = arguments_of(review, "frames/0.js")
    assert name == "frames/0.js"
    for maps, packed in zip(review.maps, frame["maps"], strict=True):
        stored = maps.folder.read_sharpness(review.pairs[0].key)
        np.testing.assert_array_equal(unpack(packed, frame["height"], frame["width"]), stored)
    assert arguments_of(review, "frames/2.js")[1]["maps"][1] is None
    assert arguments_of(review, "thumbs/2.js")[1]["maps"][1] is None


def test_shares_at_any_mu_are_those_of_the_masks(review: site.Review) -> None:
    (known,) = arguments_of(review, "frames.js")

    for pair, frame in zip(review.pairs, known["frames"], strict=True):
        codes = review.maps[0].folder.read_sharpness(pair.key)
        for place in (0, 100, 180, 192, 200):
            expected = equations.mask_of_codes(codes, place / equations.SHARE_STEPS).mean()
            assert frame["shares"][0][place] == pytest.approx(expected, abs=6e-5)
    assert known["frames"][2]["shares"][1] is None


def test_hostile_names_reach_the_page_as_data_only(review: site.Review) -> None:
    (known,) = arguments_of(review, "frames.js")

    assert [frame["key"] for frame in known["frames"]] == ["clip/1", "clip/2", f"other/{HOSTILE}"]
    assert known["frames"][2]["name"] == HOSTILE and known["frames"][2]["sequence"] == "other"
    assert HOSTILE not in site.file_content(review, "index.html").decode()


@pytest.mark.parametrize(
    "name",
    (
        *(
            "",
            "..",
            "../site.py",
            "frames/3.js",
            "frames/-1.js",
            "frames/00.js",
            "frames/0-blurry.js",
            "thumbs/0.jpg",
        ),
        *("frames/0-sharp.jpg/..", "thumbs/²​.js", "/etc/passwd", "frames/1.js.js", "page/main.js", "index.html.j2"),
    ),
)
def test_no_other_name_is_a_file(review: site.Review, name: str) -> None:
    assert site.file_content(review, name) is None


def test_a_page_that_was_not_finished_is_written_again(review: site.Review, tmp_path: Path) -> None:
    writing = site.write_folder(review, tmp_path / "view", jobs=1)
    next(writing)
    writing.close()  # and killed
    assert not (tmp_path / "view" / "index.html").exists()

    assert len(list(site.write_folder(review, tmp_path / "view", jobs=1))) == len(site.file_names(review))


def test_an_earlier_page_is_replaced_and_anything_else_is_not(review: site.Review, tmp_path: Path) -> None:
    list(site.write_folder(review, tmp_path / "view", jobs=1))
    assert list(site.write_folder(review, tmp_path / "view", jobs=1))

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    with pytest.raises(errors.MaskError, match=r"contains other files, but no page of cdg-prep view"):
        list(site.write_folder(review, tmp_path / "mine", jobs=1))
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"


def test_a_folder_without_masks_or_with_two_thresholds_is_refused(dataset: layouts.Dataset, tmp_path: Path) -> None:
    with pytest.raises(errors.MaskError, match="masks does not exist; make them with cdg-prep masks"):
        site.open_maps(tmp_path / "masks", dataset.pairs)
    make_masks(dataset, tmp_path / "masks", 0.5)
    with pytest.raises(errors.MaskError, match=r"masks of mu = 0\.5, 0\.75; give all the same mu"):
        make_masks(dataset, tmp_path / "masks", 0.75, count=2)


def test_only_frames_with_a_mask_are_shown(dataset: layouts.Dataset, tmp_path: Path) -> None:
    maps = make_masks(dataset, tmp_path / "masks", 0.5, count=2)

    assert [pair.key for pair in site.pairs_with_masks(dataset.pairs, maps)] == ["clip/1", "clip/2"]
    with pytest.raises(errors.MaskError, match="has no mask for any of these 1 frame"):
        site.pairs_with_masks(dataset.pairs[2:], maps)


def test_verdicts_come_back_as_they_were(tmp_path: Path) -> None:
    written = {
        "b/2": Verdict(verdict="reject", note='"<script>', method="lbp", mu=0.96),
        "a": Verdict(verdict="", note="写真"),
    }
    path = tmp_path / "verdicts.json"

    verdicts.write(path, {**written, "gone": Verdict(verdict="", note="")})

    assert verdicts.read(path) == written
    assert verdicts.rejected(path) == {"b/2"}


def test_verdicts_of_before_method_and_mu_were_recorded_still_load(tmp_path: Path) -> None:
    old = {"format": "cdg-verdicts", "version": 1, "verdicts": {"a": {"verdict": "reject", "note": "sky"}}}
    (tmp_path / "v.json").write_text(json.dumps(old))

    assert verdicts.read(tmp_path / "v.json") == {"a": Verdict(verdict="reject", note="sky")}
    verdicts.write(tmp_path / "v.json", verdicts.read(tmp_path / "v.json"))
    assert json.loads((tmp_path / "v.json").read_text())["verdicts"] == old["verdicts"]


@pytest.mark.parametrize(
    "text",
    (
        *("", "[]", "{}", '{"format": "cdg-verdicts", "version": 3, "verdicts": {}}'),
        *(
            f'{{"format": "cdg-verdicts", "version": 2, "verdicts": {{"a": {{"verdict": "accept", {wrong}}}}}}}'
            for wrong in ('"mu": 1.5', '"mu": "0.9"', '"mu": true', '"method": 3', '"more": 1')
        ),
        '{"format": "cdg-verdicts", "version": 1, "verdicts": {"a": {"verdict": "maybe"}}}',
    ),
)
def test_other_files_are_no_verdicts(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.json").write_text(text)

    with pytest.raises(errors.MaskError, match="is not a list of verdicts"):
        verdicts.rejected(tmp_path / "v.json")


def test_the_sheet_shows_masks_at_each_mu_and_the_targets_of_the_last() -> None:
    codes = np.zeros((90, 120), np.uint16)
    codes[:, 60:] = round(0.93 * equations.LEVELS)
    sharp = np.full((90, 120, 3), 200, np.uint8)
    frame = SheetFrame(key="clip/1", blurry=np.full((90, 120, 3), 100, np.uint8), sharp=sharp, codes=codes)

    drawn = draw_masks([frame, frame], [0.96, 0.9])

    height = 270  # 90 of 120 pixels at a column's width
    assert drawn.shape == (GAP + HEAD + 2 * (height + FOOT), 2 * MARGIN + 6 * COLUMN + 5 * GAP, 3)
    middle = GAP + HEAD + height // 2
    columns = [MARGIN + place * (COLUMN + GAP) for place in range(6)]
    left, right = ([drawn[middle, x + part].tolist() for x in columns] for part in (60, 300))
    assert left == [[100] * 3, [68, 1, 84], [0] * 3, [0] * 3, [0] * 3, [200] * 3]
    assert [right[place] for place in (0, 2, 3, 4, 5)] == [[100] * 3, [0] * 3, [255] * 3, [200] * 3, [0] * 3]


def test_a_file_of_a_persons_own_beside_an_earlier_page_is_not_replaced(review: site.Review, tmp_path: Path) -> None:
    one = dataclasses.replace(review, pairs=review.pairs[:1])
    list(site.write_folder(one, tmp_path / "view", jobs=1))
    own = tmp_path / "view" / "frames" / "1-sharp.jpg"
    own.write_text("mine")

    with pytest.raises(errors.MaskError, match=r"1-sharp\.jpg would be replaced, but cdg-prep view did not write it"):
        list(site.write_folder(review, tmp_path / "view", jobs=1))

    assert own.read_text() == "mine"
    assert len(list(site.write_folder(one, tmp_path / "view", jobs=1))) == len(site.file_names(one))
