"""``cdg-train``: what it says and what it refuses."""

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from commands import call, mistake

from pipelines import timing
from pipelines.cli import train
from prep.io import files
from prep.packs.reader import read_info

TRAIN = ["--preset", "tiny", "--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0"]


def test_one_pack_twice_is_refused(train_pack: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin.h5"
    shutil.copy(train_pack, twin)

    assert "contain the same crops; pass one of them" in mistake(tmp_path, "train", "--h5", train_pack, twin, *TRAIN)


def test_a_validation_is_told_with_the_blurry_score_beside_it(train_pack: Path, tmp_path: Path) -> None:
    said = call(tmp_path, "train", "--h5", train_pack, *TRAIN, "--val", "GOPR0002").stdout

    (row,) = (row for row in files.read_rows(tmp_path / "runs" / "train" / "log.jsonl") if "val_psnr" in row)
    gain = f"({row['val_psnr'] - row['val_psnr_blurry']:+.2f} dB)"
    scores = f"blurry {row['val_psnr_blurry']:.2f} dB, restored {row['val_psnr']:.2f} dB {gain}"
    assert f"step 2/2  validation: PSNR of 2 whole frames: {scores}" in said


@pytest.mark.slow
def test_fine_tuning_that_makes_weights_worse_is_said(train_pack: Path, tmp_path: Path) -> None:
    options = ["--h5", train_pack, *TRAIN, "--val", "GOPR0002", "--no-turn"]
    call(tmp_path, "train", *options, "--out", "first", "--learning-rate", "1e-5")
    first = tmp_path / "first" / "weights.safetensors"

    worse = call(tmp_path, "train", *options, "--init", first, "--out", "worse", "--learning-rate", "1e-3")
    same = call(tmp_path, "train", *options, "--init", first, "--out", "same", "--learning-rate", "1e-9")

    rows = files.read_rows(tmp_path / "worse" / "log.jsonl")
    before, after = (row["val_psnr"] for row in rows if "val_psnr" in row)
    assert "step 0/2  validation of the first weights: PSNR of 2 whole frames: blurry" in worse.stdout
    assert f"restores the held-out frames better: {before:.2f} dB before the training, {after:.2f} dB after" in (
        worse.stderr
    )
    assert "held-out frames better" not in same.stderr
    assert f"next: cdg-eval --weights {first} worse/weights.safetensors --root DATA_SET\n" in worse.stdout


def test_the_papers_recipe_is_called_so_and_another_names_what_differs(train_pack: Path, tmp_path: Path) -> None:
    said = call(tmp_path, "train", "--h5", train_pack, "--crop", "32", "--dry-run").stdout
    assert "optimiser: Adam, learning rate 0.0001, halved every 500 epochs\nlosses: L2; component loss target" in said
    assert "different from the paper: crop 32, held-out frames\n" in said


def test_a_dry_run_of_training_says_what_would_happen(train_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "train", "--h5", train_pack, "--crop", "32", "--dry-run")

    assert "6,374,729 parameters" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("has_amx", "precision", "advice"),
    [
        (True, "32-true", "bf16-mixed is 1.2 to 4.5 times as fast"),
        (True, "bf16-mixed", ""),
        (False, "32-true", ""),
        (False, "bf16-mixed", "bf16-mixed takes up to twice as long"),
    ],
)
def test_the_precision_that_is_faster_on_a_cpu_is_advised(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_amx: bool, precision: str, advice: str
) -> None:
    monkeypatch.setattr(timing, "has_amx", lambda: has_amx)
    words = ["--h5", str(train_pack), *TRAIN, "--precision", precision, "--out", str(tmp_path / "run"), "--dry-run"]

    said = CliRunner().invoke(train.command, words, catch_exceptions=False).output

    expected = advice if not torch.cuda.is_available() else ""
    assert ("AMX" in said) is bool(expected) and expected in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mu", "1.5"), "--mu is 1.5; it must be a number"),
        (("--mu", "nan"), "is nan; it must be a number"),
        (("--learning-rate", "nan"), "is nan; it must be a number"),
        (("--learning-rate", "inf"), "is inf; it must be a number"),
        (("--average", "1"), "--average is 1.0; it must be a number"),
        (("--steps", "9" * 22), "steps is 9999999999999999999999; it must be a number from 1 to 1,000,000,000"),
        (("--keep", "9" * 22), "keep is 9999999999999999999999; it must be a number from 1 to 1,000,000,000"),
        (("--seed", "9" * 22), "seed is 9999999999999999999999; it must be a number from 0 to 4,294,967,295"),
        (("--clip", "inf"), "is inf; it must be a number"),
        (("--learning-rate", "1e300"), "learning_rate is 1e+300; it must be a number from 1e-12 to 1e+30"),
        (("--clip", "nan"), "is nan; it must be a number"),
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU torch compiles without a C++ compiler")
def test_compiling_without_a_compiler_is_refused_before_anything_is_written(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O2")

    said = mistake(tmp_path, "train", "--h5", train_pack, *TRAIN, "--compile")

    assert "--compile needs a C++ compiler, and no-such-compiler was not found; install it" in said
    assert not list(tmp_path.iterdir())


def test_torchrun_with_another_number_of_processes_is_refused(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")

    assert "torchrun started 2 processes here" in mistake(tmp_path, "train", "--h5", train_pack, *TRAIN)


def test_training_says_its_masks_and_which_options_have_no_effect(train_pack: Path, tmp_path: Path) -> None:
    words = ("--h5", train_pack, *TRAIN, "--dry-run", "--mu", "0.9", "--val", "none", "--val-every", "3")
    pack = read_info(train_pack)
    share = (
        f"small blur in {pack.mask_share:.1%} of the pixels, {pack.empty_masks} of {pack.crop_count} crops without any"
    )

    done = call(tmp_path, "train", *words)
    assert f"masks: lbp, mu = 0.96; {share}; thresholded again at mu = 0.9" in done.stdout
    assert "--val-every has no effect with --val none" in done.stderr and "--mu" not in done.stderr
    for no_masks in (("--variant", "dmphn-1"), ("--component-loss", "whole")):
        done = call(tmp_path, "train", *words, *no_masks)
        assert "--mu has no effect" in done.stderr and "masks:" not in done.stdout


def test_a_component_that_few_windows_hold_is_said(train_pack: Path, tmp_path: Path) -> None:
    pack = tmp_path / "few.h5"
    shutil.copy(train_pack, pack)
    call(tmp_path, "prep", "remask", pack, "--mu", "0.97")  # above the ceiling of lbp
    words = ("train", "--h5", pack, *TRAIN, "--dry-run")
    few = "M = 1 in 0% of the pixels: most random crops have nothing for the small branch to learn from; a lower"
    assert few in call(tmp_path, *words).stderr
    for silent in (("--mu", "0.9"), ("--component-loss", "whole")):
        assert "have nothing" not in call(tmp_path, *words, *silent).stderr


def test_the_recipe_is_what_is_done(train_pack: Path, tmp_path: Path) -> None:
    words = ("train", "--h5", train_pack, *TRAIN, "--dry-run")
    differences = "preset tiny, batch 2, crop 32, steps 2"
    assert f"different from the paper: {differences}, held-out frames\n" in call(tmp_path, *words).stdout
    divided = ("--fusion", "divided", "--component-loss", "region", "--val", "none", "--no-turn")
    branches = "fusion divided, component-loss region, lambda-small 1, lambda-large 1"
    differences = f"preset tiny, batch 2, crop 32, {branches}, no-turn, steps 2"
    assert f"different from the paper: {differences}\n" in call(tmp_path, *words, *divided).stdout


def test_a_warm_up_that_is_longer_than_the_run_is_reported(train_pack: Path, tmp_path: Path) -> None:
    words = ("train", "--h5", train_pack, "--variant", "dmphn-1", "--preset", "tiny", "--crop", "32", "--dry-run")

    long, short, timed = (
        call(tmp_path, *words, *more).stderr
        for more in (
            ("--steps", "2", "--warm-up", "3"),
            ("--steps", "2", "--warm-up", "2"),
            ("--hours", "0.001", "--warm-up", "900000"),
        )
    )

    assert "warning: the warm-up of 3 steps is longer than the run of 2, so the learning rate 0.0001 is never" in long
    assert "warm-up" not in short
    assert "warning: the warm-up of 900,000 steps is longer than the run of " in timed


def test_settings_that_do_not_go_together_are_one_line(train_pack: Path, tmp_path: Path) -> None:
    said = mistake(tmp_path, "train", "--h5", train_pack, "--graphs")
    assert "graphs is on; it needs compile" in said
    said = mistake(tmp_path, "train", "--h5", train_pack, "--fusion", "divided", "--variant", "dmphn-1")
    assert "fusion divided needs a variant of two branches" in said


def test_losses_of_the_restored_frames_size_weigh_as_much(train_pack: Path, tmp_path: Path) -> None:
    common = ("--h5", train_pack, "--preset", "tiny", "--crop", "32", "--steps", "1", "--dry-run")
    words = (*common, "--component-loss", "region")
    assert "component loss region, weights 1 and 1" in call(tmp_path, "train", *words).stdout
    given = call(tmp_path, "train", *words, "--lambda-small", "0.5", "--fusion", "divided").stdout
    assert "component loss region, weights 0.5 and 1; divided fusion" in given
    plain = call(tmp_path, "train", *common).stdout
    assert "component loss target, masked-out pixels black, weights 0.1 and 0.1" in plain


def test_fine_tuning_takes_the_network_of_its_first_weights(train_pack: Path, tmp_path: Path) -> None:
    words = ["--h5", train_pack, "--init", "pretrained", "--crop", "32", "--dry-run"]

    planned = call(tmp_path, "train", *words).stdout
    assert "network: dmphn-1, preset small, 452,995 parameters" in planned and ", starting from pretrained" in planned
    asked = mistake(tmp_path, "train", *words, "--preset", "tiny")
    assert "but the settings say cdgnet, preset tiny" in asked and "or neither" in asked
