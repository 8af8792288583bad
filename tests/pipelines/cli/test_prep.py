"""``cdg-prep`` on data sets: masks, info, what is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import call, mistake

from pipelines.cli import dataset
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.sharpness import METHODS


def test_help_of_cdg_prep_loads_neither_torch_nor_opencv() -> None:
    code = (
        "import sys\nfrom pipelines.cli.prep import main\nsys.argv = ['cdg-prep', 'pack', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(sorted({'torch', 'cv2', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_preparing_data_never_loads_torch(work: Path) -> None:
    code = (
        "import sys\nfrom pipelines.cli.prep import main\n"
        "sys.argv = ['cdg-prep', 'pack', 'gopro', '--crop', '48', '--jobs', '1']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=work, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"


def test_the_commands_know_the_methods_and_the_mu_of_prep() -> None:
    assert set(dataset.METHODS) == set(METHODS)
    assert dataset.MU == making.MU


def test_no_data_set_says_which_layouts_were_looked_for(tmp_path: Path) -> None:
    line = mistake(tmp_path, "prep", "masks")

    assert "no data set in" in line
    for layout in ("gopro", "videodeblurring", "--blurry DIR --sharp DIR"):
        assert layout in line


@pytest.mark.parametrize("mu", ["-0.1", "1.5", "sharp"])
def test_mu_outside_0_to_1_is_one_line(work: Path, mu: str) -> None:
    done = call(work, "prep", "masks", "--mu", mu)

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "'--mu'" in done.stderr


def test_a_mu_above_the_ceiling_says_why_every_mask_is_empty(work: Path) -> None:
    done = call(work, "prep", "masks", "--mu", "0.97")

    assert done.returncode == 0
    assert "8 of 8 masks are empty" in done.stdout
    assert "every mask will be empty: lbp never gives S above 0.96163, and mu is 0.97" in done.stderr


def test_a_frame_that_failed_leaves_the_row_of_its_mask(own: Path) -> None:
    assert call(own, "prep", "masks").returncode == 0
    rows = MasksFolder(own / "masks" / "gopro").records
    broken = next((own / "GOPRO_Large" / "train").rglob("blur/*.png"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert call(own, "prep", "masks").returncode == 1
    broken.write_bytes(whole)

    assert MasksFolder(own / "masks" / "gopro").records == rows
    assert " 0 to compute, 0 to threshold" in call(own, "prep", "masks").stdout


def test_nothing_is_written_into_the_data_set(work: Path) -> None:
    line = mistake(work, "prep", "masks", "--out", "GOPRO_Large/masks")

    assert "lies inside the data set" in line


def test_a_command_group_alone_shows_its_help_and_nothing_else(tmp_path: Path) -> None:
    done = call(tmp_path, "prep")

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: cdg-prep [OPTIONS] COMMAND")
    assert "(see cdg-prep --help)" not in done.stderr


def test_info_of_a_data_set_names_what_is_damaged_in_its_archive(gopro: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", gopro.parent, gopro.name))

    done = call(tmp_path, "prep", "info", ".")
    assert done.returncode == 0, done.stderr
    assert "train: 6 pairs in 3 sequences" in done.stdout
    assert "80 x 64 (16 files)" in done.stdout

    data = bytearray(archive.read_bytes())
    place = data.index(b"GOPRO_Large/train/GOPR0002_00_00/sharp/000001.png")
    data[place + 400] ^= 1
    archive.write_bytes(data)
    done = call(tmp_path, "prep", "info", archive, "--json")
    (report,) = json.loads(done.stdout)
    assert done.returncode == 1
    assert "sharp/000001.png is damaged in its archive" in report["faults"][0]


def test_info_says_what_a_pack_holds(train_pack: Path, tmp_path: Path) -> None:
    about = json.loads(call(tmp_path, "prep", "info", train_pack, "--json").stdout)

    assert (about["layout"], about["split"], about["variant"], about["mu"]) == ("gopro", "train", "blur", 0.96)
    assert (about["crops"], about["frames"], about["crop"]) == (24, 6, [48, 48])


def test_blind_masks_of_pairs_point_to_paired(work: Path) -> None:
    blind = call(work, "prep", "masks", "--root", ".", "--method", "laplacian", "--mu", "0.5", "--out", "one")
    measured = call(work, "prep", "masks", "--root", ".", "--method", "paired", "--mu", "0.85", "--out", "two")
    assert "--method paired --mu 0.85 measures each blur against its sharp partner" in blind.stdout
    assert "measures each blur" not in measured.stdout


def test_no_data_set_is_said_in_a_few_words_and_recordings_are_known(tmp_path: Path, gopro: Path) -> None:
    assert len(mistake(tmp_path, "prep", "masks")) < 250 + len(str(tmp_path))
    assert "[REDS/]{train,val}/" in mistake(tmp_path, "prep", "masks", "--layout", "reds")

    frame = next(gopro.rglob("*.png"))
    clip = tmp_path / "GOPRO_Large_all" / "train" / "GOPR0372_07_00"
    clip.mkdir(parents=True)
    shutil.copy(frame, clip / "000001.png")

    for root in (".", "GOPRO_Large_all"):
        for command in (("masks", "--root", root), ("info", root)):
            assert "make pairs of them with cdg-prep synth" in mistake(tmp_path, "prep", *command)


def test_pairs_of_which_one_folder_was_named_lack_the_other(tmp_path: Path) -> None:
    assert "pass --sharp DIR too" in mistake(tmp_path, "prep", "pack", "pairs", "--blurry", "b")
    assert "pass --blurry DIR too" in mistake(tmp_path, "prep", "masks", "--sharp", "s")


def test_photographs_without_sharp_ones_get_masks_of_blind_methods_alone(own: Path) -> None:
    (own / "GOPRO_Large" / "train" / "GOPR0001_00_00" / "blur").rename(own / "photos")
    asked = ("masks", "--blurry", "photos", "--mu", "0.5", "--method")

    done = call(own, "prep", *asked, "laplacian")

    names = {path.stem for path in (own / "photos").iterdir()}
    assert f"{len(names)} photographs in photos" in done.stdout
    assert set(MasksFolder(own / "masks" / "photos").records) == names
    assert "measures each blur" not in done.stdout  # against sharp partners, which there are not
    assert " 0 to compute, 0 to threshold" in call(own, "prep", *asked, "laplacian").stdout
    for method in ("paired", "extent"):
        line = mistake(own, "prep", *asked, method, "--out", method)
        assert f"{method} measures against sharp frames; pass them as --sharp, or --method lbp" in line
    assert "leave out --split, or pass --sharp DIR too" in mistake(own, "prep", *asked, "lbp", "--split", "test")
    (own / "empty").mkdir()
    assert "empty holds no frame" in mistake(own, "prep", "masks", "--blurry", "empty")


def test_info_of_a_set_with_one_kind_of_blur_needs_no_variant(own: Path) -> None:
    for blur in list(own.rglob("blur")):
        blur.rename(blur.with_name("blur_gamma"))

    assert call(own, "prep", "info", ".").stdout.startswith("gopro blur_gamma")


def test_a_frame_too_small_for_a_map_is_named(own: Path) -> None:
    for role in ("b", "s"):
        frames.write(own / role / "tiny.png", np.zeros((9, 9, 3), np.uint8))
    pairs = ("--blurry", "b", "--sharp", "s")

    for method in ("laplacian", "paired"):
        for command in (("masks", "--out", method), ("pack", "pairs", "--crop", "frame", "--masks", method)):
            done = call(own, "prep", *command, "--method", method, *pairs, "--jobs", "1")
            assert done.returncode == 1
            assert "b/tiny.png: frame is 9 x 9; wanted at least 16 x 16" in done.stderr


def test_masks_of_nothing_are_warned_of_when_a_pack_is_thresholded_again(train_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "prep", "remask", train_pack, "--mu", "0.99", "--out", "p.h5")

    assert "24 empty" in done.stdout
    assert "every mask will be empty: lbp never gives S above 0.96163, and mu is 0.99" in done.stderr
    assert "masks cover less than 2%" in done.stderr
    assert call(tmp_path, "prep", "remask", "p.h5", "--mu", "0.2").stderr == ""
