"""``cdg-prep synth`` as a person types it: from raw frames to scores, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from commands import call, mistake

from prep.datasets import layouts
from prep.io import frames

TRAIN = ["--preset", "tiny", "--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0", "--val", "none"]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """``raw`` with two clips at a high rate, of which one repeats a frame."""
    rng = np.random.default_rng(0)
    for clip in ("GOPR0001_11_00", "GOPR0002_11_00"):
        wide = np.kron(rng.integers(0, 256, (12, 40, 3)).astype(np.uint8), np.ones((8, 8, 1), np.uint8))
        starts = [0, 2, 2, *range(4, 58, 2)]
        for number, start in enumerate(starts, 1):
            frames.write(
                tmp_path / "raw" / clip / f"{number:06}.png", np.ascontiguousarray(wide[:, start : start + 96])
            )
    return tmp_path / "raw"


def test_from_raw_frames_to_scores_against_the_extent_in_one_go(raw: Path) -> None:
    said = ""
    for name, *words in (
        ("prep", "synth", "raw", "--window", "9", "--test-share", "0.5", "--out", "made"),
        ("prep", "masks", "--root", "made", "--method", "extent", "--out", "masks"),
        ("prep", "pack", "gopro", "--root", "made", "--masks", "masks", "--crop", "48"),
        ("train", "--h5", "gopro.h5", "--out", "run", *TRAIN),
        ("evaluate", "--weights", "run/weights.safetensors", "--root", "made", "--masks", "masks", "--out", "scores"),
    ):
        done = call(raw.parent, name, *words)
        assert done.returncode == 0, (words, done.stderr)
        said += done.stdout

    assert said.count("30 frames, 1 repeated frame left out: 3 pairs") == 2
    assert "6 pairs in made; cdg-prep masks --root made --method extent makes masks of their extents" in said
    assert "PSNR by the length of the blur" in said and "│ 8 to 16 " in said
    assert "masks by extent, mu 0.96" in said


def test_gamma_goes_into_the_folder_that_gopro_has_for_it(raw: Path) -> None:
    done = call(raw.parent, "prep", "synth", "raw", "--response", "gamma", "--out", "made")

    assert "cdg-prep masks --root made --variant blur_gamma --method extent" in done.stdout
    assert {path.name for path in (raw.parent / "made" / "train" / "GOPR0001_11_00").iterdir() if path.is_dir()} == {
        "blur_gamma", "sharp", "extent",
    }  # fmt: skip


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(raw: Path) -> None:
    done = call(raw.parent, "prep", "synth", "raw", "--window", "7", "--out", "made", "--dry-run")

    assert "train/GOPR0001_11_00: 30 frames, 1 repeated frame left out: 4 pairs" in done.stdout
    assert "8 pairs for made; nothing done: --dry-run" in done.stdout
    assert not (raw.parent / "made").exists()


def test_photographs_are_shaken_on_request(raw: Path) -> None:
    rng = np.random.default_rng(1)
    frames.write(raw.parent / "photos" / "my_photo.png", rng.integers(0, 256, (90, 120, 3), np.uint8))
    words = ("synth", "photos", "--photos", "--size", "80x64", "--count", "3", "--region", "5-9", "--out", "made")

    done = call(raw.parent, "prep", *words)

    assert done.stdout.startswith("3 pairs in made"), done.stderr
    made = sorted((raw.parent / "made" / "train" / "my-photo" / "blur").iterdir())
    assert [path.name for path in made] == ["000001.png", "000002.png", "000003.png"]
    assert frames.read(made[0]).shape == (64, 80, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is not there; pass a video, or a folder of frames"),
        (["raw", "--window", "8"], "a window of 8 to 8 frames has no middle one; pass odd numbers, as 7-13"),
        (["raw", "--window", "9-x"], "9-x is neither a number nor a range; wanted for instance 7-13"),
        (["raw", "--window", "1"], "1: wanted two rising numbers from 3, for instance 7-13"),
        (["raw", "--window", "99"], "no 99 frames in motion lie behind each other; pass a smaller --window"),
        (["raw", "--response", "raw"], "--response raw is no file; pass linear, gamma, or a file"),
        (["raw", "--out", "raw/made"], "raw/made lies inside raw, which is read; pass an --out elsewhere"),
        (["raw", "--count", "3"], "--count is not for recordings; pass --photos, or leave it out"),
        (["raw", "--photos", "--window", "9"], "--window is not for photographs; leave it out"),
        (["raw", "--photos", "--size", "12x40"], "12x40 is no size; wanted for instance 1280x720, at least 16x16"),
        (
            ["raw", "--photos", "--size", "640x480"],
            "photograph is 96 x 96 pixels; wanted at least 640 x 480 (width x height); pass a smaller",
        ),
    ],
)
def test_what_cannot_be_made_is_one_line(raw: Path, words: list[str], said: str) -> None:
    line = mistake(raw.parent, "prep", "synth", *(["--out", "made"] if "--out" not in words else []), *words)

    assert said in line


def test_a_tilt_keeps_the_camera_near_the_horizontal(tmp_path: Path) -> None:
    """A sideways motion changes nothing of stripes that lie."""
    stripes = np.where(np.arange(160) // 4 % 2, 220, 30).astype(np.uint8)[:, None, None]
    frames.write(tmp_path / "photos" / "a.png", np.ascontiguousarray(np.broadcast_to(stripes, (160, 200, 3))))
    words = ("prep", "synth", "photos", "--photos", "--count", "6", "--size", "120x100", "--camera", "12-12")
    change = {}
    for tilt in (0, 90):
        done = call(tmp_path, *words, "--region", "0-0", "--tilt", tilt, "--out", f"at{tilt}")
        assert done.returncode == 0, done.stderr
        pairs = layouts.find(tmp_path / f"at{tilt}").pairs
        blurs = [np.abs(frames.read(pair.blurry).astype(int) - frames.read(pair.sharp)).mean() for pair in pairs]
        assert len(blurs) == 6
        change[tilt] = np.mean(blurs)
    assert change[0] < change[90] / 2
    assert "recordings; pass --photos" in mistake(tmp_path, "prep", "synth", "photos", "--tilt", "5", "--out", "other")
