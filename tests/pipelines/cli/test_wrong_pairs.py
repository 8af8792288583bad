"""Pairs that are no pairs are named by every command that reads them, and ``--strict`` stops at them."""

import json
from pathlib import Path

import pytest
from commands import call
from wrong_pairs import picture, shifted, smeared

from prep.io import frames

FOLDERS = ("--blurry", "b", "--sharp", "s")
PACKING = ("prep", "pack", "pairs", *FOLDERS, "--crop", "160", "--method", "laplacian")
SCENES = "1 of 3 compared pairs: blurry and sharp show different scenes; first other (correlation"
SHIFTS = "1 of 3 compared pairs: blurry is shifted against sharp; first shifted (by 20, 7 pixels (x, y))"
EQUALS = "1 of 3 compared pairs: blurry and sharp are identical; first equal"


def write_pairs(folder: Path, **blurry: object) -> Path:
    for name, picture_of_it in blurry.items():
        frames.write(folder / "b" / f"{name}.png", picture_of_it)
        frames.write(folder / "s" / f"{name}.png", picture("coffee")[:192, 100:356])
    return folder


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    sharp = picture("coffee")[:192, 100:356]
    other = smeared(picture("chelsea")[:192, :256], 8)
    return write_pairs(tmp_path, other=other, shifted=shifted(smeared(sharp, 6), 20, 7), equal=sharp)


@pytest.fixture
def true(tmp_path: Path) -> Path:
    sharp = picture("coffee")[:192, 100:356]
    return write_pairs(tmp_path, a=smeared(sharp, 6), b=smeared(sharp, 14, angle=2))


def test_pack_names_each_kind_and_packs_all_the_same(wrong: Path) -> None:
    done = call(wrong, *PACKING)

    assert done.returncode == 0
    assert all(line in done.stderr for line in (SCENES, SHIFTS, EQUALS)), done.stderr
    assert "reject them in cdg-prep view and use --exclude verdicts.json" in done.stderr
    assert done.stderr.splitlines()[-1] == "warning: 3 pairs in the pack may not match; see the start of the output"
    assert (wrong / "pairs.h5").exists()


def test_a_strict_pack_stops_before_anything_is_written(wrong: Path) -> None:
    before = sorted(wrong.rglob("*"))

    done = call(wrong, *PACKING, "--strict")

    assert (done.returncode, sorted(wrong.rglob("*"))) == (1, before)
    assert done.stderr.endswith("nothing was written, because of --strict\n")
    assert SCENES in done.stderr


def test_verify_finds_them_in_the_pack_and_fails_if_strict(wrong: Path) -> None:
    call(wrong, *PACKING)

    done, strict = (call(wrong, "prep", "verify", "pairs.h5", *words) for words in ((), ("--strict",)))

    assert (done.returncode, strict.returncode) == (0, 1)
    assert all(line in done.stderr for line in (SCENES, SHIFTS, EQUALS)), done.stderr
    assert "12 of 12 crops correct" in done.stdout


def test_scores_of_wrong_pairs_are_given_with_a_warning_and_fail_if_strict_even_when_scored_before(wrong: Path) -> None:
    asked = ("evaluate", "--no-weights", *FOLDERS)
    done, strict = call(wrong, *asked), call(wrong, *asked, "--strict")

    assert (done.returncode, strict.returncode) == (0, 1)
    for each in (done, strict):
        assert all(line in each.stderr for line in (SCENES, SHIFTS, EQUALS)), each.stderr
    assert "3 of 3 frames already scored" in strict.stderr


@pytest.mark.slow
def test_another_programs_results_are_compared_too(true: Path) -> None:
    for name in ("a", "b"):
        frames.write(true / "theirs" / f"{name}.png", frames.read(true / "s" / f"{name}.png")[..., ::-1])

    done = call(true, "evaluate", "--restored", "theirs", "--sharp", "s", "--blurry", "b")

    assert "2 of 2 compared pairs: red and blue are swapped in restored or in sharp; first a" in done.stderr
    assert "blurry" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [PACKING, ("prep", "verify", "pairs.h5"), ("evaluate", "--no-weights", *FOLDERS)],
    ids=lambda words: words[1],
)
def test_true_pairs_pass_without_a_word_though_strict(true: Path, words: tuple[str, ...]) -> None:
    call(true, *PACKING)
    done = call(true, *words, "--strict", *(("--force",) if "pack" in words else ()))

    assert done.returncode == 0
    assert "compared" not in done.stderr


def test_info_names_the_wrong_pairs_of_a_data_set(tmp_path: Path) -> None:
    sharp = picture("coffee")[:192, 100:356]
    for kind, frame in (("blur", picture("chelsea")[:192, :256]), ("sharp", sharp)):
        frames.write(tmp_path / "GOPRO_Large" / "train" / "GOPR0001_00_00" / kind / "000001.png", frame)

    done = call(tmp_path, "prep", "info", ".")
    report = json.loads(call(tmp_path, "prep", "info", ".", "--json").stdout)

    expected = "1 of 1 compared pair: blurry and sharp show different scenes; first GOPR0001_00_00/000001 (correlation"
    assert done.returncode == 0
    assert expected in done.stderr
    assert report[0]["wrong_pairs"][0].startswith(expected)
