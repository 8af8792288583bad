"""``cdg-deblur``: what it says and what it refuses."""

from pathlib import Path

import numpy as np
from commands import call, mistake

from cdgnet import PRETRAINED, read_metadata
from prep.io import frames


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


def test_the_weights_that_come_with_the_package_are_the_default_and_are_named(tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.full((20, 20), 9, np.uint8))

    done = call(tmp_path, "deblur", "a.png")

    assert f"weights: {read_metadata(PRETRAINED)['name']}, which come with cdgnet" in done.stderr
    assert (tmp_path / "restored" / "a.png").exists()


def test_before_and_after_is_drawn_beside_each_result_also_of_an_earlier_run(weights: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        frames.write(tmp_path / "in" / name, np.full((20, 20), 9, np.uint8))
    assert call(tmp_path, "deblur", "in", "--weights", weights).returncode == 0

    done = call(tmp_path, "deblur", "in", "--weights", weights, "--compare")

    assert done.returncode == 0
    assert sorted(path.name for path in (tmp_path / "restored").iterdir()) == [
        "a.png",
        "a.png.compare.jpg",
        "b.png",
        "b.png.compare.jpg",
    ]
