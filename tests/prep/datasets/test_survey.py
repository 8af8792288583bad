"""What ``cdg-prep info`` says of a data set."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prep.datasets import layouts, survey
from prep.io import frames

MakeGopro = Callable[..., Path]


def official_names(root: Path) -> Path:
    """The generated clips under names that GoPro has."""
    (root / "train" / "clip_train").rename(root / "train" / "GOPR0372_07_01")
    (root / "test" / "clip_test").rename(root / "test" / "GOPR9999_00_00")
    return root


def test_counts_stand_against_the_official_ones_sequence_by_sequence(make_gopro: MakeGopro) -> None:
    root = official_names(make_gopro())

    lines = survey.differences(layouts.find(root))

    assert lines == [
        "GOPR0372_07_01: 3 pairs (official 75)",
        "train lacks 21 of 22 sequences: GOPR0372_07_00, GOPR0374_11_00, GOPR0374_11_01, GOPR0374_11_02, GOPR0374_11_03"
        " and 16 more",
    ]


def test_a_part_of_a_published_data_set_takes_a_few_lines(make_gopro: MakeGopro) -> None:
    assert survey.notes(layouts.find(official_names(make_gopro()))) == [
        "a part of train: 1 of 22 sequences, without GOPR0372_07_00 and 20 more",
        "other numbers of pairs: 1 sequence of train, first GOPR0372_07_01 (3 of 75)",
    ]


def test_a_data_set_of_ones_own_is_held_against_nothing(make_gopro: MakeGopro) -> None:
    dataset = layouts.find(make_gopro())
    assert survey.differences(dataset) == survey.notes(dataset) == []


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_and_unequal_pairs_are_named(make_gopro: MakeGopro, tmp_path: Path, *, packed: bool) -> None:
    root = make_gopro()
    blurry, sharp = (root / "train" / "clip_train" / side for side in ("blur", "sharp"))
    (blurry / "000001.png").write_bytes((blurry / "000001.png").read_bytes()[:-30])
    frames.write(sharp / "000002.png", frames.read(sharp / "000002.png")[:90])
    place = Path(shutil.make_archive(str(tmp_path / "zip"), "zip", root)) if packed else root

    examined = list(survey.examine(layouts.find(place), jobs=1))

    assert len(examined) == 8
    cut, unequal = survey.faults(examined)
    assert "blur/000001.png is damaged: the PNG ends early" in cut
    assert "blur/000002.png is 128 x 96" in unequal
    assert "sharp/000002.png is 128 x 90" in unequal
    assert survey.sizes(examined) == "128 x 96 (6 files), 128 x 90 (1 file)"


def test_a_flipped_byte_in_an_archive_is_named(make_gopro: MakeGopro, tmp_path: Path) -> None:
    root = make_gopro(train=2, test=0)
    archive = Path(shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", root.parent, root.name))
    payload = (root / "train" / "clip_train" / "sharp" / "000002.png").read_bytes()
    data = bytearray(archive.read_bytes())
    data[_stored_at(archive, "GOPRO_Large/train/clip_train/sharp/000002.png") + len(payload) // 3] ^= 16
    archive.write_bytes(data)

    (fault,) = survey.faults(list(survey.examine(layouts.find(archive), jobs=1)))

    assert "sharp/000002.png is damaged in its archive" in fault
    assert "copy or download the archive again" in fault


def _stored_at(archive: Path, name: str) -> int:
    import zipfile

    with zipfile.ZipFile(archive) as file:
        return file.getinfo(name).header_offset + 30 + len(name)
