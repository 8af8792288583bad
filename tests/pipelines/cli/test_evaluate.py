"""``cdg-eval``: what it says and what it refuses."""

import csv
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import call, mistake

from cdgnet import PRETRAINED, read_metadata
from pipelines.cli import score_report
from pipelines.cli.dataset import PAIRING_RULE
from pipelines.evaluate import division
from pipelines.evaluate.frame_sources import OWN_MAPS
from prep.io import frames
from prep.packs.reader import read_info


def test_the_scores_can_be_read_by_a_program(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--out", "scores", "--json")

    answer = json.loads(done.stdout)
    assert len(answer["rows"]) == 2
    assert "scoring 2 frames on cpu" in done.stderr
    assert answer["mean"]["psnr_blurry"] == pytest.approx(np.mean([row["psnr_blurry"] for row in answer["rows"]]))
    assert (tmp_path / "scores" / "results.csv").exists()
    again = call(
        tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--out", "scores", "--against", "scores"
    )
    assert "2 of 2 frames already scored in scores" in again.stderr
    said = "train minus train (scores): psnr +0.00 dB (too few frames for an interval), higher in 0 of 2 frames"
    assert said in " ".join(again.stdout.split())


def test_scores_never_go_among_the_frames(tmp_path: Path) -> None:
    for kind in ("restored", "sharp"):
        frames.write(tmp_path / kind / "a.png", np.zeros((20, 30, 3), np.uint8))
    asked = ("evaluate", "--restored", "restored", "--sharp", "sharp", "--out")
    assert "sharp/scores is inside sharp, which contains frames" in mistake(tmp_path, *asked, "sharp/scores")
    assert "mean of\n1 frame " in call(tmp_path, *asked, "scores").stdout


def test_frames_that_equal_their_partner_count_as_100_db_and_every_score_stays_finite(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "abc":
        sharp = rng.integers(0, 256, (32, 40, 3), np.uint8)
        noisy = np.clip(sharp + rng.normal(0, 10, sharp.shape), 0, 255).astype(np.uint8)
        kinds = {"sharp": sharp, "restored": sharp if name == "a" else noisy, "blurry": noisy}
        for kind, picture in kinds.items():
            frames.write(tmp_path / kind / f"{name}.png", picture)
    words = ("--restored", "restored", "--sharp", "sharp", "--blurry", "blurry", "--method", "laplacian")

    said = call(tmp_path, "evaluate", *words, "--out", "scores").stdout
    again = call(tmp_path, "evaluate", *words, "--out", "again", "--against", "scores").stdout

    assert "1 of 3 restored frames equal the sharp frame, or almost, and count as 100 dB" in " ".join(said.split())
    report = (tmp_path / "scores" / "report.html").read_text()
    assert "1 of 3 restored frames equal the sharp frame" in report and "∞" not in report
    text = (tmp_path / "scores" / "results.json").read_text()
    answer = json.loads(text, parse_constant=pytest.fail)
    psnrs = [row["psnr"] for row in answer["rows"]]
    assert psnrs[0] == 100 and answer["mean"]["psnr"] == pytest.approx(np.mean(psnrs))
    assert min(psnrs) <= answer["interval"]["psnr"]["low"] < answer["interval"]["psnr"]["high"] <= 100
    assert "restored minus restored (scores): psnr +0.00 dB (too few frames" in again


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no frames to score; pass one of --h5, --root, --restored or --blurry"),
        (("--sharp", "."), "--sharp alone gives nothing to score; pass one of --h5"),
        (("--root", ".", "--restored", "."), "--root and --restored exclude each other; pass one of"),
        (("--restored", ".", "--weights", PRETRAINED), "--restored and --weights exclude each other"),
        (("--restored", ".", "--ensemble"), "--restored runs no network, so --ensemble has no effect; leave one out"),
        (("--no-weights", "--root", ".", "--strength", "2"), "--no-weights runs no network, so --strength has no"),
    ],
)
def test_what_to_score_must_be_one_thing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(tmp_path, "evaluate", *words)


