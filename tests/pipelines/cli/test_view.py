"""``cdg-prep view``, and the verdicts that ``cdg-prep pack`` reads."""

import json
import shutil
from pathlib import Path

import h5py
import pytest
from commands import call, mistake

from pipelines.review import verdicts
from pipelines.review.verdicts import Verdict
from prep.io import frames


def test_the_page_replaces_an_earlier_page_and_nothing_else(work: Path) -> None:
    assert call(work, "prep", "masks").returncode == 0
    for _ in range(2):
        assert call(work, "prep", "view", "--out", "page").returncode == 0
    (work / "notes").mkdir()
    (work / "notes" / "mine.txt").write_text("mine")

    assert "notes contains other files, but no page of cdg-prep view" in mistake(work, "prep", "view", "--out", "notes")
    assert "mine.txt is a file; choose a folder for --out" in mistake(work, "prep", "view", "--out", "notes/mine.txt")
    assert [path.name for path in (work / "notes").iterdir()] == ["mine.txt"]


def test_a_sheet_is_drawn_once(work: Path) -> None:
    assert call(work, "prep", "masks").returncode == 0
    words = ("prep", "view", "--sheet", "sheet.png", "--frames", "2")

    done = call(work, *words, "--mu", "0.9", "--mu", "0.96")

    assert "wrote sheet.png: 2 frames, M at mu = 0.9, 0.96" in done.stdout
    assert frames.read(work / "sheet.png").shape[1] == 24 * 2 + 6 * 360 + 5 * 12
    assert "sheet.png exists" in mistake(work, *words)


def test_other_masks_beside_the_ones_shown_are_listed(work: Path) -> None:
    assert call(work, "prep", "masks").returncode == 0
    alone = call(work, "prep", "view", "--sheet", "alone.png", "--frames", "1")
    assert call(work, "prep", "masks", "--method", "laplacian", "--out", "masks/my other").returncode == 0

    both = call(work, "prep", "view", "--frames", "1")
    chosen = call(work, "prep", "view", "--masks", "masks/my other", "--sheet", "chosen.png", "--frames", "1")

    assert "masks by lbp in masks/gopro; for others, or to compare: --masks 'masks/my other'\n" in both.stdout
    assert both.stdout.endswith("open it in a browser: masks/gopro/view/index.html\n")
    assert "to compare" not in alone.stdout + chosen.stdout
    (work / "masks" / "gopro").rename(work / "masks" / "elsewhere")
    line = mistake(work, "prep", "view")
    assert "make them with cdg-prep masks, or use --masks masks/elsewhere or --masks 'masks/my other'" in line


def test_masks_of_another_data_set_are_not_offered(work: Path) -> None:
    assert call(work, "prep", "masks").returncode == 0
    shutil.copytree(work / "GOPRO_Large", work / "others" / "GOPRO_Large")
    for sequence in sorted((work / "others").glob("GOPRO_Large/*/*")):
        sequence.rename(sequence.with_name(f"GOPR9{sequence.name[5:]}"))
    assert call(work, "prep", "masks", "--root", "others", "--out", "masks/others").returncode == 0

    assert "masks/others" not in call(work, "prep", "view", "--frames", "1").stdout
    (work / "masks" / "gopro").rename(work / "elsewhere")
    assert mistake(work, "prep", "view").endswith("or choose another folder with --masks")


