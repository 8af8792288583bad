"""Finding and pairing data sets, each with its layout's quirks."""

import shutil
from pathlib import Path

import pytest

from prep import errors
from prep.datasets import layouts, published
from prep.io.storage import ArchiveMember


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


def test_the_only_variant_there_is_taken_and_a_missing_one_names_it(tmp_path: Path) -> None:
    clip = tmp_path / "train" / "GOPR0001_00_00"
    touch(clip / "blur_gamma" / "1.png", clip / "sharp" / "1.png")

    assert layouts.find(tmp_path).name == "gopro-blur_gamma"
    with pytest.raises(errors.DatasetError, match="has no blur frames, only blur_gamma; use --variant blur_gamma"):
        layouts.find(tmp_path, variant="blur")


def test_a_data_set_that_was_made_is_called_after_its_folder(tmp_path: Path) -> None:
    clip = tmp_path / "mine" / "train" / "a"
    touch(clip / "blur" / "1.png", clip / "sharp" / "1.png")
    assert layouts.find(tmp_path / "mine").name == "gopro"

    (tmp_path / "mine" / "synthesis.json").write_text("{}")

    assert layouts.find(tmp_path / "mine").name == "mine"


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

    with pytest.raises(errors.DatasetError, match="have the same name"):
        layouts.find(gopro)


def test_a_clip_in_both_splits_is_refused(gopro: Path) -> None:
    clip = gopro / "test" / "GOPR0372_07_00"
    touch(clip / "blur" / "000047.png", clip / "sharp" / "000047.png")

    with pytest.raises(errors.DatasetError, match="in more than one split"):
        layouts.find(gopro)


def test_the_raw_high_speed_frames_are_no_gopro_pairs(tmp_path: Path) -> None:
    touch(tmp_path / "GOPRO_Large_all" / "train" / "GOPR0477_11_00" / "000001.png")

    with pytest.raises(errors.DatasetError, match="no data set"):
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


def test_flat_copies_of_gopro_have_the_keys_of_the_official_ones(gopro: Path, tmp_path: Path) -> None:
    official_keys = {pair.key: pair.split for pair in layouts.find(gopro).pairs}
    shapes = {
        "NAFNet": "GoPro/{split}/{input}/{clip}-{name}.png",
        "MPRNet": "{split}/GoPro/{input}/{clip}-{name}.png",
        "MIMO-UNet": "GOPRO/{split}/{blur}/{clip}_{name}.png",
    }
    for owner, shape in shapes.items():
        for key, split in official_keys.items():
            clip, name = key.split("/")
            for blur, given in (("blur", "input"), ("sharp", "target")):
                touch(tmp_path / owner / shape.format(split=split, input=given, blur=blur, clip=clip, name=name))

        dataset = layouts.find(tmp_path / owner)

        assert (dataset.layout, dataset.variant, dataset.orphans) == ("gopro", "blur", ())
        assert {pair.key: pair.split for pair in dataset.pairs} == official_keys


def test_reds_clips_of_train_and_val_share_numbers_and_not_keys(tmp_path: Path) -> None:
    for half in ("train", "val"):
        for kind in ("blur", "blur_comp", "sharp"):
            touch(tmp_path / "REDS" / half / f"{half}_{kind}" / "000" / "00000000.png")
    touch(tmp_path / "REDS" / "train" / "train_blur_bicubic" / "X4" / "000" / "00000000.png")

    dataset = layouts.find(tmp_path)

    assert {pair.key: pair.split for pair in dataset.pairs} == {
        "train/000/00000000": "train",
        "val/000/00000000": "test",
    }
    assert (dataset.variant, dataset.others, dataset.orphans) == ("blur", ("blur_comp",), ())
    assert layouts.find(tmp_path, variant="blur_comp").name == "reds-blur_comp"
    assert layouts.source("reds", "train/000/00000000") == "train/000"


def test_hide_has_one_folder_of_sharp_frames_for_all(tmp_path: Path) -> None:
    root = tmp_path / "HIDE_dataset"
    blurry = (
        "train/1fromGOPR0950.png",
        "test/test-close-ups/2fromGOPR1089.png",
        "test/test-long-shot/3fromGOPR1089.png",
    )
    touch(*(root / name for name in blurry), *(root / "GT" / Path(name).name for name in blurry))
    touch(root / "GT" / "4fromGOPR1100.png")

    dataset = layouts.find(tmp_path)

    assert {pair.key: pair.split for pair in dataset.pairs} == {
        "1fromGOPR0950": "train",
        "2fromGOPR1089": "test",
        "3fromGOPR1089": "test",
    }
    assert dataset.orphans == (root / "GT" / "4fromGOPR1100.png",)
    assert layouts.source("hide", "2fromGOPR1089") == layouts.source("hide", "3fromGOPR1089") == "GOPR1089"


