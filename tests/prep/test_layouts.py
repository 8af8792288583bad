"""Finding and pairing data sets, each with its layout's quirks."""

from pathlib import Path

import pytest

from prep import layouts


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.fixture
def gopro(tmp_path: Path) -> Path:
    root = tmp_path / "GOPRO_Large"
    for split, clip in (("train", "GOPR0372_07_00"), ("train", "GOPR0372_07_01"), ("test", "GOPR0384_11_00")):
        for name in ("000047", "000048"):
            touch(*(root / split / clip / kind / f"{name}.png" for kind in ("blur", "blur_gamma", "sharp")))
    return root


def test_gopro_is_found_in_its_folder_and_in_the_one_above(gopro: Path) -> None:
    inside, above = layouts.find(gopro), layouts.find(gopro.parent)

    assert inside.pairs == above.pairs
    assert [pair.key for pair in inside.pairs][:3] == [
        "GOPR0372_07_00/000047",
        "GOPR0372_07_00/000048",
        "GOPR0372_07_01/000047",
    ]
    assert {pair.split for pair in inside.pairs if pair.key.startswith("GOPR0384")} == {"test"}


def test_the_variant_decides_which_frames_are_blurry(gopro: Path) -> None:
    dataset = layouts.find(gopro, variant="blur_gamma")

    assert dataset.variant == "blur_gamma"
    assert {pair.blurry.parent.name for pair in dataset.pairs} == {"blur_gamma"}


def test_a_missing_variant_names_the_one_that_is_there(tmp_path: Path) -> None:
    clip = tmp_path / "train" / "GOPR0001_00_00"
    touch(clip / "blur_gamma" / "1.png", clip / "sharp" / "1.png")

    with pytest.raises(layouts.LayoutError, match="has no blur frames, only blur_gamma; pass --variant blur_gamma"):
        layouts.find(tmp_path)


def test_junk_is_ignored_and_every_orphan_is_listed(gopro: Path) -> None:
    clip = gopro / "train" / "GOPR0372_07_00"
    touch(
        clip / "blur" / "frames 7 offset 3.txt", clip / "blur" / "._000047.png", gopro / "train" / ".DS_Store" / "blur"
    )
    touch(clip / "blur" / "000099.png", clip / "sharp" / "000100.png")
    (clip / "sharp" / "000048.png").unlink()

    dataset = layouts.find(gopro)

    assert len(dataset.pairs) == 5
    assert sorted(path.relative_to(clip).as_posix() for path in dataset.orphans) == [
        "blur/000048.png",
        "blur/000099.png",
        "sharp/000100.png",
    ]


def test_suffixes_may_differ_in_case_and_kind_within_a_pair(tmp_path: Path) -> None:
    clip = tmp_path / "train" / "GOPR0001_00_00"
    touch(clip / "blur" / "1.PNG", clip / "sharp" / "1.jpeg")

    assert [pair.key for pair in layouts.find(tmp_path).pairs] == ["GOPR0001_00_00/1"]


def test_two_frames_of_one_name_are_refused(gopro: Path) -> None:
    touch(gopro / "train" / "GOPR0372_07_00" / "blur" / "000047.jpg")

    with pytest.raises(layouts.LayoutError, match="share one name"):
        layouts.find(gopro)


def test_a_clip_in_both_splits_is_refused(gopro: Path) -> None:
    clip = gopro / "test" / "GOPR0372_07_00"
    touch(clip / "blur" / "000047.png", clip / "sharp" / "000047.png")

    with pytest.raises(layouts.LayoutError, match="in more than one split"):
        layouts.find(gopro)


def test_the_raw_high_speed_frames_are_no_gopro_pairs(tmp_path: Path) -> None:
    touch(tmp_path / "GOPRO_Large_all" / "train" / "GOPR0477_11_00" / "000001.png")

    with pytest.raises(layouts.LayoutError, match="no data set"):
        layouts.find(tmp_path / "GOPRO_Large_all")


def test_videodeblurring_has_the_official_split(tmp_path: Path) -> None:
    root = tmp_path / "DeepVideoDeblurring_Dataset"
    for video in ("IMG_0030", "720p_240fps_2", "IMG_0001"):
        touch(*(root / "quantitative_datasets" / video / kind / "00000.jpg" for kind in ("input", "GT")))
    touch(root / "qualitative_datasets" / "street" / "input" / "00000.jpg")
    touch(root / "quantitative_datasets" / "__MACOSX" / "input" / "00000.jpg")

    dataset = layouts.find(tmp_path)

    assert dataset.layout == "videodeblurring"
    assert {pair.key: pair.split for pair in dataset.pairs} == {
        "720p_240fps_2/00000": "test",
        "IMG_0001/00000": "train",
        "IMG_0030/00000": "test",
    }


def test_two_data_sets_in_one_folder_must_be_chosen_between(gopro: Path) -> None:
    video = gopro.parent / "quantitative_datasets" / "IMG_0001"
    touch(video / "input" / "00000.jpg", video / "GT" / "00000.jpg")

    with pytest.raises(layouts.LayoutError, match="gopro and videodeblurring; pass --layout"):
        layouts.find(gopro.parent)
    assert layouts.find(gopro.parent, "videodeblurring").layout == "videodeblurring"


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(layouts.LayoutError, match=r"(?s)no data set in .*GOPRO_Large.*quantitative_datasets.*--blurry"):
        layouts.find(tmp_path)


def test_pairs_go_by_relative_path(tmp_path: Path) -> None:
    blurry, sharp = tmp_path / "b", tmp_path / "s"
    touch(blurry / "one" / "1.png", blurry / "two" / "1.png", sharp / "one" / "1.jpg", sharp / "two" / "1.jpg")
    touch(blurry / "three.png", sharp / "__MACOSX" / "three.png")

    dataset = layouts.find_pairs(blurry, sharp)

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

    dataset = layouts.find_pairs(blurry, sharp)

    assert [pair.key for pair in dataset.pairs] == ["1"]  # two frames are called 2: neither is guessed
    assert dataset.orphans == (blurry / "left" / "2.png", blurry / "right" / "2.png", sharp / "2.png")


def test_an_order_that_happens_to_fit_pairs_nothing(tmp_path: Path) -> None:
    touch(tmp_path / "b" / "1.png", tmp_path / "s" / "2.png")

    with pytest.raises(layouts.LayoutError, match="pairs go by relative path, or by file name"):
        layouts.find_pairs(tmp_path / "b", tmp_path / "s")


def test_gopro_clips_of_one_recording_share_their_source() -> None:
    assert layouts.source("gopro", "GOPR0372_07_00/000047") == layouts.source("gopro", "GOPR0372_07_01/000001")
    assert layouts.source("videodeblurring", "IMG_0030/00000") == "IMG_0030"
    assert layouts.source("pairs", "000047") == ""


def test_the_official_counts_are_those_of_the_paper() -> None:
    assert layouts.OFFICIAL["gopro"] == {"train": "official 2103 in 22", "test": "official 1111 in 11"}


def test_the_tally_stands_beside_the_official_counts(gopro: Path) -> None:
    assert layouts.tally(layouts.find(gopro)) == [
        "train: 4 pairs in 2 sequences (official 2103 in 22)",
        "test: 2 pairs in 1 sequence (official 1111 in 11)",
    ]


def test_an_empty_split_says_what_there_is(gopro: Path) -> None:
    for path in sorted((gopro / "test").rglob("*.png")):
        path.unlink()

    with pytest.raises(layouts.LayoutError, match=r"no test pairs \(it holds: train\)"):
        layouts.find(gopro).select("test")
