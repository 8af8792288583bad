"""Two folders of any names are paired by relative path, or by file name."""

from pathlib import Path

import pytest

from prep import errors
from prep.datasets import layouts


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


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


def test_one_folder_is_no_pair(tmp_path: Path) -> None:
    touch(tmp_path / "b" / "1.png")

    with pytest.raises(errors.DatasetError, match="wanted two folders"):
        layouts.find_pairs(tmp_path / "b", tmp_path / "b")


def test_an_order_that_happens_to_fit_pairs_nothing(tmp_path: Path) -> None:
    touch(tmp_path / "b" / "1.png", tmp_path / "s" / "2.png")

    with pytest.raises(errors.DatasetError, match="pairs go by relative path, or by file name"):
        layouts.find_pairs(tmp_path / "b", tmp_path / "s")
