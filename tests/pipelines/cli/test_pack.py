"""``cdg-prep pack``, ``remask`` and ``verify``."""

import json
import os
import shutil
from pathlib import Path

import h5py
import pytest
from commands import call, mistake

from prep.datasets import layouts
from prep.io import frames


def test_a_dry_run_says_what_would_be_and_writes_nothing(work: Path) -> None:
    before = sorted(work.rglob("*"))

    done = call(work, "prep", "pack", "gopro", "--crop", "48", "--dry-run", "--method", "laplacian")

    assert done.returncode == 0, done.stderr
    assert "gopro.h5 would contain 24 crops of 48 x 48 from 6 frames" in done.stdout
    assert sorted(work.rglob("*")) == before


def test_a_pack_straight_from_the_archive(gopro: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", gopro.parent, gopro.name)

    done = call(tmp_path, "prep", "pack", "gopro", "--crop", "48")

    assert done.returncode == 0, done.stderr
    assert "24 of 24 crops correct" in call(tmp_path, "prep", "verify", "gopro.h5").stdout
    assert {path.name for path in tmp_path.iterdir()} == {"GOPRO_Large.zip", "masks", "gopro.h5"}


def test_a_missing_sharp_frame_stops_the_pack_unless_told_otherwise(own: Path) -> None:
    (own / "GOPRO_Large/train/GOPR0001_00_00/sharp/000002.png").unlink()

    line = mistake(own, "prep", "pack", "gopro", "--crop", "32")

    assert "1 frame without a partner" in line
    assert "blur/000002.png" in line
    assert call(own, "prep", "pack", "gopro", "--crop", "32", "--skip-orphans").returncode == 0


@pytest.mark.parametrize("kind", ["blur", "sharp"])
def test_a_truncated_png_is_named(own: Path, kind: str) -> None:
    path = own / f"GOPRO_Large/train/GOPR0001_00_00/{kind}/000002.png"
    path.write_bytes(path.read_bytes()[:700])

    done = call(own, "prep", "pack", "gopro", "--crop", "32")

    assert done.returncode == 1
    assert f"{kind}/000002.png is damaged: the PNG ends early, at byte 700" in done.stderr
    assert not (own / "gopro.h5").exists()


def test_sizes_that_differ_in_a_pair_are_named(own: Path) -> None:
    path = own / "GOPRO_Large/train/GOPR0001_00_00/sharp/000002.png"
    frames.write(path, frames.read(path)[:-2])

    assert "make both the same size" in mistake(own, "prep", "pack", "gopro", "--crop", "32")


def test_a_crop_larger_than_the_frame_is_refused_before_masks_are_made(work: Path) -> None:
    line = mistake(work, "prep", "pack", "gopro")

    assert "a crop of 512 x 512 pixels does not fit into a frame of 80 x 64" in line
    assert not (work / "masks").exists()


def test_whole_frames_of_several_sizes_are_packed_and_scored_as_they_are(own: Path, weights: Path) -> None:
    for number, pair in enumerate(layouts.find(own).pairs):
        for role, source in (("blur", pair.blurry), ("gt", pair.sharp)):
            pixels = frames.read(source)[: 64 - 8 * number, 8 * number :]
            frames.write(own / "RealBlur" / "RealBlur-J_x" / "scene001" / role / f"{role}_{number}.png", pixels)
        frame = f"RealBlur-J_x/scene001/{{0}}/{{0}}_{number}.png"
        with (own / "RealBlur" / "RealBlur_J_test_list.txt").open("a") as lists:
            lists.write(f"{frame.format('gt')} {frame.format('blur')} \n")

    done = call(own, "prep", "pack", "realblur", "--split", "test", "--crop", "frame", "--method", "laplacian")

    assert "2 whole frames of several sizes, padded to 80 x 64" in done.stdout
    assert "2 of 2 crops correct" in call(own, "prep", "verify", "realblur-test.h5").stdout
    assert json.loads(call(own, "prep", "info", "realblur-test.h5", "--json").stdout)["format"] == "cdgnet-pack 2"
    scores = [
        json.loads(call(own, "evaluate", "--weights", weights, *place, "--json").stdout)["rows"]
        for place in (("--h5", "realblur-test.h5"), ("--root", "RealBlur"))
    ]
    names = ("key", "psnr", "psnr_blurry", "ssim", "mask_share")
    assert [[row[name] for name in names] for row in scores[0]] == [[row[name] for name in names] for row in scores[1]]


def test_a_crop_that_is_no_number_is_one_line(work: Path) -> None:
    assert "'big' is neither a number of pixels (1 or more) nor 'frame'" in mistake(
        work, "prep", "pack", "gopro", "--crop", "big"
    )


def test_a_pack_is_never_replaced_unasked(work: Path) -> None:
    assert call(work, "prep", "pack", "gopro", "--crop", "48").returncode == 0
    before = (work / "gopro.h5").read_bytes()

    said = mistake(work, "prep", "pack", "gopro", "--crop", "40")
    assert "gopro.h5 exists, with crop (48, 48) instead of (40, 40); use --force to replace it" in said
    assert (work / "gopro.h5").read_bytes() == before
    assert call(work, "prep", "pack", "gopro", "--crop", "40", "--force").returncode == 0
    assert (work / "gopro.h5").read_bytes() != before


def test_a_finished_pack_is_left_alone_until_its_frames_change(own: Path) -> None:
    words = ("prep", "pack", "gopro", "--crop", "48")
    first = call(own, *words)
    before = (own / "gopro.h5").stat()

    again = call(own, *words)

    assert again.returncode == 0 and "gopro.h5 is finished; use --force to make it again" in again.stdout
    assert again.stdout.splitlines()[-2:] == first.stdout.splitlines()[-2:], "the next commands"
    assert (own / "gopro.h5").stat() == before
    frame = min(own.rglob("sharp/*.png"))
    os.utime(frame, ns=(before.st_mtime_ns + 1, before.st_mtime_ns + 1))
    assert f"gopro.h5 exists, but {frame.relative_to(own)} is newer; use --force" in mistake(own, *words)
    frame.unlink()
    frame.parent.with_name("blur").joinpath(frame.name).unlink()
    assert "gopro.h5 exists, with other frames; use --force" in mistake(own, *words)


def test_not_even_force_replaces_what_is_no_pack(gopro: Path, train_pack: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", gopro.parent, gopro.name)
    before = (tmp_path / "GOPRO_Large.zip").read_bytes()
    (tmp_path / "folder").mkdir()

    for words in (("pack", "gopro"), ("remask", train_pack, "--mu", "0.9")):
        said = mistake(tmp_path, "prep", *words, "--out", "GOPRO_Large.zip", "--force")
        assert "GOPRO_Large.zip exists and is not a pack; choose another --out" in said
        assert "folder is a folder" in mistake(tmp_path, "prep", *words, "--out", "folder", "--force")
    assert (tmp_path / "GOPRO_Large.zip").read_bytes() == before


def test_verify_ends_with_a_status_and_names_the_crop(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "p.h5").write_bytes(train_pack.read_bytes())
    with h5py.File(tmp_path / "p.h5", "r+") as file:
        file["sharp"][3] = 255 - file["sharp"][3]

    done = call(tmp_path, "prep", "verify", "p.h5")

    assert done.returncode == 1
    assert "crop 3 (GOPR0001_00_00/000001 at y 16, x 32): the checksum differs" in done.stderr


def test_any_two_folders_make_a_pack(gopro: Path, tmp_path: Path) -> None:
    clip = gopro / "train" / "GOPR0001_00_00"
    folders = ["--blurry", clip / "blur", "--sharp", clip / "sharp"]

    assert call(tmp_path, "prep", "pack", "pairs", *folders, "--crop", "frame").returncode == 0
    assert json.loads(call(tmp_path, "prep", "info", "pairs.h5", "--json").stdout)["split"] == "all"
    assert "add --sharp DIR" in mistake(tmp_path, "prep", "pack", "pairs", "--blurry", clip / "blur")


def test_a_pack_is_thresholded_again_without_its_frames(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "old.h5").write_bytes(train_pack.read_bytes())

    done = call(tmp_path, "prep", "remask", "old.h5", "--mu", "0.5", "--out", "new.h5")

    assert done.returncode == 0, done.stderr
    assert "new.h5: 24 crops" in done.stdout
    assert "mu = 0.5" in done.stdout
    assert "24 of 24 crops correct" in call(tmp_path, "prep", "verify", "new.h5").stdout
    again = call(tmp_path, "prep", "remask", "old.h5", "--mu", "0.5", "--out", "new.h5")
    assert again.returncode == 0 and "new.h5 is finished" in again.stdout
    said = mistake(tmp_path, "prep", "remask", "old.h5", "--mu", "1", "--out", "new.h5")
    assert "new.h5 exists, with mu 0.5 instead of 1.0; use --force" in said
