"""Networks of other projects, at the commands that take weights."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from commands import call, mistake
from peer_networks import ARCHITECTURES, some_slow, write
from skimage.metrics import peak_signal_noise_ratio

from prep.arrays import Bytes

spandrel = pytest.importorskip("spandrel")
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")


def make_frames(folder: Path) -> tuple[Bytes, Bytes]:
    """A blurry and a sharp frame in ``blurry/`` and ``sharp/``, RGB."""
    sharp = np.random.default_rng(0).integers(0, 256, (45, 60, 3), np.uint8)
    sharp = cv2.resize(sharp, None, fx=1.5, fy=1.5)
    blurry = cv2.blur(sharp, (5, 1))
    for name, frame in (("blurry", blurry), ("sharp", sharp)):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / "1.png"), frame[:, :, ::-1])
    return blurry, sharp


def by_the_library(path: Path, blurry: Bytes) -> Bytes:
    """What spandrel itself makes of a file and a frame, rounded to 8 bits."""
    descriptor = spandrel.ModelLoader().load_from_state_dict(torch.load(path, weights_only=True))
    restored = descriptor(torch.from_numpy(blurry).permute(2, 0, 1)[None] / 255)
    return np.asarray((restored[0].permute(1, 2, 0) * 255).round().to(torch.uint8))


@pytest.mark.parametrize("name", some_slow(ARCHITECTURES))
def test_deblur_and_eval_take_published_weights_and_give_what_their_library_gives(tmp_path: Path, name: str) -> None:
    weights, (blurry, sharp) = write(tmp_path, name), make_frames(tmp_path)
    wanted = by_the_library(weights, blurry)

    done = call(tmp_path, "deblur", "blurry/1.png", "--weights", weights, "--out", "restored")

    assert done.returncode == 0, done.stderr
    restored = cv2.imread(str(tmp_path / "restored" / "1.png"))[:, :, ::-1]
    assert int(np.abs(restored.astype(int) - wanted).max()) <= 1  # a grey level

    words = ("--weights", weights, "--blurry", "blurry", "--sharp", "sharp", "--out", "scores", "--json")
    done = call(tmp_path, "evaluate", *words)

    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results["mean"]["psnr"] == pytest.approx(peak_signal_noise_ratio(sharp, wanted), abs=0.02)
    assert results["weights"]["network"].startswith(name.partition("-")[0])
    assert results["cost"]["honest_gmac"] > 0
    assert (tmp_path / "scores" / "report.html").exists()


def test_info_prices_published_weights(tmp_path: Path) -> None:
    done = call(tmp_path, "info", "--weights", write(tmp_path, "NAFNet"), "--size", "256x256")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "NAFNet, 8w; one frame of 256 x 256"
    assert lines[-1].split()[0] == "total" and "ptflops" not in done.stdout


def test_published_weights_have_no_card(tmp_path: Path) -> None:
    line = mistake(tmp_path, "info", "--card", "--weights", write(tmp_path, "NAFNet"))
    assert line.endswith("NAFNet.pth is of another project, and only weights of cdgnet have a card; leave out --card")


@pytest.mark.slow
def test_scores_in_tiles_have_a_folder_and_a_protocol_of_their_own(tmp_path: Path) -> None:
    weights, _ = write(tmp_path, "NAFNet"), make_frames(tmp_path)
    words = ("--weights", weights, "--blurry", "blurry", "--sharp", "sharp")
    whole = call(tmp_path, "evaluate", *words)
    tiled = call(tmp_path, "evaluate", *words, "--tile", "64")
    assert "larger than 192 x 192 restored in tiles of 64 pixels with 64 around, which is not the whole" in " ".join(
        tiled.stdout.split()
    )
    assert "in tiles" not in whole.stdout
    assert len(list((tmp_path / "eval").glob("blurry-*"))) == 2


def test_results_of_published_weights_are_not_taken_for_those_of_others(tmp_path: Path) -> None:
    make_frames(tmp_path)
    one, other = write(tmp_path, "NAFNet"), write(tmp_path, "Restormer")
    assert call(tmp_path, "deblur", "blurry/1.png", "--weights", one).returncode == 0
    line = mistake(tmp_path, "deblur", "blurry/1.png", "--weights", other)
    assert "restored/1.png was made with other weights" in line
