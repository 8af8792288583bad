"""Data sets of real blur, and copies that other programs read: each with its layout's quirks."""

import shutil
from pathlib import Path

import pytest

from prep import errors
from prep.datasets import layouts

SHARED = Path(__file__).parents[3].parent / "shared" / "cases"


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def splits(dataset: layouts.Dataset) -> dict[str, str]:
    return {pair.key: pair.split for pair in dataset.pairs}


def make_rsblur(root: Path, numbers: range = range(1, 5)) -> Path:
    for number in numbers:
        folder = root / "RSBlur" / "0001" / f"{number:06}"
        touch(
            folder / "real_blur" / "real_blur.png",
            folder / "avg65_img" / "avg_blur.png",
            folder / "avg65_mask_100" / "avg_blur.png",
            folder / "gt" / "gt_sharp.png",
        )
    return root


def write_rsblur_lists(folder: Path) -> None:
    for number, word in enumerate(("train", "val", "test"), 1):
        name = f"RSBlur/0001/{number:06}"
        (folder / f"RSBlur_real_{word}.txt").write_text(f"{name}/gt/gt_sharp.png {name}/real_blur/real_blur.png\n")


@pytest.mark.parametrize("place", [".", "RSBlur"])
@pytest.mark.parametrize("root", [".", "RSBlur"])
def test_rsblur_takes_its_three_splits_from_the_authors_lists(tmp_path: Path, root: str, place: str) -> None:
    make_rsblur(tmp_path)
    write_rsblur_lists(tmp_path / place)

    dataset = layouts.find(tmp_path / root)

    assert (dataset.layout, dataset.name, dataset.others) == ("rsblur", "rsblur", ("avg65_img",))
    assert splits(dataset) == {"0001/000001": "train", "0001/000002": "valid", "0001/000003": "test"} | {
        "0001/000004": "all"
    }
    assert {str(pair.blurry).rpartition("/")[2] for pair in dataset.pairs} == {"real_blur.png"}
    assert layouts.find(tmp_path, variant="avg65_img").name == "rsblur-avg65_img"


def test_rsblur_is_found_in_its_archive_with_the_lists_beside_it(tmp_path: Path) -> None:
    make_rsblur(tmp_path / "unpacked")
    shutil.make_archive(str(tmp_path / "RSBlur"), "zip", tmp_path / "unpacked")
    write_rsblur_lists(tmp_path)

    assert splits(layouts.find(tmp_path)) == splits(layouts.find(tmp_path / "RSBlur.zip"))
    assert splits(layouts.find(tmp_path))["0001/000002"] == "valid"


def test_a_data_set_without_its_lists_says_which_are_missing(tmp_path: Path) -> None:
    dataset = layouts.find(make_rsblur(tmp_path))
    lists = "RSBlur_real_train.txt and RSBlur_real_test.txt"

    assert layouts.tally(dataset) == [
        "all: 4 pairs in 1 sequence",
        f"all: the authors' lists say in which split they are; put {lists} beside the data",
    ]
    with pytest.raises(errors.DatasetError, match=rf"no train pairs; put {lists} beside it, or use --split"):
        dataset.select("train")


def make_bsd(folder: Path, *exposures: str) -> None:
    for exposure in exposures:
        for split in ("train", "valid", "test"):
            for role in ("Blur", "Sharp"):
                touch(folder / exposure / split / "000" / role / "RGB" / "00000000.png")
            touch(folder / exposure / split / "000" / "Blur" / "RAW" / "00000000.tiff")


def test_the_exposures_of_bsd_never_mix(tmp_path: Path) -> None:
    make_bsd(tmp_path / "BSD", "BSD_1ms8ms", "BSD_2ms16ms", "BSD_3ms24ms")

    dataset = layouts.find(tmp_path, variant="3ms24ms")

    assert (dataset.name, dataset.others, dataset.orphans) == ("bsd-3ms24ms", ("1ms8ms", "2ms16ms"), ())
    assert {str(path).count("BSD_3ms24ms") for pair in dataset.pairs for path in (pair.blurry, pair.sharp)} == {1}
    assert splits(dataset) == {f"{split}/000/00000000": split for split in ("train", "valid", "test")}
    assert layouts.tally(dataset)[1:] == [
        "train: 1 pair in 1 sequence (official 6000)",
        "test: 1 pair in 1 sequence (official 3000)",
    ]
    assert layouts.find(tmp_path).name == "bsd"


