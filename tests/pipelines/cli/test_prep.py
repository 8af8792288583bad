"""``cdg-prep`` on data sets: masks, info, what is refused."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import call, mistake

from pipelines.cli import dataset, prep
from pipelines.cli.entry import show_and_run
from prep.io import frames
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


def test_no_data_set_says_which_layouts_were_looked_for(tmp_path: Path) -> None:
    line = mistake(tmp_path, "prep", "masks")

    assert "contains no data set" in line
    for layout in ("gopro", "videodeblurring", "--blurry DIR --sharp DIR"):
        assert layout in line


@pytest.mark.parametrize("mu", ["-0.1", "1.5", "sharp"])
def test_mu_outside_0_to_1_is_one_line(work: Path, mu: str) -> None:
    done = call(work, "prep", "masks", "--mu", mu)

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "--mu is" in done.stderr


@pytest.mark.slow
def test_a_mu_above_the_ceiling_says_why_every_mask_is_empty(work: Path) -> None:
    done = call(work, "prep", "masks", "--mu", "0.97")

    assert done.returncode == 0
    assert "8 of 8 frames without small blur" in done.stdout
    assert "every mask will be empty at mu = 0.97: S of lbp is at most 0.96163" in done.stderr


def test_a_frame_that_failed_leaves_the_row_of_its_mask(own: Path) -> None:
    assert call(own, "prep", "masks").returncode == 0
    rows = MasksFolder(own / "masks" / "gopro").records
    broken = next((own / "GOPRO_Large" / "train").rglob("blur/*.png"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert call(own, "prep", "masks").returncode == 1
    broken.write_bytes(whole)

    assert MasksFolder(own / "masks" / "gopro").records == rows
    assert "to compute" not in call(own, "prep", "masks").stdout


def test_nothing_is_written_into_the_data_set(work: Path) -> None:
    line = mistake(work, "prep", "masks", "--out", "GOPRO_Large/masks")

    assert "is inside the data set" in line


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
    assert "reads only the blurry frames; for training use --method paired" in blind.stdout
    assert blind.stdout.index("for training use") < blind.stdout.index("to compute"), "said before the work"
    assert "for training use" not in measured.stdout


def test_no_data_set_is_said_in_a_few_words_and_recordings_are_known(tmp_path: Path, gopro: Path) -> None:
    assert len(mistake(tmp_path, "prep", "masks")) < 250 + len(str(tmp_path))
    assert "[REDS/]{train,val}/" in mistake(tmp_path, "prep", "masks", "--layout", "reds")

    frame = next(gopro.rglob("*.png"))
    clip = tmp_path / "GOPRO_Large_all" / "train" / "GOPR0372_07_00"
    clip.mkdir(parents=True)
    shutil.copy(frame, clip / "000001.png")

    for root in (".", "GOPRO_Large_all"):
        for command in (("masks", "--root", root), ("info", root)):
            assert "make pairs from them with: cdg-prep synth" in mistake(tmp_path, "prep", *command)


def test_pairs_of_which_one_folder_was_named_lack_the_other(tmp_path: Path) -> None:
    assert "add --sharp DIR" in mistake(tmp_path, "prep", "pack", "pairs", "--blurry", "b")
    assert "add --blurry DIR" in mistake(tmp_path, "prep", "masks", "--sharp", "s")


def test_photographs_without_sharp_ones_get_masks_of_blind_methods_alone(own: Path) -> None:
    (own / "GOPRO_Large" / "train" / "GOPR0001_00_00" / "blur").rename(own / "photos")
    asked = ("masks", "--blurry", "photos", "--mu", "0.5", "--method")

    done = call(own, "prep", *asked, "laplacian")

    names = {path.stem for path in (own / "photos").iterdir()}
    assert f"{len(names)} photographs in photos" in done.stdout
    assert set(MasksFolder(own / "masks" / "photos").records) == names
    assert "for training use" not in done.stdout  # --method paired, which needs sharp partners
    assert "next:" not in done.stdout  # they cannot be packed
    assert "to compute" not in call(own, "prep", *asked, "laplacian").stdout
    for method in ("paired", "extent"):
        line = mistake(own, "prep", *asked, method, "--out", method)
        assert f"--method {method} needs sharp partners; add --sharp DIR, or use --method lbp" in line
    assert "leave out --split, or add --sharp DIR" in mistake(own, "prep", *asked, "lbp", "--split", "test")
    (own / "empty").mkdir()
    assert "empty contains no pictures" in mistake(own, "prep", "masks", "--blurry", "empty")


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
            assert "b/tiny.png: the frame is 9 x 9; the smallest is 16 x 16" in done.stderr


def test_masks_of_nothing_are_warned_of_when_a_pack_is_thresholded_again(train_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "prep", "remask", train_pack, "--mu", "0.99", "--out", "p.h5")

    assert "24 of 24 crops without small blur" in done.stdout
    assert "every mask will be empty at mu = 0.99: S of lbp is at most 0.96163" in done.stderr
    assert "at mu = 0.99 the masks cover 0% of the pixels" in done.stderr
    assert call(tmp_path, "prep", "remask", "p.h5", "--mu", "0.2").stderr == ""


def own_folders(own: Path) -> Path:
    """``mine/{blur,sharp}`` below a folder whose name has a space."""
    (own / "GOPRO_Large" / "train" / "GOPR0001_00_00").rename(own / "my frames")
    shutil.rmtree(own / "GOPRO_Large")
    return own


def next_words(output: str) -> list[str]:
    """The command that the last line tells the user to type, without ``cdg-prep``."""
    return shlex.split(output.strip().splitlines()[-1].removeprefix("next: cdg-prep "))


@pytest.mark.parametrize("is_published", [True, False])
def test_the_next_command_works_as_it_is_printed_from_info_to_a_pack(own: Path, *, is_published: bool) -> None:
    root = "." if is_published else "my frames"
    folder = own if is_published else own_folders(own)

    checked = call(folder, "prep", "info", root)
    made = call(folder, "prep", *next_words(checked.stdout), "--out", "other masks")
    packed = call(folder, "prep", *next_words(made.stdout))

    assert packed.returncode == 0, packed.stderr
    name = "gopro.h5" if is_published else "pairs.h5"
    divided = "--component-loss region --fusion divided"
    assert packed.stdout.splitlines()[-3:-1] == [
        f"wrote {name}",
        f"next, with a GPU: cdg-train --h5 {name} --crop 64 {divided}",
    ]
    assert f"cdg-train --h5 {name} --init pretrained --hours 1" in packed.stdout.splitlines()[-1]
    assert "paired, mu = 0.85" in packed.stdout, "packed with the masks just made"


def test_a_new_pack_names_the_settings_of_the_pages_for_fine_tuning(own: Path) -> None:
    for path in own.rglob("*.png"):
        frames.write(path, np.kron(frames.read(path), np.ones((2, 2, 1), np.uint8)))

    packed = call(own, "prep", "pack", "gopro", "--method", "paired", "--crop", "128", "--out", "made.h5")

    printed = shlex.split(packed.stdout.splitlines()[-1].split(": ")[1])
    for page in ("README.md", "docs/index.md", "docs/weights.md"):
        text = (Path(__file__).parents[3] / page).read_text().replace("\\\n", " ")
        (command,) = [line for line in text.splitlines() if line.startswith("cdg-train --h5 made.h5 --init")]
        assert sorted(printed) == sorted(shlex.split(command))


def test_a_command_run_by_another_names_no_next_one(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_and_run(prep.prep, "masks", "--root", own, "--method", "laplacian", "--out", own / "m")

    assert "next:" not in (said := capsys.readouterr().out)
    assert "for training use" not in said


def test_a_pattern_without_quotes_is_refused_with_the_one_to_type(own: Path) -> None:
    blurry = sorted(own.glob("GOPRO_Large/*/*/blur/*.png"))

    line = mistake(own, "prep", "pack", "pairs", "--blurry", *blurry, "--sharp", "s")

    assert f"put the pattern after --blurry in quotes: --blurry '{blurry[0].parent}/*.png'" in line


def test_patterns_beside_a_root_are_refused_with_the_path_to_type(own: Path) -> None:
    line = mistake(own, "prep", "pack", "pairs", "--root", "mine", "--blurry", "b/*.png", "--sharp", "s/*.png")

    assert "relative to the current folder, not to --root; leave out --root and use --blurry 'mine/b/*.png'" in line


def test_info_reads_any_two_folders_and_needs_one_place(own: Path) -> None:
    folder = own_folders(own)
    two = ("--blurry", "my frames/blur", "--sharp", "my frames/sharp")

    done = call(folder, "prep", "info", *two)

    assert done.stdout.startswith("pairs in my frames/blur\n")
    assert "--blurry 'my frames/blur' --sharp 'my frames/sharp'" in done.stdout
    for words in ((), ("my frames", *two)):
        assert "info needs either PATH, or --blurry DIR and --sharp DIR" in mistake(folder, "prep", "info", *words)


def test_a_split_that_own_frames_lack_says_how_to_hold_some_out(own: Path) -> None:
    line = mistake(own_folders(own), "prep", "pack", "pairs", "--root", "my frames", "--split", "test")

    assert "has no splits; leave out --split. To hold out test frames, keep them in folders of their own" in line


def test_help_breaks_no_word_and_stays_narrow(tmp_path: Path) -> None:
    for command in ("info", "masks", "pack", "remask", "verify"):
        text = call(tmp_path, "prep", command, "--help").stdout
        assert max(map(len, text.splitlines())) <= 80, command
        assert "|realblur" not in text, "a long list of choices belongs into the help text"
