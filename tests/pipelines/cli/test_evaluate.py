"""``cdg-eval``: what it says and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import call, mistake

from prep.io import frames


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
        (("--restored", "."), "--restored needs --sharp, and no --weights"),
    ],
)
def test_what_to_score_must_be_one_thing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(tmp_path, "evaluate", *words)


def test_the_precision_of_scores_is_said(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    asked = ("evaluate", "--weights", weights, "--h5", test_pack, "--out", "scores", "--precision")

    assert "on cpu, precision bf16-mixed" in call(tmp_path, *asked, "bf16-mixed").stdout
    assert "16-mixed needs a GPU, and there is none" in mistake(tmp_path, *asked, "16-mixed")
