"""``cdg-prep synth`` as a person types it: from raw frames to scores, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import call, mistake
from films import write_film

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
    (tmp_path / "made.txt").write_text("no picture")
    return tmp_path / "raw"


@pytest.mark.slow
def test_from_raw_frames_to_scores_against_the_extent_in_one_go(raw: Path) -> None:
    said = ""
    for name, *words in (
        ("prep", "synth", "raw", "--window", "9", "--test-share", "0.5", "--out", "made"),
        ("prep", "masks", "--root", "made", "--method", "extent", "--out", "masks"),
        ("prep", "pack", "gopro", "--root", "made", "--masks", "masks", "--crop", "48"),
        ("train", "--h5", "made.h5", "--out", "run", *TRAIN),
        ("evaluate", "--weights", "run/weights.safetensors", "--root", "made", "--masks", "masks", "--out", "scores"),
    ):
        done = call(raw.parent, name, *words)
        assert done.returncode == 0, (words, done.stderr)
        said += done.stdout

    assert said.count("30 frames, 1 repeated frame left out: 3 pairs") == 2
    assert "6 pairs in made: 3 train, 3 test; frames of 96 x 96 pixels\n" in said
    assert "next: cdg-prep pack gopro --root made --method extent --mu 0.85 --crop 96\n" in said
    assert "PSNR by blur length" in said and "\n16 to 32 " in said  # 9 places, 2 pixels apart: 17.9
    assert "masks: extent, mu = 0.85" in said


def test_gamma_goes_into_the_folder_that_gopro_has_for_it_and_needs_no_variant(raw: Path) -> None:
    done = call(raw.parent, "prep", "synth", "raw", "--response", "gamma", "--out", "made")

    assert "cdg-prep pack gopro --root made --method extent" in done.stdout
    assert "gopro blur_gamma in made" in call(raw.parent, "prep", "info", "made").stdout
    masked = call(raw.parent, "prep", "masks", "--root", "made", "--method", "extent")
    assert masked.returncode == 0, masked.stderr
    assert (raw.parent / "masks" / "made").is_dir()  # not among those of GoPro itself
    assert {path.name for path in (raw.parent / "made" / "train" / "GOPR0001_11_00").iterdir() if path.is_dir()} == {
        "blur_gamma", "sharp", "extent",
    }  # fmt: skip


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(raw: Path) -> None:
    done = call(raw.parent, "prep", "synth", "raw", "--window", "7", "--out", "made", "--dry-run")

    assert "train/GOPR0001_11_00: 30 frames, 1 repeated frame left out: 4 pairs" in done.stdout
    assert "8 pairs would be made in made (--dry-run: nothing was written)" in done.stdout
    assert not (raw.parent / "made").exists()


def test_photographs_are_shaken_on_request(raw: Path) -> None:
    rng = np.random.default_rng(1)
    frames.write(raw.parent / "photos" / "my_photo.png", rng.integers(0, 256, (90, 120, 3), np.uint8))
    words = ("synth", "photos", "--photos", "--size", "80x64", "--count", "3", "--region", "5-9", "--out", "made")

    done = call(raw.parent, "prep", *words)

    assert done.stdout.startswith("3 pairs in made: 3 train; frames of 80 x 64 pixels\n"), done.stderr
    made = sorted((raw.parent / "made" / "train" / "my-photo" / "blur").iterdir())
    assert [path.name for path in made] == ["000001.png", "000002.png", "000003.png"]
    assert frames.read(made[0]).shape == (64, 80, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere does not exist; use a video or a folder of frames"),
        (["raw", "--window", "8"], "--window 8 has no middle frame; use odd numbers from 3, such as 7-13"),
        (["raw", "--window", "9-x"], "9-x is neither a number nor a range such as 7-13"),
        (["raw", "--window", "1"], "1 is not a whole number >= 3, or a range of them such as 7-13"),
        (["raw", "--window", "99"], "no recording has 99 moving frames in a row; use a smaller --window"),
        (["raw", "--response", "raw"], "--response raw is not a file; use linear, gamma, srgb, or a file"),
        (["raw", "--camera", "leica"], "--camera is leica; it must be one of none, gopro, phone, dslr"),
        (
            ["raw", "--shot-noise", "1e-3-1e-4"],
            "1e-3-1e-4 is not a number from 0 to 1, or a range of them such as 1e-4-1e-2",
        ),
        (["raw", "--jpeg", "90-101"], "90-101 is not a whole number from 1 to 100, or a range"),
        (["raw", "--photos", "--shake", "1e9"], "1e9 is not a number from 0 to 200, or a range"),
        (["raw", "--photos", "--regions", "1.5"], "1.5 is not a whole number from 0 to 20, or a range"),
        (["raw", "--highlights", "-1"], "-1 is not a number from 1 to 1000, or a range"),
        (["raw/GOPR0001_11_00", "a.mp4", "--photos"], "a.mp4 does not exist; use a photograph"),
        (["made.txt"], "made.txt is not a video; use a video or a folder of frames, or --photos for photographs"),
        (["made.txt", "--photos"], "made.txt is not a photograph; leave it out"),
        (["raw", "--out", "raw/made"], "raw/made is inside the input folder raw; choose an --out outside it"),
        (["raw", "--count", "3"], "--count is only for photographs; add --photos, or leave it out"),
        (["raw", "--photos", "--window", "9"], "--window is only for recordings; leave it out"),
        (["raw", "--photos", "--size", "12x40"], "each from 16 to 65536"),
        (
            ["raw", "--photos", "--size", "640x480"],
            "000001.png (96 x 96 pixels) and 59 other photographs are smaller than 640 x 480 (width x height); "
            "use a smaller --size, or leave out these photographs",
        ),
    ],
)
def test_what_cannot_be_made_is_one_line(raw: Path, words: list[str], said: str) -> None:
    line = mistake(raw.parent, "prep", "synth", *(["--out", "made"] if "--out" not in words else []), *words)

    assert said in line


def test_one_photograph_too_small_is_found_before_any_pair_is_made(tmp_path: Path) -> None:
    for name, width in (("a", 200), ("b", 100)):
        frames.write(tmp_path / "photos" / f"{name}.png", np.zeros((120, width, 3), np.uint8))
    words = ("prep", "synth", "photos", "--photos", "--size", "160x120", "--out", "made")

    line = mistake(tmp_path, *words)

    assert "photos/b.png (100 x 120 pixels) is smaller than 160 x 120 (width x height); use a smaller --size" in line
    assert not (tmp_path / "made").exists()
    assert "photos/b.png" in mistake(tmp_path, *words, "--dry-run")


def test_frames_of_several_sizes_give_a_crop_that_fits_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for name, (height, width) in {"train/a": (300, 340), "test/b": (260, 520)}.items():
        frames.write(tmp_path / "photos" / f"{name}.png", rng.integers(0, 256, (height, width, 3), np.uint8))

    done = call(tmp_path, "prep", "synth", "photos", "--photos", "--count", "1", "--out", "my pairs")

    assert "2 pairs in my pairs: 1 train, 1 test; frames of 2 sizes, the smallest 520 x 260" in done.stdout
    assert "--root 'my pairs' --method extent --mu 0.85 --crop 256\n" in done.stdout
    assert "cdg-train" not in done.stdout


def test_a_tilt_keeps_the_camera_near_the_horizontal(tmp_path: Path) -> None:
    """A sideways motion changes nothing of stripes that lie."""
    stripes = np.where(np.arange(160) // 4 % 2, 220, 30).astype(np.uint8)[:, None, None]
    frames.write(tmp_path / "photos" / "a.png", np.ascontiguousarray(np.broadcast_to(stripes, (160, 200, 3))))
    words = ("prep", "synth", "photos", "--photos", "--count", "6", "--size", "120x100", "--shake", "12")
    words = (*words, "--tremor", 0, "--roll", 0, "--zoom", 0, "--regions", 0)
    change = {}
    for tilt in (0, 90):
        done = call(tmp_path, *words, "--tilt", tilt, "--out", f"at{tilt}")
        assert done.returncode == 0, done.stderr
        pairs = layouts.find(tmp_path / f"at{tilt}").pairs
        blurs = [np.abs(frames.read(pair.blurry).astype(int) - frames.read(pair.sharp)).mean() for pair in pairs]
        assert len(blurs) == 6
        change[tilt] = np.mean(blurs)
    assert change[0] < change[90] / 2
    assert "--tilt is only for photographs; add --photos" in mistake(
        tmp_path, "prep", "synth", "photos", "--tilt", "5", "--out", "other"
    )


def test_a_share_of_one_source_and_a_changed_window_are_explained(raw: Path) -> None:
    words = ("prep", "synth", "raw/GOPR0001_11_00", "--out", "made")
    line = mistake(raw.parent, *words, "--window", "9", "--test-share", "0.2")
    assert "--test-share 0.2 of 1 source rounds to no test source; use a larger --test-share, or more inputs" in line
    assert not (raw.parent / "made").exists()

    assert call(raw.parent, *words, "--window", "9", "--test-share", "1").returncode == 0
    line = mistake(raw.parent, *words, "--window", "7")
    assert "made was made with --window 9 --test-share 1, not --window 7 --test-share 0; use the same settings" in line


def test_a_slow_recording_and_what_was_interpolated_are_said(tmp_path: Path) -> None:
    scene = np.kron(
        np.random.default_rng(0).integers(0, 256, (12, 60, 3)).astype(np.uint8), np.ones((8, 8, 1), np.uint8)
    )
    write_film(tmp_path / "a.mp4", [np.ascontiguousarray(scene[:, 7 * n : 7 * n + 128]) for n in range(24)])

    done = call(tmp_path, "prep", "synth", "a.mp4", "--window", "7", "--out", "made")
    never = call(tmp_path, "prep", "synth", "a.mp4", "--window", "7", "--interpolate", "0", "--out", "never")

    assert "a.mp4 has 29.97 frames per second, too few for realistic blur: 7 frames last 0.23 s" in done.stderr
    assert "interpolated frames in 3 of 3 pairs, up to 2 between two" in done.stdout
    assert "interpolated" not in never.stdout


def test_a_camera_and_its_parts_reach_the_recipe(raw: Path) -> None:
    words = ("--camera", "phone", "--no-mosaic", "--shot-noise", "1e-4-2e-3", "--bits", "12", "--jpeg", "80-95")
    done = call(raw.parent, "prep", "synth", "raw", *words, "--response", "linear", "--noisy-sharp", "--out", "made")

    assert done.returncode == 0, done.stderr
    options = json.loads((raw.parent / "made" / "synthesis.json").read_text())["options"]
    wanted = {
        "camera": "phone", "colour": "phone", "mosaic": "no", "shot-noise": "0.0001-0.002", "bits": "12",
        "jpeg": "80-95", "response": "linear", "highlights": "1.25-2.75", "noisy-sharp": "yes",
    }  # fmt: skip
    assert {name: options[name] for name in wanted} == wanted
