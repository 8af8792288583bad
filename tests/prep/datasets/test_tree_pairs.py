"""Any two trees are paired by what their names say, and never by the order of their files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep import errors
from prep.datasets import tree_pairs


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_pairs_go_by_relative_path(tmp_path: Path) -> None:
    blurry, sharp = tmp_path / "b", tmp_path / "s"
    touch(blurry / "one" / "1.png", blurry / "two" / "1.png", sharp / "one" / "1.jpg", sharp / "two" / "1.jpg")
    touch(blurry / "three.png", sharp / "__MACOSX" / "three.png")

    dataset = tree_pairs.find_pairs(blurry, sharp)

    assert [(pair.key, pair.sharp.name, pair.split) for pair in dataset.pairs] == [
        ("one/1", "1.jpg", "all"),
        ("two/1", "1.jpg", "all"),
    ]
    assert dataset.orphans == (blurry / "three.png",)


def test_pairs_fall_back_to_file_names_where_no_path_agrees(tmp_path: Path) -> None:
    blurry, sharp = tmp_path / "b", tmp_path / "s"
    touch(
        blurry / "left" / "1.png",
        blurry / "left" / "2.png",
        blurry / "right" / "2.png",
        sharp / "1.png",
        sharp / "2.png",
    )

    dataset = tree_pairs.find_pairs(blurry, sharp)

    assert [pair.key for pair in dataset.pairs] == ["1"]  # two frames are called 2: neither is guessed
    assert dataset.orphans == (blurry / "left" / "2.png", blurry / "right" / "2.png", sharp / "2.png")


def test_a_warning_says_where_file_names_alone_made_the_pairs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blurry, sharp = tmp_path / "b", tmp_path / "s"
    touch(blurry / "clip1" / "0001.png", blurry / "clip1" / "0002.png", sharp / "clip3" / "0001.png")

    tree_pairs.find_pairs(blurry, sharp)

    assert [record.message for record in caplog.records] == [
        "1 pair from 2 blurry and 1 sharp frames by file name alone, as folders differ; "
        f"the first: {blurry}/clip1/0001.png, {sharp}/clip3/0001.png"
    ]
    caplog.clear()
    touch(sharp / "clip1" / "0002.png")
    tree_pairs.find_pairs(blurry, sharp)
    assert not caplog.records


def test_one_folder_is_no_pair(tmp_path: Path) -> None:
    touch(tmp_path / "b" / "1.png")

    with pytest.raises(errors.DatasetError, match="use two folders"):
        tree_pairs.find_pairs(tmp_path / "b", tmp_path / "b")


def test_an_order_that_happens_to_fit_pairs_nothing(tmp_path: Path) -> None:
    touch(tmp_path / "b" / "1.png", tmp_path / "s" / "2.png")

    with pytest.raises(errors.DatasetError, match="have no names in common"):
        tree_pairs.find_pairs(tmp_path / "b", tmp_path / "s")


def make_realblur(root: Path) -> Path:
    for scene in ("scene001", "scene002"):
        for number in (1, 2):
            touch(*(root / "RealBlur-J" / scene / role / f"{role}_{number}.png" for role in ("blur", "gt")))
    return root / "RealBlur-J"


SCENES = [f"scene00{scene}/{number}" for scene in (1, 2) for number in (1, 2)]


def found(blurry: Path, sharp: Path) -> dict[str, tuple[str, str]]:
    """File names of the pairs by key; no frame is left over."""
    dataset = tree_pairs.find_pairs(blurry, sharp)
    assert not dataset.orphans
    return {pair.key: (Path(str(pair.blurry)).name, Path(str(pair.sharp)).name) for pair in dataset.pairs}


@pytest.mark.parametrize("blurry", ["**/blur_*.png", "**/blur/*", "scene*/blur/blur_*.png", "*/blur/blur_[12].*"])
@pytest.mark.parametrize("sharp", ["**/gt_*.png", "*/gt/gt_?.png"])
def test_patterns_pair_realblur_as_it_is_published(tmp_path: Path, blurry: str, sharp: str) -> None:
    root = make_realblur(tmp_path)
    if blurry.startswith("scene"):
        sharp = sharp.replace("*/gt/", "scene*/gt/").replace("**", "scene*/gt")

    pairs = found(root / blurry, root / sharp)

    numbers = [key.rpartition("/")[2] for key in pairs]
    assert list(pairs.values()) == [(f"blur_{number}.png", f"gt_{number}.png") for number in numbers]
    assert len(pairs) == 4 and numbers == ["1", "2", "1", "2"]


def test_results_are_paired_with_sharp_frames_of_other_names_and_folders(tmp_path: Path) -> None:
    sharp = make_realblur(tmp_path) / "**" / "gt_*.png"
    for key in SCENES:
        scene, number = key.split("/")
        touch(tmp_path / "flat" / f"{scene}_blur_{number}.png", tmp_path / "deep" / scene / f"blur_{number}.jpg")
        touch(tmp_path / "dashed" / f"{scene}-{number}_deblurred.png")

    for results in ("flat", "deep", "dashed"):
        assert list(found(tmp_path / results, sharp)) == SCENES


def test_flat_copies_are_paired_with_the_trees_that_they_are_of(tmp_path: Path) -> None:
    touch(tmp_path / "GoPro" / "GOPR0384_11_00" / "sharp" / "000001.png")
    touch(tmp_path / "RSBlur" / "0001" / "000022" / "gt" / "gt_sharp.png")
    touch(tmp_path / "one" / "GOPR0384_11_00-000001.png", tmp_path / "two" / "0001_000022.png")

    assert list(found(tmp_path / "one", tmp_path / "GoPro")) == ["GOPR0384_11_00/000001"]
    assert list(found(tmp_path / "two", tmp_path / "RSBlur")) == ["0001/000022"]


def test_two_frames_that_fit_one_are_refused_by_name(tmp_path: Path) -> None:
    root = make_realblur(tmp_path)
    touch(tmp_path / "results" / "scene001_1.png")

    with pytest.raises(errors.DatasetError, match=r"blur_1\.png and .*gt_1\.png fit the same .* --sharp 'DIR/"):
        tree_pairs.find_pairs(tmp_path / "results", root)
    touch(root / "scene001" / "blur" / "blur_1.jpg")
    with pytest.raises(errors.DatasetError, match=r"blur_1\.jpg and .*blur_1\.png have the same name"):
        tree_pairs.find_pairs(root / "**" / "blur_*", root / "**" / "gt_*")


def test_patterns_of_different_scenes_pair_nothing_though_the_numbers_agree(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "left" / "1.png", tmp_path / "b" / "right" / "1.png")

    with pytest.raises(errors.DatasetError, match=r"differs with patterns: --blurry 'DIR/"):
        tree_pairs.find_pairs(tmp_path / "a" / "*" / "*.png", tmp_path / "b" / "*" / "*.png")


def test_what_is_no_tree_is_named_with_its_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "b" / "1.png", tmp_path / "s" / "1.png", tmp_path / "b" / "notes.txt")
    for place, said in (
        ("b/*.jpg", r"b/\*\.jpg matches no frame"),
        ("none/**", r"none/\*\* matches no frame"),
        ("none/*/x", r"none/\*/x matches no frame"),
        ("b/1.png/*", r"1\.png is a file, but .*/\* looks inside it; unpack it, or use --root .*1\.png"),
        ("b/notes.*", "matches no frame"),
        ("b/1.png", r"1\.png is a file; --blurry takes a folder, or a pattern in quotes"),
        ("none", "none does not exist; --blurry takes"),
        ("s/*", "--blurry and --sharp are both"),
    ):
        with pytest.raises(errors.DatasetError, match=said):
            tree_pairs.find_pairs(tmp_path / place, tmp_path / "s" / "*.png")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert list(found(Path("~/b"), Path("~/s/*.png"))) == list(found(Path("b/*.*"), Path("s"))) == ["1"]


def test_nothing_may_be_written_where_a_pattern_matches_but_beside_it(tmp_path: Path) -> None:
    make_realblur(tmp_path)

    assert tree_pairs.find_pairs(tmp_path / "**/blur_*", tmp_path / "**/gt_*").folders == (tmp_path / "RealBlur-J",)


def test_the_order_of_files_decides_nothing_and_every_frame_is_a_pair_or_an_orphan(tmp_path: Path) -> None:
    touch(*(tmp_path / "b" / f"{number:02}_blur.png" for number in (1, 2, 4, 5)))
    touch(*(tmp_path / "s" / f"{number:02}.png" for number in (2, 3, 5, 6)))

    dataset = tree_pairs.find_pairs(tmp_path / "b", tmp_path / "s")

    assert [pair.key for pair in dataset.pairs] == ["02", "05"]
    assert [Path(str(path)).name for path in dataset.orphans] == ["01_blur.png", "04_blur.png", "03.png", "06.png"]
    with pytest.raises(errors.DatasetError, match=r"2 frames without a partner in .*s, first .*01_blur\.png; remove"):
        tree_pairs.find_pairs(tmp_path / "b", tmp_path / "s", whole=True)


NAMES = st.lists(st.sampled_from(["a", "b", "1", "2", "blur", "GT", "x"]), min_size=1, max_size=3)


@given(name=NAMES, separators=st.lists(st.sampled_from("/_-. "), min_size=2, max_size=2))
def test_a_key_has_the_words_of_its_name_but_those_that_say_what_a_frame_is(
    name: list[str], separators: list[str]
) -> None:
    text = "".join(word + separator for word, separator in zip(name, [*separators, ""], strict=False)).rstrip("/_-. ")

    key = tree_pairs._bare(text)

    words = tuple(word for word in name if word not in ("blur", "GT"))
    assert list(tree_pairs._by_words([key], [key])) == [words]
    assert key.strip("/_-. ") == key