def test_two_folders_of_frames_are_scored_without_a_pack(gopro: Path, weights: Path, tmp_path: Path) -> None:
    (sequence,) = (gopro / "test").iterdir()
    folders = ("--blurry", sequence / "blur", "--sharp", sequence / "sharp")
    found = json.loads(call(tmp_path, "evaluate", "--weights", weights, *folders, "--out", "scores", "--json").stdout)
    whole = json.loads(call(tmp_path, "evaluate", "--weights", weights, "--root", gopro.parent, "--json").stdout)

    scores = [[(row["psnr"], row["psnr_blurry"], row["mask_share"]) for row in each["rows"]] for each in (found, whole)]
    assert len(scores[0]) > 0 and scores[0] == scores[1]


def test_results_of_other_names_are_scored_and_frames_without_one_are_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    for number, pixels in enumerate(noise):
        for name in (f"RealBlur/scene001/gt/gt_{number}.png", f"RealBlur/scene001/blur/blur_{number}.png"):
            frames.write(tmp_path / name, pixels)
    for number in (0, 2):
        frames.write(tmp_path / "results" / f"scene001_blur_{number}.png", noise[number] // 2)
    sharp = ("--sharp", "RealBlur/**/gt_*.png")

    done = call(tmp_path, "evaluate", "--restored", "results", *sharp, "--json")

    assert [row["key"] for row in json.loads(done.stdout)["rows"]] == ["scene001/0", "scene001/2"]
    assert "not scored, no partner found: RealBlur/scene001/gt/gt_1.png\n" in done.stderr
    blurry = ("--blurry", "RealBlur/**/blur_*.png")
    call(tmp_path, "prep", "masks", *blurry, *sharp, "--method", "laplacian", "--mu", "0.5")
    asked = ("evaluate", "--restored", "results", *sharp, *blurry, "--masks", "masks/pairs", "--mu", "0.5", "--json")
    assert [row["key"] for row in json.loads(call(tmp_path, *asked).stdout)["rows"]] == ["scene001/0", "scene001/2"]
    assert "RealBlur/none/* matches no frame" in mistake(tmp_path, "evaluate", "--blurry", "RealBlur/none/*", *sharp)
    assert "pattern that matches only one of the two" in mistake(
        tmp_path, "evaluate", "--restored", "results", "--sharp", "RealBlur"
    )


def test_help_says_in_one_sentence_which_frames_belong_together(tmp_path: Path) -> None:
    said = [
        " ".join(call(tmp_path, *command, "--help").stdout.split()) for command in (("evaluate",), ("prep", "masks"))
    ]

    assert all(PAIRING_RULE in text for text in said)


def test_without_weights_the_page_speaks_of_blurry_frames(test_pack: Path, tmp_path: Path) -> None:
    call(tmp_path, "evaluate", "--no-weights", "--h5", test_pack, "--out", "scores")
    page = (tmp_path / "scores" / "report.html").read_text(encoding="utf-8")
    assert "<small>blurry, mean of 2 frames</small>" in page and '<th scope="col">blurry, dB</th>' in page
    assert "restored" not in page and "the network changed" not in page


def test_the_precision_of_scores_is_said(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    asked = ("evaluate", "--weights", weights, "--h5", test_pack, "--out", "scores", "--precision")

    assert "computed on cpu, precision bf16-mixed" in call(tmp_path, *asked, "bf16-mixed").stdout
    assert "16-mixed needs a GPU, and none was found" in mistake(tmp_path, *asked, "16-mixed")


def test_the_weights_that_come_with_the_package_score_into_the_folder_at_hand(test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "evaluate", "--h5", test_pack)

    assert f"weights: {read_metadata(PRETRAINED)['name']}, which come with cdgnet" in done.stderr
    (scores,) = (tmp_path / "eval").iterdir()
    assert re.fullmatch(r"test-pretrained-[0-9a-f]{8}", scores.name)  # frames, weights, checksum
    assert json.loads((scores / "results.json").read_text())["weights"]["file"] == PRETRAINED.name
    earlier = scores.rename(scores.with_name(scores.name.replace("pretrained-", "")))  # as earlier versions named it
    assert (
        f"2 of 2 frames already scored in eval/{earlier.name}" in call(tmp_path, "evaluate", "--h5", test_pack).stderr
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--weights", "w"), "--no-weights and --weights"), (("--restored", "."), "--no-weights and --restored")],
)
def test_no_weights_goes_with_nothing_that_is_restored(
    weights: Path, tmp_path: Path, words: tuple[str, str], said: str
) -> None:
    given = tuple(weights if word == "w" else word for word in words)
    source = ("--sharp", ".") if words[0] == "--restored" else ("--root", ".")

    assert said in mistake(tmp_path, "evaluate", "--no-weights", *given, *source)


def test_without_weights_the_blurry_frames_are_scored_by_the_length_of_their_blur(
    gopro: Path, test_pack: Path, tmp_path: Path
) -> None:
    done = call(tmp_path, "evaluate", "--no-weights", "--root", gopro.parent)
    assert done.returncode == 0, done.stderr
    assert "the blurry frames themselves" in done.stdout
    assert done.stdout.index("mean of\n2 frames") < done.stdout.index("PSNR by blur length")
    assert "M by extent at mu 0.85: 1 where blur is up to 6.2 pixels long" in done.stdout

    packed = call(tmp_path, "evaluate", "--no-weights", "--h5", test_pack)  # with masks of lbp, which say little
    assert "M by paired at mu 0.85: 1 where blur is up to 6.2 pixels long" in packed.stdout
    tables = [(path / "results.csv").read_text().splitlines() for path in (tmp_path / "eval").iterdir()]
    one, two = (list(csv.DictReader(lines))[-1]["psnr"] for lines in tables)
    assert one == two


@pytest.mark.slow
def test_masks_that_are_named_are_taken(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--method", "lbp", "--out", "own")
    assert "M by lbp at mu 0.96\n" in done.stdout
    assert "blur length" not in done.stdout and "attention" not in done.stdout
    other = call(
        tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--method", "laplacian", "--out", "other"
    )
    assert "M by laplacian at mu 0.96\n" in other.stdout
    assert "contains scores made with other settings (extents, method, mu" in mistake(
        tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--out", "own"
    )


def test_whether_the_division_is_learnt_is_said_and_shown(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--out", "scores")
    said = " ".join(done.stdout.split())
    assert re.search(
        r"AUC for the own component \(1: perfect, 0.5: chance\): small branch 0\.\d{3}, large branch 0\.\d{3}", said
    )
    for one, value, other in (("small", 1, "large"), ("large", 0, "small")):
        score = rf"{one} branch alone, where M = {value}: \d+\.\d\d dB, [+-]\d+\.\d\d dB against the {other} branch"
        assert re.search(score, said)
    means = json.loads((tmp_path / "scores" / "results.json").read_text())
    assert {*means["division"], "auc_gate"} == {*division.MEASURES}  # its fusion has no gate
    assert means["division"]["lead_small"] == means["mean"]["lead_small"]
    page = (tmp_path / "scores" / "report.html").read_text()
    assert "Do the branches divide the frame?" in page and "branch closer to sharp, centre" in page


def test_a_component_that_no_frame_has_gets_no_empty_interval(tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    sharp = blocks.repeat(8, axis=0).repeat(8, axis=1)
    blurry = np.stack([np.roll(sharp, shift, axis=1) for shift in range(-15, 16)]).mean(axis=0).astype(np.uint8)
    for name, picture in (("restored", blurry), ("sharp", sharp), ("blurry", blurry)):
        frames.write(tmp_path / name / "a.png", picture)

    said = call(tmp_path, "evaluate", "--restored", "restored", "--sharp", "sharp", "--blurry", "blurry").stdout

    assert re.search(r"^  psnr_m1: [^:]*; no frame has it$", said, re.MULTILINE)
    assert re.search(r"^psnr_m1  ( +-){5}$", said, re.MULTILINE) and "- to -" not in said


def test_blur_lengths_of_few_pixels_stand_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    ranges = [
        {"from": 0.0, "to": 4.0, "pixels": 400.0, "psnr": 30.0, "psnr_blurry": 29.5},
        {"from": 4.0, "to": math.inf, "pixels": 999_600.0, "psnr": 25.0, "psnr_blurry": 24.0},
    ]
    score_report._print_by_extent({"known_from": OWN_MAPS, "ranges": ranges})

    said = capsys.readouterr().out
    assert "0 to 4         < 0.1 %  (29.50)   (30.00)  (+0.50)\n" in said
    assert "4 and more     100.0 %    24.00     25.00    +1.00\n" in said
    assert "in brackets: fewer than 1% of the pixels" in said


def test_a_difference_that_rounds_to_zero_has_no_minus() -> None:
    assert [score_report.signed(value, "psnr") for value in (-0.001, 0.0, -0.01, math.nan)] == [
        *("+0.00", "+0.00", "-0.01", "-")
    ]


@pytest.mark.slow
def test_frames_that_the_network_was_trained_on_are_reported(train_pack: Path, tmp_path: Path) -> None:
    shutil.copy(train_pack, tmp_path / "a.h5")
    small = ("--preset", "tiny", "--batch", "2", "--crop", "32", "--workers", "0", "--steps", "1")
    call(tmp_path, "train", "--h5", "a.h5", *small, "--val", "GOPR0002")
    weights = tmp_path / "runs" / "a" / "weights.safetensors"

    said = call(tmp_path, "evaluate", "--weights", weights, "--h5", "a.h5").stderr
    elsewhere = shutil.copy(weights, tmp_path / "b.safetensors")
    unknown = call(tmp_path, "evaluate", "--weights", elsewhere, "--h5", "a.h5", "--out", "b").stderr

    names = set(read_info(train_pack).keys)
    trained = {key for key in names if not key.startswith("GOPR0002")}
    assert f"{weights} was trained on {len(trained)} of {len(names)} frames; scores on them do not show" in said
    assert 0 < len(trained) < len(names) and "was trained on" not in unknown


@pytest.mark.slow
def test_frames_of_folders_are_recognised_by_their_pictures_not_by_their_names(gopro: Path, tmp_path: Path) -> None:
    first, second = (gopro / "train" / name for name in ("GOPR0001_00_00", "GOPR0002_00_00"))
    assert {path.name for path in first.rglob("*.png")} == {path.name for path in second.rglob("*.png")}
    folders = {clip: ("--blurry", clip / "blur", "--sharp", clip / "sharp") for clip in (first, second)}
    assert call(tmp_path, "prep", "pack", "pairs", *folders[first], "--crop", "48", "--out", "a.h5").returncode == 0
    small = ("--preset", "tiny", "--batch", "2", "--crop", "32", "--workers", "0", "--steps", "1")
    assert call(tmp_path, "train", "--h5", "a.h5", *small).returncode == 0

    said = {
        clip: call(tmp_path, "evaluate", "--weights", "runs/a/weights.safetensors", *words, "--out", clip.name).stderr
        for clip, words in folders.items()
    }

    assert "was trained on 2 of 2 frames" in said[first] and "was trained on" not in said[second]


def test_masks_of_a_folder_keep_its_threshold(gopro: Path, tmp_path: Path) -> None:
    pairs = [
        f"--{name}={gopro / 'test' / 'GOPR0003_00_00' / folder}"
        for name, folder in (("blurry", "blur"), ("sharp", "sharp"))
    ]
    assert call(tmp_path, "prep", "masks", *pairs, "--method", "paired", "--mu", "0.7", "--out", "m").returncode == 0

    own = call(tmp_path, "evaluate", *pairs, "--no-weights", "--masks", "m")

    assert "M by paired at mu 0.7" in own.stdout, own.stderr