def test_one_exposure_of_bsd_alone_is_told_by_its_folder(tmp_path: Path) -> None:
    make_bsd(tmp_path, "BSD_2ms16ms")
    make_bsd(tmp_path / "renamed", "BSD")

    assert layouts.find(tmp_path / "BSD_2ms16ms").variant == "2ms16ms"
    assert layouts.find(tmp_path).variant == "2ms16ms"
    assert (layouts.find(tmp_path / "renamed").variant, layouts.find(tmp_path / "renamed").name) == ("", "bsd")
    with pytest.raises(errors.DatasetError, match="has no 3ms24ms frames, only 2ms16ms"):
        layouts.find(tmp_path, variant="3ms24ms")
    with pytest.raises(errors.DatasetError, match="does not name its kind of blur; leave out --variant"):
        layouts.find(tmp_path / "renamed", variant="3ms24ms")


def test_gopro_of_abme_keeps_the_sequences_and_the_sources_of_gopro(tmp_path: Path) -> None:
    for clip in ("GOPR0372_07_00", "GOPR0372_07_01", "GOPR0384_11_00"):
        folder = tmp_path / "GoPro_INTER_ABME" / clip / "000001"
        touch(*(folder / name / "avg_blur.png" for name in ("avg_inter_img", "avg_inter_mask_100")))
        touch(folder / "gt" / "gt_sharp.png")

    dataset = layouts.find(tmp_path)

    assert (dataset.layout, dataset.orphans) == ("gopro-abme", ())
    assert splits(dataset) == {
        "GOPR0372_07_00/000001": "train",
        "GOPR0372_07_01/000001": "train",
        "GOPR0384_11_00/000001": "test",
    }
    assert layouts.source("gopro-abme", "GOPR0372_07_00/000001") == "GOPR0372"


@pytest.mark.parametrize("shape", ["{split}/{name}/{role}", "{name}/{split}/{role}"])
def test_copies_that_mprnet_reads_are_found_side_by_side(tmp_path: Path, shape: str) -> None:
    for role in ("input", "target"):
        for name, picture in (
            ("GoPro", "GOPR0384_11_00-000001"),
            ("HIDE", "2fromGOPR1089"),
            ("RealBlur_J", "scene001_blur_1" if role == "input" else "scene001_gt_1"),
            ("RealBlur_R", "scene001-1"),
        ):
            touch(tmp_path / shape.format(split="test", name=name, role=role) / f"{picture}.png")

    found = {dataset.layout: dataset for dataset in layouts.find_all(tmp_path)}

    assert {name: splits(dataset) for name, dataset in found.items()} == {
        "gopro": {"GOPR0384_11_00/000001": "test"},
        "hide": {"2fromGOPR1089": "test"},
        "realblur": {"scene001/1": "test"},
    }
    assert found["realblur"].others == ("R",)
    assert not any(dataset.orphans for dataset in found.values())
    assert splits(layouts.find(tmp_path, variant="R")) == {"scene001/1": "test"}
    with pytest.raises(errors.DatasetError, match="contains gopro and hide and realblur; choose one with --layout"):
        layouts.find(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")
def test_small_trees_as_users_have_them_are_found() -> None:
    found = {dataset.layout: splits(dataset) for dataset in layouts.find_all(SHARED / "RSBlur_BSD_layout")}

    assert found == {"rsblur": {"0001/000001": "all"}, "bsd": {"train/000/00000000": "train"}}
    assert splits(layouts.find(SHARED / "realblur_layout")) == {"scene001/1": "test", "scene002/1": "train"}