def test_realblur_takes_its_split_from_the_list_files_whatever_their_order(tmp_path: Path) -> None:
    folder = "RealBlur-J_ECC_IMCORR_centroid_itensity_ref"
    for scene, number in ((1, 1), (1, 2), (2, 1), (3, 1)):
        for kind in ("blur", "gt"):
            touch(tmp_path / folder / f"scene{scene:03}" / kind / f"{kind}_{number}.png")
    gt, blur = (f"{folder}/scene001/{kind}/{kind}_{{0}}.png" for kind in ("gt", "blur"))
    lines = [f"{gt.format(number)} {blur.format(number)} \n" for number in (1, 2)]
    (tmp_path / "RealBlur_J_train_list.txt").write_text("".join(lines))
    (tmp_path / "RealBlur_J_test_list.txt").write_text(
        f"{folder}/scene002/gt/gt_1.png {folder}/scene002/blur/blur_1.png"
    )

    dataset = layouts.find(tmp_path)

    assert (dataset.layout, dataset.variant, dataset.name) == ("realblur", "J", "realblur")
    assert {pair.key: pair.split for pair in dataset.pairs} == {
        "scene001/1": "train",
        "scene001/2": "train",
        "scene002/1": "test",
        "scene003/1": "all",
    }


def test_the_two_realblurs_never_mix(tmp_path: Path) -> None:
    for letter, rest in (("J", "ECC_IMCORR_centroid_itensity_ref"), ("R", "BM3D_ECC_IMCORR_centroid_itensity_ref")):
        for kind in ("blur", "gt"):
            touch(tmp_path / "RealBlur" / f"RealBlur-{letter}_{rest}" / "scene001" / kind / f"{kind}_1.png")

    dataset = layouts.find(tmp_path, variant="R")

    assert [str(pair.sharp).count("RealBlur-R") for pair in dataset.pairs] == [1]
    assert (dataset.name, dataset.others) == ("realblur-R", ("J",))


def test_an_archive_gives_the_keys_of_the_folder_it_was_made_of(gopro: Path, tmp_path: Path) -> None:
    touch(gopro / "train" / "GOPR0372_07_00" / "blur" / "frames 7 offset 3.txt", gopro / "__MACOSX" / "._1.png")
    archive = Path(shutil.make_archive(str(tmp_path / "there" / "GOPRO_Large"), "zip", gopro.parent, gopro.name))

    for place in (archive, archive.parent):
        dataset = layouts.find(place)

        assert [(pair.key, pair.split) for pair in dataset.pairs] == [
            (pair.key, pair.split) for pair in layouts.find(gopro).pairs
        ]
        assert dataset.pairs[0].blurry == ArchiveMember(
            archive=archive, name="GOPRO_Large/train/GOPR0372_07_00/blur/000047.png"
        )
    assert dataset.others == ("blur_gamma",)


def test_a_root_one_level_too_deep_is_answered_with_the_right_one(gopro: Path) -> None:
    with pytest.raises(errors.DatasetError, match=f"but is a part of one; use {gopro}"):
        layouts.find(gopro / "train" / "GOPR0372_07_00")


def test_a_variant_of_another_data_set_is_refused(gopro: Path) -> None:
    with pytest.raises(errors.DatasetError, match="gopro has no variant J; choose one of blur, blur_gamma"):
        layouts.find(gopro, "gopro", "J")


def test_two_data_sets_in_one_folder_must_be_chosen_between(gopro: Path) -> None:
    video = gopro.parent / "quantitative_datasets" / "IMG_0001"
    touch(video / "input" / "00000.jpg", video / "GT" / "00000.jpg")

    with pytest.raises(errors.DatasetError, match="gopro and videodeblurring; choose one with --layout"):
        layouts.find(gopro.parent)
    assert layouts.find(gopro.parent, "videodeblurring").layout == "videodeblurring"


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(errors.DatasetError, match=r"contains no data set .*gopro, videodeblurring.*--blurry"):
        layouts.find(tmp_path)


def test_gopro_clips_of_one_recording_share_their_source() -> None:
    assert layouts.source("gopro", "GOPR0372_07_00/000047") == layouts.source("gopro", "GOPR0372_07_01/000001")
    assert layouts.source("videodeblurring", "IMG_0030/00000") == "IMG_0030"
    assert layouts.source("pairs", "000047") == ""


def test_the_official_counts_are_those_of_the_paper() -> None:
    assert published.TOTALS["gopro"] == {"train": "official 2103 in 22", "test": "official 1111 in 11"}


def test_the_tally_stands_beside_the_official_counts(gopro: Path) -> None:
    assert layouts.tally(layouts.find(gopro)) == [
        "train: 4 pairs in 2 sequences (official 2103 in 22)",
        "test: 2 pairs in 1 sequence (official 1111 in 11)",
    ]


def test_an_empty_split_says_what_there_is(gopro: Path) -> None:
    for path in sorted((gopro / "test").rglob("*.png")):
        path.unlink()

    with pytest.raises(errors.DatasetError, match="no test pairs, only train; use --split train"):
        layouts.find(gopro).select("test")


def test_a_name_may_hold_a_newline(tmp_path: Path) -> None:
    for role in ("blur", "sharp"):
        touch(tmp_path / "GOPRO_Large" / "train" / "a\nclip" / role / "a\nframe.png")

    assert [pair.key for pair in layouts.find(tmp_path).pairs] == ["a\nclip/a\nframe"]
    assert [pair.key for pair in layouts.find(Path(shutil.make_archive(str(tmp_path), "zip", tmp_path))).pairs] == [
        "a\nclip/a\nframe"
    ]