def test_masks_of_other_frames_in_the_folder_do_not_matter(work: Path) -> None:
    for split, mu in (("train", "0.9"), ("test", "0.96")):
        assert call(work, "prep", "masks", "--split", split, "--mu", mu).returncode == 0

    assert "mu = 0.9, 0.96; give all the same mu" in mistake(work, "prep", "view")
    done = call(work, "prep", "view", "--split", "test", "--sheet", "test.png")
    assert "wrote test.png: 2 frames, M at mu = 0.96" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--serve", "--sheet", "s.png"), "--serve cannot be used with --sheet"),
        (("--serve", "--out", "x"), "--out cannot be used with --serve"),
        (("--mu", "0.9"), "--mu needs --sheet"),
        (("--frames", "0"), "'0' is neither a number of frames from 1 on nor 'all'"),
        (("--masks", "other"), "other does not exist; make them with cdg-prep masks"),
    ],
)
def test_views_that_cannot_be_are_refused(work: Path, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(work, "prep", "view", *words)


def test_rejected_frames_are_left_out_of_a_pack_which_records_them(work: Path) -> None:
    out, gone = ["GOPR0001_00_00/000002", "GOPR0002_00_00/000001"], "GOPR0003_00_00/000001"
    held = {key: Verdict(verdict="reject", note="") for key in (*out, gone)}
    verdicts.write(work / "v.json", {**held, "GOPR0001_00_00/000001": Verdict(verdict="accept", note="")})
    words = ("prep", "pack", "gopro", "--crop", "48", "--exclude", "v.json")

    done = call(work, *words)

    assert "v.json: 2 of 6 frames left out as rejected; 1 other rejected frame not in this data" in done.stdout
    with h5py.File(work / "gopro.h5") as file:
        keys = set(file["key"].asstr()[:])
        assert json.loads(file.attrs["excluded"]) == out
    assert len(keys) == 4 and not keys & set(out)
    assert json.loads(call(work, "prep", "info", "gopro.h5", "--json").stdout)["excluded"] == out
    assert call(work, "prep", "verify", "gopro.h5").returncode == 0
    assert call(work, "prep", "remask", "gopro.h5", "--mu", "0.9").returncode == 0
    with h5py.File(work / "gopro.h5") as file:
        assert json.loads(file.attrs["excluded"]) == out


def test_the_verdicts_of_several_persons_add_up(work: Path) -> None:
    keys = ["GOPR0001_00_00/000002", "GOPR0002_00_00/000001"]
    for name, key in zip(("a.json", "b.json"), keys, strict=True):
        verdicts.write(work / name, {key: Verdict(verdict="reject", note="")})
    verdicts.write(work / "reds.json", {"000/00000001": Verdict(verdict="reject", note="")})
    words = ("prep", "pack", "gopro", "--crop", "48", "--exclude", "a.json", "--exclude", "b.json")

    done = call(work, *words, "--exclude", "reds.json")

    assert "reds.json rejects nothing here" in done.stderr
    with h5py.File(work / "gopro.h5") as file:
        assert json.loads(file.attrs["excluded"]) == keys


def test_damaged_verdicts_are_told_before_a_page_is_served(work: Path) -> None:
    call(work, "prep", "masks")
    (work / "masks" / "gopro" / "verdicts.json").write_text('{"format": "cdg-verdicts"')
    assert "verdicts.json is not a list of verdicts" in mistake(work, "prep", "view", "--serve", "--port", "0")


def test_verdicts_that_leave_nothing_or_are_none_are_refused(work: Path) -> None:
    words = ("prep", "pack", "gopro", "--crop", "48", "--exclude")
    (work / "other.json").write_text("{}")
    clips = ("GOPR0001_00_00", "GOPR0001_00_01", "GOPR0002_00_00")
    every = [f"{clip}/00000{number}" for clip in clips for number in (1, 2)]
    verdicts.write(work / "all.json", {key: Verdict(verdict="reject", note="") for key in every})

    assert "other.json is not a list of verdicts" in mistake(work, *words, "other.json")
    assert "all.json: every frame is rejected" in mistake(work, *words, "all.json")
    assert "none.json does not exist; judge masks with cdg-prep view" in mistake(work, *words, "none.json")
    assert not (work / "masks").exists()


def test_masks_of_another_pair_of_folders_are_neither_replaced_nor_shown(own: Path) -> None:
    clip = own / "GOPRO_Large" / "train" / "GOPR0001_00_00"
    frames.write(own / "b" / "000001.png", frames.read(clip / "blur" / "000002.png"))
    frames.write(own / "s" / "000001.png", frames.read(clip / "sharp" / "000002.png"))
    one, other = ("--blurry", clip / "blur", "--sharp", clip / "sharp"), ("--blurry", "b", "--sharp", "s")
    assert call(own, "prep", "masks", *one).returncode == 0

    for words in (("masks",), ("pack", "pairs", "--crop", "48"), ("view",), ("view", "--sheet", "s.png")):
        line = mistake(own, "prep", *words, *other)
        assert "masks/pairs contains masks of another data set: 000001 is of " in line
        assert "--out DIR for cdg-prep masks" in line
    assert call(own, "prep", "view", *one).returncode == 0
    assert call(own, "prep", "masks", *other, "--out", "masks/other").returncode == 0
    assert call(own, "prep", "view", *other, "--masks", "masks/other").returncode == 0
