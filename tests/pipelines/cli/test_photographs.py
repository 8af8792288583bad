"""``cdg-eval`` of pictures without sharp frames: photographs, and what others made of them."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import call, mistake
from skimage import data

from cdgnet import PRETRAINED, CDGNet, ModelConfig, save_weights
from pipelines.evaluate.niqe import niqe
from prep.io import frames

NAMES = ("walk/1", "walk/2", "yard")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A working folder with three photographs, and what another program made of them."""
    picture = np.asarray(data.astronaut(), np.uint8)
    for place, name in enumerate(NAMES):
        part = picture[100 * place : 100 * place + 100, 120:320]
        frames.write(tmp_path / "photos" / f"{name}.png", cv2.GaussianBlur(part, (0, 0), 1 + place))
        frames.write(tmp_path / "theirs" / f"{name}_restored.png", part)
    return tmp_path


def of(folder: Path, *words: object) -> dict[str, dict[str, float]]:
    """Rows by key."""
    done = call(folder, "evaluate", *words, "--json")
    assert done.returncode == 0, done.stderr
    return {row["key"]: row for row in json.loads(done.stdout)["rows"]}


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Weights of a new network, which gives its input back."""
    save_weights(tmp_path / "new.safetensors", CDGNet(ModelConfig.preset("tiny")), {})
    return tmp_path / "new.safetensors"


@pytest.mark.slow
def test_photographs_are_scored_before_and_after_and_not_twice(photos: Path) -> None:
    asked = ("--blurry", "photos", "--out", "scores")
    done = call(photos, "evaluate", *asked)

    assert "  niqe: blocks of 96 x 96, the authors' model; lower is better\n" in done.stdout
    assert "without sharp frames" in done.stdout and "psnr" not in done.stdout
    rows = of(photos, *asked)
    assert {key: row["niqe_blurry"] for key, row in rows.items()} == {
        name: pytest.approx(niqe(frames.read(photos / "photos" / f"{name}.png"))) for name in NAMES
    }
    page = (photos / "scores" / "report.html").read_text(encoding="utf-8")
    assert "highest niqe" in page and "largest gain" in page and "yard, enlarged" in page and "error" not in page
    frames.write(photos / "photos" / "yard.png", frames.read(photos / "photos" / "walk" / "1.png"))
    again = call(photos, "evaluate", *asked)
    assert "2 of 3 frames already scored in scores" in again.stderr
    assert "1 frame in scores changed on disk after scoring; scored again" in again.stderr


def test_another_programs_results_are_scored_with_their_photographs_or_alone(photos: Path) -> None:
    both = of(photos, "--restored", "theirs", "--blurry", "photos")
    alone = of(photos, "--restored", "theirs")

    assert list(both) == [*NAMES]
    assert all(row["niqe"] < row["niqe_blurry"] for row in both.values())
    assert [row["niqe"] for row in alone.values()] == [row["niqe"] for row in both.values()]
    assert all("niqe_blurry" not in row for row in alone.values())
    blurry = of(photos, "--no-weights", "--blurry", "photos")
    assert [row["niqe"] for row in blurry.values()] == [row["niqe_blurry"] for row in both.values()]
    (photos / "photos" / "yard.png").unlink()
    assert "1 frame without a partner in photos, first theirs/yard_restored.png" in mistake(
        photos, "evaluate", "--restored", "theirs", "--blurry", "photos"
    )


@pytest.mark.slow
def test_several_are_compared_by_the_measure_of_which_less_is_better(photos: Path, new: Path) -> None:
    assert of(photos, "--restored", "theirs", "--blurry", "photos", "--out", "theirs-scores")
    asked = ("--weights", new, PRETRAINED, "--blurry", "photos", "--against", "theirs-scores", "--out", "scores")
    done = call(photos, "evaluate", *asked)

    assert done.returncode == 0, done.stderr
    assert "new minus theirs: niqe +" in done.stdout
    assert "higher in 3 of 3 frames; lower is better" in " ".join(done.stdout.split())
    compared = json.loads((photos / "scores" / "compare.json").read_text())
    assert compared["measure"] == "niqe" and len(compared["entries"]) == 3
    page = (photos / "scores" / "compare.html").read_text(encoding="utf-8")
    assert "NIQE: row minus column" in page and "Lower is better" in page and "highest niqe even for the best" in page
    (difference,) = (each for each in compared["differences"] if (each["of"], each["less"]) == ("new", "theirs"))
    worse = difference["means"]["niqe"]
    assert f"<span>+{worse:.4f}</span><small>too few frames</small>" in page and f"<span>{-worse:.4f}</span>" in page


def test_scores_without_a_common_measure_are_not_compared(photos: Path) -> None:
    truth = ("--restored", "theirs", "--sharp", "photos")
    assert of(photos, *truth, "--out", "a").keys() == {*NAMES}
    blind = ("--restored", "theirs", "--blurry", "photos", "--out", "b", "--against", "a")
    assert (
        "b has scores of niqe but not of psnr or ssim or ssim_matlab3d; score both with the same measures"
        in mistake(photos, "evaluate", *blind)
    )


def test_frames_with_sharp_partners_get_the_measure_beside_theirs(photos: Path) -> None:
    words = ("--restored", "theirs", "--sharp", "photos")
    rows, plain = of(photos, *words, "--measure", "niqe"), of(photos, *words)

    alone = of(photos, "--restored", "theirs")
    assert [row["niqe"] for row in rows.values()] == [row["niqe"] for row in alone.values()]
    assert [row["psnr"] for row in rows.values()] == [row["psnr"] for row in plain.values()]
    assert of(photos, *words, "--out", "scores")
    other = mistake(photos, "evaluate", *words, "--measure", "niqe", "--out", "scores")
    assert "scores contains scores made with other settings (measure); use another --out" in other


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--align", "--lpips"), "no --lpips and --align; pass --sharp, or leave out --lpips and"),
        (("--method", "paired", "--mu", "0.5"), "leave out --method and --mu"),
        (("--strict",), "leave out --strict"),
        (("--measure", "niqe", "--measure", "psnr"), "--measure psnr is not known; "),
        (("--out", "theirs/scores"), "theirs/scores is inside theirs, which contains frames"),
    ],
)
def test_what_photographs_cannot_be_asked_is_refused(photos: Path, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(photos, "evaluate", "--restored", "theirs", *words)


def test_aligned_scores_take_no_other_measure(photos: Path) -> None:
    words = ("--restored", "theirs", "--sharp", "photos", "--align", "--measure", "niqe")
    assert "--align computes psnr and ssim only; leave out --measure" in mistake(photos, "evaluate", *words)


def test_pictures_that_cannot_be_scored_are_named(photos: Path) -> None:
    small = frames.read(photos / "photos" / "yard.png")[:90]
    frames.write(photos / "photos" / "yard.png", small)
    assert "photos/yard.png and theirs/yard_restored.png are 200 x 90 and 200 x 100" in mistake(
        photos, "evaluate", "--restored", "theirs", "--blurry", "photos"
    )
    said = mistake(photos, "evaluate", "--no-weights", "--blurry", "photos")
    assert said == (
        "cdg-eval: yard: 200 x 90 pixels are too few for NIQE, which needs two blocks of 96 x 96; leave this picture "
        "out"
    )


def test_plain_pictures_have_no_score_and_do_not_count(photos: Path) -> None:
    for folder in ("photos/walk/1.png", "theirs/walk/1_restored.png"):
        frames.write(photos / folder, np.full((100, 200, 3), 90, np.uint8))
    done = call(photos, "evaluate", "--restored", "theirs", "--blurry", "photos", "--out", "scores", "--json")

    answer = json.loads(done.stdout)
    known = [row["niqe"] for row in answer["rows"] if row["niqe"] is not None]
    assert len(known) == 2 and answer["mean"]["niqe"] == pytest.approx(np.mean(known))
    page = (photos / "scores" / "report.html").read_text(encoding="utf-8")
    assert 'id="example-2"' in page and 'id="example-3"' not in page


def test_a_missing_pyiqa_is_answered_with_the_extra(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    said = mistake(photos, "evaluate", "--restored", "theirs", "--measure", "musiq")
    assert said == "cdg-eval: pyiqa is not installed; run: pip install 'cdgnet[iqa]'"
