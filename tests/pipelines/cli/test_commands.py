"""The commands as a person types them, in an empty folder."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from commands import call, mistake

import cdgnet
from pipelines.cli import dataset
from pipelines.cli.progress import announce_if_slow
from pipelines.review import verdicts
from pipelines.review.verdicts import Verdict
from pipelines.train import settings
from prep.datasets.published import LAYOUTS
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.sharpness import METHODS

TRAIN = ["--preset", "tiny", "--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0"]


@pytest.fixture
def work(gopro: Path, tmp_path: Path) -> Path:
    """An empty working folder that holds ``GOPRO_Large/``."""
    (tmp_path / "GOPRO_Large").symlink_to(gopro)
    return tmp_path


@pytest.fixture(scope="module")
def weights(train_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    done = call(folder, "train", "--h5", train_pack, *TRAIN)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "train" / "weights.safetensors"


def test_the_main_job_needs_no_more_options_than_shown(work: Path) -> None:
    for name, *words in (
        ("prep", "masks", "--mu", "0.96"),
        ("prep", "view"),
        ("prep", "pack", "gopro", "--crop", "48"),
        ("prep", "pack", "gopro", "--split", "test", "--crop", "frame"),
        ("prep", "verify", "gopro.h5"),
        ("train", "--h5", "gopro.h5", *TRAIN),
        ("evaluate", "--weights", "runs/gopro/weights.safetensors", "--h5", "gopro-test.h5"),
        ("deblur", "GOPRO_Large/test/GOPR0003_00_00/blur", "--weights", "runs/gopro/weights.safetensors"),
    ):
        done = call(work, name, *words)
        assert done.returncode == 0, (words, done.stderr)

    made = {path.name for path in work.iterdir()}
    assert made == {"GOPRO_Large", "masks", "gopro.h5", "gopro-test.h5", "runs", "restored"}
    assert (work / "masks" / "gopro" / "view" / "index.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in (work / "restored").iterdir()) == ["000001.png", "000002.png"]


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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *(("prep", [command]) for command in ("masks", "view", "pack", "info", "verify", "synth")),
        *((name, []) for name in ("train", "evaluate", "deblur", "info", "export")),
    ],
)
def test_every_help_ends_with_an_example(tmp_path: Path, name: str, words: list[str]) -> None:
    done = call(tmp_path, name, *words, "--help")

    assert done.returncode == 0
    assert "Example:" in done.stdout.splitlines()[-2]
    assert done.stdout.splitlines()[-1].strip().startswith("cdg-")


def test_the_commands_know_the_methods_the_layouts_and_the_mu_of_prep() -> None:
    assert set(dataset.METHODS) == set(METHODS)
    assert tuple(LAYOUTS) == dataset.LAYOUTS
    assert set(dataset.variant_type.choices) == {
        name for layout in LAYOUTS.values() for name in layout.variants if name
    }
    assert dataset.MU == making.MU


def test_the_commands_know_the_presets_and_variants_of_cdgnet() -> None:
    assert (settings.PRESETS, settings.VARIANTS) == (cdgnet.PRESETS, cdgnet.VARIANTS)


def test_a_variant_is_trained_priced_and_used_by_name(train_pack: Path, tmp_path: Path, gopro: Path) -> None:
    done = call(tmp_path, "train", "--h5", train_pack, *TRAIN, "--variant", "small-branch", "--out", "run")
    assert done.returncode == 0, done.stderr
    weights = tmp_path / "run" / "weights.safetensors"

    report = json.loads(call(tmp_path, "info", "--weights", weights, "--size", "96x64", "--time", "--json").stdout)
    assert report["variant"] == "small-branch"
    assert set(report["parts"]) == {"encoder", "small.attention", "small.decoder", "total"}
    assert report["timing"]["seconds"] > 0
    photo = gopro / "test" / "GOPR0003_00_00" / "blur" / "000001.png"
    assert call(tmp_path, "deblur", photo, "--weights", weights).returncode == 0


def test_both_tables_come_with_one_command(tmp_path: Path) -> None:
    done = call(tmp_path, "info", "--tables", "--size", "64x64")

    assert [line.split()[0] for line in done.stdout.splitlines()[2:11]] == list(cdgnet.VARIANTS)
    assert done.stdout.splitlines()[-1].split()[-1] == "7.67"


def test_a_size_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = call(tmp_path, "info", "--size", "720p")

    assert done.returncode == 2
    assert "720p is no size; wanted for instance 1280x720, at least 16x16" in done.stderr


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


def test_a_dry_run_says_what_would_be_and_writes_nothing(work: Path) -> None:
    before = sorted(work.rglob("*"))

    done = call(work, "prep", "pack", "gopro", "--crop", "48", "--dry-run", "--method", "laplacian")

    assert done.returncode == 0, done.stderr
    assert "gopro.h5 would hold 24 crops of 48 x 48 from 6 frames" in done.stdout
    assert sorted(work.rglob("*")) == before


def test_a_pack_straight_from_the_archive(gopro: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", gopro.parent, gopro.name)

    done = call(tmp_path, "prep", "pack", "gopro", "--crop", "48")

    assert done.returncode == 0, done.stderr
    assert "24 of 24 crops are whole" in call(tmp_path, "prep", "verify", "gopro.h5").stdout
    assert {path.name for path in tmp_path.iterdir()} == {"GOPRO_Large.zip", "masks", "gopro.h5"}


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


@pytest.fixture
def own(gopro: Path, tmp_path: Path) -> Path:
    """A copy of one clip that may be spoilt."""
    for path in sorted((gopro / "train" / "GOPR0001_00_00").rglob("*.png")):
        frames.write(
            tmp_path / "GOPRO_Large" / "train" / "GOPR0001_00_00" / path.parent.name / path.name, frames.read(path)
        )
    return tmp_path


def test_a_missing_sharp_frame_stops_the_pack_unless_told_otherwise(own: Path) -> None:
    (own / "GOPRO_Large/train/GOPR0001_00_00/sharp/000002.png").unlink()

    line = mistake(own, "prep", "pack", "gopro", "--crop", "32")

    assert "1 frame has no partner" in line
    assert "blur/000002.png" in line
    assert call(own, "prep", "pack", "gopro", "--crop", "32", "--skip-orphans").returncode == 0


@pytest.mark.parametrize("kind", ["blur", "sharp"])
def test_a_truncated_png_is_named(own: Path, kind: str) -> None:
    path = own / f"GOPRO_Large/train/GOPR0001_00_00/{kind}/000002.png"
    path.write_bytes(path.read_bytes()[:700])

    done = call(own, "prep", "pack", "gopro", "--crop", "32")

    assert done.returncode == 1
    assert f"{kind}/000002.png is damaged: the PNG is cut short at byte 700" in done.stderr
    assert not (own / "gopro.h5").exists()


def test_sizes_that_differ_in_a_pair_are_named(own: Path) -> None:
    path = own / "GOPRO_Large/train/GOPR0001_00_00/sharp/000002.png"
    frames.write(path, frames.read(path)[:-2])

    assert "a pair has one size" in mistake(own, "prep", "pack", "gopro", "--crop", "32")


def test_a_crop_larger_than_the_frame_is_refused_before_masks_are_made(work: Path) -> None:
    line = mistake(work, "prep", "pack", "gopro")

    assert "crop 512 x 512 does not fit into the frame's 64 x 80" in line
    assert not (work / "masks").exists()


def test_a_crop_that_is_no_number_is_one_line(work: Path) -> None:
    assert "'big' is neither a number of pixels nor 'frame'" in mistake(work, "prep", "pack", "gopro", "--crop", "big")


def test_a_pack_is_never_replaced_unasked(work: Path) -> None:
    assert call(work, "prep", "pack", "gopro", "--crop", "48").returncode == 0
    before = (work / "gopro.h5").read_bytes()

    assert "gopro.h5 exists; pass --force" in mistake(work, "prep", "pack", "gopro", "--crop", "40")
    assert (work / "gopro.h5").read_bytes() == before
    assert call(work, "prep", "pack", "gopro", "--crop", "40", "--force").returncode == 0
    assert (work / "gopro.h5").read_bytes() != before


def test_not_even_force_replaces_what_is_no_pack(gopro: Path, train_pack: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", gopro.parent, gopro.name)
    before = (tmp_path / "GOPRO_Large.zip").read_bytes()
    (tmp_path / "folder").mkdir()

    for words in (("pack", "gopro"), ("remask", train_pack, "--mu", "0.9")):
        said = mistake(tmp_path, "prep", *words, "--out", "GOPRO_Large.zip", "--force")
        assert "GOPRO_Large.zip exists and is no pack; pass --out with another name" in said
        assert "folder is a folder" in mistake(tmp_path, "prep", *words, "--out", "folder", "--force")
    assert (tmp_path / "GOPRO_Large.zip").read_bytes() == before


def test_an_export_never_replaces_its_weights(weights: Path) -> None:
    before = weights.read_bytes()

    said = mistake(weights.parent, "export", "--weights", weights, "--out", weights, "--force")

    assert "does not end in .onnx; pass --out NAME.onnx" in said
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("train", ("--h5", "--preset", "tiny"), "found the option --preset, wanted a file"),
        ("train", ("--h5", "none.h5"), "none.h5 is not there; make it with cdg-prep pack"),
        ("train", ("--h5", "."), ". is a folder; pass a file in it"),
        ("evaluate", ("--weights", "none", "--h5", "none.h5"), "none is not there; cdg-train writes weights"),
        ("info", ("--weights", "none"), "none is not there"),
        ("prep", ("info", "none.h5"), "none.h5 is not there; make it with cdg-prep pack"),
        ("prep", ("verify", "."), ". is a folder; pass a pack"),
        ("prep", ("info", "."), "pass the folder, or the zip, that holds one"),
        (
            "prep",
            ("pack", "gopro", "--blurry", "a", "--sharp", "b"),
            "--blurry and --sharp are pairs, asked for is gopro",
        ),
        ("prep", ("view", "--out", "page"), "no data set"),
    ],
)
def test_a_path_of_the_wrong_kind_is_one_line(tmp_path: Path, name: str, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(tmp_path, name, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tables", "--variant", "dmphn-1"), "--tables and --variant do not go together"),
        (("--tables", "--time"), "--tables and --time do not go together"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(tmp_path, "info", *words)


def test_weights_are_priced_as_they_are_or_not_at_all(weights: Path) -> None:
    for other in (("--preset", "tiny"), ("--variant", "cdgnet"), ("--tables",)):
        said = mistake(weights.parent, "info", "--weights", weights, *other)
        assert f"--weights and {other[0]} do not go together" in said


def test_the_papers_figures_stand_beside_the_papers_widths_only(tmp_path: Path) -> None:
    assert "30.67" in call(tmp_path, "info", "--tables", "--size", "64x64").stdout
    small = call(tmp_path, "info", "--tables", "--size", "64X64", "--preset", "tiny").stdout
    assert "cdgnet" in small and "30.67" not in small and "paper MB" not in small


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


def test_one_pack_twice_is_refused(train_pack: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin.h5"
    shutil.copy(train_pack, twin)

    assert "hold the same crops; pass one of them" in mistake(tmp_path, "train", "--h5", train_pack, twin, *TRAIN)


def test_a_validation_is_told_with_the_blurry_score_beside_it(train_pack: Path, tmp_path: Path) -> None:
    said = call(tmp_path, "train", "--h5", train_pack, *TRAIN, "--val", "GOPR0002").stdout

    assert re.search(r"step 2/2  validation: 2 whole frames, PSNR blurry \d+\.\d\d dB, restored \d+\.\d\d dB", said)


def test_the_papers_recipe_is_called_so_and_another_names_what_differs(train_pack: Path, tmp_path: Path) -> None:
    said = call(tmp_path, "train", "--h5", train_pack, "--crop", "32", "--dry-run").stdout
    assert "the paper's recipe but for crop, a held-out video: Adam 0.0001, halved every 500 epochs, L2 loss" in said


def test_the_page_replaces_an_earlier_page_and_nothing_else(work: Path) -> None:
    assert call(work, "prep", "masks").returncode == 0
    for _ in range(2):
        assert call(work, "prep", "view", "--out", "page").returncode == 0
    (work / "notes").mkdir()
    (work / "notes" / "mine.txt").write_text("mine")

    assert "notes holds files but no page of ours" in mistake(work, "prep", "view", "--out", "notes")
    assert "mine.txt is a file; pass --out with a folder" in mistake(work, "prep", "view", "--out", "notes/mine.txt")
    assert [path.name for path in (work / "notes").iterdir()] == ["mine.txt"]


def test_a_sheet_is_drawn_once(work: Path) -> None:
    assert call(work, "prep", "masks").returncode == 0
    words = ("prep", "view", "--sheet", "sheet.png", "--frames", "2")

    done = call(work, *words, "--mu", "0.9", "--mu", "0.96")

    assert "wrote sheet.png: 2 frames, M at mu 0.9, 0.96" in done.stdout
    assert frames.read(work / "sheet.png").shape[1] == 24 * 2 + 6 * 360 + 5 * 12
    assert "sheet.png exists" in mistake(work, *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--serve", "--sheet", "s.png"), "--serve and --sheet do not go together"),
        (("--serve", "--out", "x"), "--out is the page's folder"),
        (("--mu", "0.9"), "--mu is for --sheet"),
        (("--frames", "0"), "'0' is neither a number of frames from 1 on nor 'all'"),
        (("--masks", "other"), "other holds no masks; make them with cdg-prep masks"),
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

    assert "v.json: 2 of 6 frames are rejected and left out; 1 more that it rejects are not among" in done.stdout
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

    assert "reds.json rejects no frame of this data set and split" in done.stderr
    with h5py.File(work / "gopro.h5") as file:
        assert json.loads(file.attrs["excluded"]) == keys


def test_damaged_verdicts_are_told_before_a_page_is_served(work: Path) -> None:
    call(work, "prep", "masks")
    (work / "masks" / "gopro" / "verdicts.json").write_text('{"format": "cdg-verdicts"')
    assert "verdicts.json is no list of verdicts" in mistake(work, "prep", "view", "--serve", "--port", "0")


def test_verdicts_that_leave_nothing_or_are_none_are_refused(work: Path) -> None:
    words = ("prep", "pack", "gopro", "--crop", "48", "--exclude")
    (work / "other.json").write_text("{}")
    clips = ("GOPR0001_00_00", "GOPR0001_00_01", "GOPR0002_00_00")
    every = [f"{clip}/00000{number}" for clip in clips for number in (1, 2)]
    verdicts.write(work / "all.json", {key: Verdict(verdict="reject", note="") for key in every})

    assert "other.json is no list of verdicts" in mistake(work, *words, "other.json")
    assert "all.json: every frame is rejected" in mistake(work, *words, "all.json")
    assert "none.json is not there; cdg-prep view saves or downloads it" in mistake(work, *words, "none.json")
    assert not (work / "masks").exists()


def test_nothing_is_written_into_the_data_set(work: Path) -> None:
    line = mistake(work, "prep", "masks", "--out", "GOPRO_Large/masks")

    assert "lies inside the data set" in line


def test_an_output_that_cannot_be_written_is_one_line(work: Path) -> None:
    (work / "file").write_text("")

    for words in (("masks", "--out", "file/m"), ("pack", "gopro", "--crop", "48", "--out", "file/p.h5")):
        done = call(work, "prep", *words)
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1].startswith("cdg-prep: file")  # the path, then what is wrong


@pytest.mark.parametrize(
    ("name", "option"), [("prep", "verify"), ("prep", "info"), ("train", "--h5"), ("evaluate", "--h5")]
)
def test_a_pack_cut_short_is_one_line(train_pack: Path, weights: Path, tmp_path: Path, name: str, option: str) -> None:
    (tmp_path / "cut.h5").write_bytes(train_pack.read_bytes()[:20000])
    extra = ["--weights", weights] if name == "evaluate" else []

    assert "cut.h5 is no HDF5 file, or one cut short" in mistake(tmp_path, name, *extra, option, "cut.h5")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle", b"\x08\0\0\0\0\0\0\0{}      "])
def test_weights_that_are_no_safetensors_of_ours_are_one_line(test_pack: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)

    assert "w.pt" in mistake(tmp_path, "evaluate", "--weights", "w.pt", "--h5", test_pack)
    frames.write(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    assert "w.pt" in mistake(tmp_path, "deblur", "a.png", "--weights", "w.pt")


def test_the_scores_can_be_read_by_a_program(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--out", "scores", "--json")

    answer = json.loads(done.stdout)
    assert len(answer["rows"]) == 2
    assert answer["mean"]["psnr_blurry"] == pytest.approx(np.mean([row["psnr_blurry"] for row in answer["rows"]]))
    assert (tmp_path / "scores" / "results.csv").exists()
    again = call(
        tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--out", "scores", "--against", "scores"
    )
    assert "2 of 2 frames are scored in scores" in again.stderr
    assert "psnr against the earlier scores: +0.00 (+0.00 to +0.00), higher in 0 of 2 frames" in again.stdout


def test_scores_never_go_among_the_frames(tmp_path: Path) -> None:
    for kind in ("restored", "sharp"):
        frames.write(tmp_path / kind / "a.png", np.zeros((20, 30, 3), np.uint8))
    asked = ("evaluate", "--restored", "restored", "--sharp", "sharp", "--out")
    assert "sharp/scores lies inside sharp, which holds frames" in mistake(tmp_path, *asked, "sharp/scores")
    assert "mean of 1 images" in call(tmp_path, *asked, "scores").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "wanted one of --h5, --root and --restored, found none"),
        (("--root", ".", "--restored", "."), "found --root and --restored"),
        (("--root", "."), "--root wants --weights"),
        (("--restored", "."), "--restored wants --sharp, and no --weights"),
    ],
)
def test_what_to_score_must_be_one_thing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(tmp_path, "evaluate", *words)


def test_the_precision_of_scores_is_said(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    asked = ("evaluate", "--weights", weights, "--h5", test_pack, "--out", "scores", "--precision")

    assert "on cpu, precision bf16-mixed" in call(tmp_path, *asked, "bf16-mixed").stdout
    assert "16-mixed needs a GPU, and there is none" in mistake(tmp_path, *asked, "16-mixed")


def test_info_says_what_a_pack_holds(train_pack: Path, tmp_path: Path) -> None:
    about = json.loads(call(tmp_path, "prep", "info", train_pack, "--json").stdout)

    assert (about["layout"], about["split"], about["variant"], about["mu"]) == ("gopro", "train", "blur", 0.96)
    assert (about["crops"], about["frames"], about["crop"]) == (24, 6, [48, 48])


def test_verify_ends_with_a_status_and_names_the_crop(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "p.h5").write_bytes(train_pack.read_bytes())
    with h5py.File(tmp_path / "p.h5", "r+") as file:
        file["sharp"][3] = 255 - file["sharp"][3]

    done = call(tmp_path, "prep", "verify", "p.h5")

    assert done.returncode == 1
    assert "crop 3 (GOPR0001_00_00/000001 at y 16, x 32): checksum differs" in done.stderr


def test_any_two_folders_make_a_pack(gopro: Path, tmp_path: Path) -> None:
    clip = gopro / "train" / "GOPR0001_00_00"
    folders = ["--blurry", clip / "blur", "--sharp", clip / "sharp"]

    assert call(tmp_path, "prep", "pack", "pairs", *folders, "--crop", "frame").returncode == 0
    assert json.loads(call(tmp_path, "prep", "info", "pairs.h5", "--json").stdout)["split"] == "all"
    assert "pairs need both" in mistake(tmp_path, "prep", "pack", "pairs", "--blurry", clip / "blur")


def test_results_that_are_there_are_passed_over(weights: Path, tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.full((20, 20), 9, np.uint8))
    (tmp_path / "restored").mkdir()
    (tmp_path / "restored" / "a.png").write_text("mine")

    done = call(tmp_path, "deblur", "a.png", "--weights", weights)

    assert "1 are in restored already" in done.stdout
    assert (tmp_path / "restored" / "a.png").read_text() == "mine"


def test_a_folder_is_deblurred_and_what_is_wrong_in_it_is_said_with_a_status(weights: Path, tmp_path: Path) -> None:
    frames.write(tmp_path / "in" / "deep" / "a.png", np.full((20, 20), 9, np.uint8))
    (tmp_path / "in" / "bad.png").write_text("a letter")
    (tmp_path / "in" / "notes.txt").write_text("")

    planned = call(tmp_path, "deblur", "in", "--weights", weights, "--dry-run")
    assert planned.returncode == 0 and not (tmp_path / "restored").exists()
    done = call(tmp_path, "deblur", "in", "--weights", weights, "--ensemble", "--tile", "66")

    assert "in/deep/a.png -> restored/deep/a.png" in planned.stdout
    assert done.returncode == 1
    assert "in/bad.png is no readable picture" in done.stderr
    assert "neither picture nor video: 1 .txt" in done.stdout
    assert "wrote 1 picture into restored, 1 failed" in done.stdout
    assert frames.read(tmp_path / "restored" / "deep" / "a.png").shape == (20, 20, 3)


def test_a_tile_is_a_number_of_pixels_or_auto(tmp_path: Path) -> None:
    assert "'wide' is no side of a tile; pass auto" in mistake(tmp_path, "deblur", "a", "--tile", "wide")


def test_a_dry_run_of_training_says_what_would_happen(train_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "train", "--h5", train_pack, "--crop", "32", "--dry-run")

    assert "6,374,729 parameters" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_command_group_alone_shows_its_help_and_nothing_else(tmp_path: Path) -> None:
    done = call(tmp_path, "prep")

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: cdg-prep [OPTIONS] COMMAND")
    assert "(see cdg-prep --help)" not in done.stderr


def test_a_missing_argument_is_one_line(tmp_path: Path) -> None:
    done = call(tmp_path, "prep", "pack")

    assert done.stderr.count("\n") == 1
    assert "Choose from: gopro, videodeblurring, reds, hide, realblur, pairs (see cdg-prep pack --help)" in done.stderr


def test_what_takes_long_is_said_and_what_is_quick_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with announce_if_slow("compiling"):
        time.sleep(1.8)
    with announce_if_slow("quick"):
        pass
    time.sleep(1.8)

    assert capsys.readouterr().err == "compiling\n"


def test_a_pack_is_thresholded_again_without_its_frames(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "old.h5").write_bytes(train_pack.read_bytes())

    done = call(tmp_path, "prep", "remask", "old.h5", "--mu", "0.5", "--out", "new.h5")

    assert done.returncode == 0, done.stderr
    assert "new.h5: 24 crops" in done.stdout
    assert "mu 0.5" in done.stdout
    assert "24 of 24 crops are whole" in call(tmp_path, "prep", "verify", "new.h5").stdout
    assert "new.h5 exists; pass --force" in mistake(
        tmp_path, "prep", "remask", "old.h5", "--mu", "1", "--out", "new.h5"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mu", "1.5"), "'--mu'"),
        (("--mu", "nan"), "nan is not"),
        (("--learning-rate", "nan"), "nan is not"),
        (("--learning-rate", "inf"), "inf is not"),
        (("--average", "1"), "'--average'"),
        (("--clip", "nan"), "nan is not"),
        (("--val", "none", "--val", "GOPR0002"), "--val none holds nothing out"),
        (
            ("--accumulate", "3"),
            "a batch of 2 cannot be divided into 1 (devices) x 3 (--accumulate) parts; pass --batch 3",
        ),
        (("--devices", "9"), "a batch of 2 cannot be divided into 9 (devices)"),
        (("--nodes", "2"), "--nodes 2 needs the command to be started by torchrun"),
        (("--precision", "16-mixed"), "16-mixed needs a GPU"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    train_pack: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    for also in ((), ("--dry-run",)):
        assert said in mistake(tmp_path, "train", "--h5", train_pack, *TRAIN, *words, *also)
    assert not list(tmp_path.iterdir())


def test_torchrun_with_another_number_of_processes_is_refused(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")

    assert "torchrun started 2 processes here" in mistake(tmp_path, "train", "--h5", train_pack, *TRAIN)


def test_training_says_its_masks_and_which_options_have_no_effect(train_pack: Path, tmp_path: Path) -> None:
    words = ("--h5", train_pack, *TRAIN, "--dry-run", "--variant", "dmphn-1", "--mu", "0.9", "--val", "none")

    done = call(tmp_path, "train", *words, "--val-every", "3")

    assert re.search(
        r"masks by lbp, mu 0\.96: share \d+\.\d%, \d+ of \d+ crops have none, thresholded again at mu 0\.9", done.stdout
    )
    assert "--mu has no" in done.stderr and "--val-every has no" in done.stderr
