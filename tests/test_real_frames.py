"""The main job on real GoPro frames, where a copy of some lies at hand."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from plain_ssim import ssim3d_by_scipy
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cdgnet import CDGNet, ModelConfig, psnr
from cdgnet.export import Program, to_onnx
from pipelines.evaluate.frame_sources import PictureFrames
from pipelines.evaluate.measures import measure_frame
from pipelines.packs import to_tensor
from prep.datasets import layouts
from prep.io import frames
from prep.synthesis import from_recordings, output, recordings
from prep.synthesis.camera import Camera
from prep.synthesis.recipes import RecordingRecipe
from prep.synthesis.response import GAMMA, LINEAR, Response

DATA = Path(os.environ.get("CDG_DATA", Path(__file__).parents[2] / "shared" / "data"))
GOPRO = DATA / "GOPRO_Large"
pytestmark = pytest.mark.skipif(not GOPRO.is_dir(), reason=f"no real frames in {DATA}; set CDG_DATA to a copy")


def call(folder: Path, name: str, *words: object) -> str:
    command = [sys.executable, "-c", f"from pipelines.cli.{name} import main; main()", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_blurry_test_frames_score_as_published_for_them() -> None:
    pairs = layouts.find(GOPRO).select("test")

    scores = {
        pair.key: float(psnr(*(to_tensor(frames.read(path))[None] for path in (pair.blurry, pair.sharp))))
        for pair in pairs
    }

    assert len(scores) == 7
    assert scores["GOPR0384_11_00/000001"] == pytest.approx(24.05, abs=0.005)
    assert torch.tensor(list(scores.values())).mean() == pytest.approx(25.32, abs=0.005)


def similarity(one: np.ndarray, other: np.ndarray, **options: bool) -> Any:
    return structural_similarity(
        one, other, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, **options
    )


@pytest.mark.slow
def test_every_blurry_frame_scores_as_plain_code_says_and_not_as_the_usual_slips_do() -> None:
    scenes = PictureFrames("gopro", layouts.find(GOPRO).select("all"), None)
    errors, psnrs = [], []
    for number in range(len(scenes)):
        scene = scenes[number]
        assert scene.blurry is not None
        row = measure_frame(scene, scene.blurry, torch.device("cpu"))
        blurry, sharp = (picture.permute(1, 2, 0).numpy() for picture in (scene.blurry, scene.sharp))
        assert row["psnr"] == pytest.approx(peak_signal_noise_ratio(sharp, blurry), abs=1e-4)
        assert row["ssim"] == pytest.approx(similarity(sharp, blurry), abs=1e-4)
        assert row["ssim_matlab3d"] == pytest.approx(ssim3d_by_scipy(blurry, sharp), abs=1e-4)
        if number == 0:
            with_border = similarity(sharp, blurry, full=True)[1].mean()
            assert abs(float(row["ssim"]) - with_border) > 1e-4
            assert abs(float(row["ssim_matlab3d"]) - float(row["ssim"])) > 1e-2
            half_lost = (blurry.astype(float) / 255 * 255 - 0.5).clip(0).astype(np.uint8)  # truncated, not rounded
            assert abs(float(row["psnr"]) - peak_signal_noise_ratio(sharp, half_lost)) > 1e-4
        errors.append(((blurry.astype(float) - sharp) ** 2).mean())
        psnrs.append(float(row["psnr"]))
    assert len(psnrs) == 11
    assert abs(np.mean(psnrs) - 10 * np.log10(255**2 / np.mean(errors))) > 1e-4  # pooled over images


@pytest.mark.slow
def test_reds_and_its_plain_folders_pack_as_they_are(tmp_path: Path) -> None:
    clip = DATA / "REDS_x4_027"
    call(tmp_path, "prep", "pack", "reds", "--root", DATA)
    call(tmp_path, "prep", "pack", "pairs", "--blurry", clip / "blur", "--sharp", clip / "sharp", "--crop", "180")

    assert "48 of 48 crops correct" in call(tmp_path, "prep", "verify", "reds.h5")
    assert "200 of 200 crops correct" in call(tmp_path, "prep", "verify", "pairs.h5")


@pytest.mark.slow
def test_the_archive_packs_to_the_content_of_the_folder(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", DATA, "GOPRO_Large")
    for root, out in ((DATA, "folder.h5"), ("GOPRO_Large.zip", "zip.h5")):
        call(tmp_path, "prep", "pack", "gopro", "--root", root, "--masks", f"m-{out}", "--out", out)

    with h5py.File(tmp_path / "folder.h5") as folder, h5py.File(tmp_path / "zip.h5") as packed:
        assert set(folder) == set(packed)
        assert all(np.array_equal(folder[name][:], packed[name][:]) for name in folder)


@pytest.mark.slow
def test_the_main_job_on_real_frames(tmp_path: Path) -> None:
    call(tmp_path, "prep", "masks", "--root", GOPRO, "--mu", "0.96", "--out", "m")
    pack = ("prep", "pack", "gopro", "--root", GOPRO, "--masks", "m")
    call(tmp_path, *pack, "--out", "gopro.h5")
    call(tmp_path, *pack, "--split", "test", "--crop", "frame", "--out", "gopro-test.h5")
    assert "24 of 24 crops correct" in call(tmp_path, "prep", "verify", "gopro.h5")
    words = ("--preset", "tiny", "--steps", "20", "--batch", "2", "--crop", "64", "--out", "run")
    call(tmp_path, "train", "--h5", "gopro.h5", *words)
    weights = ("--weights", "run/weights.safetensors")
    scores = json.loads(call(tmp_path, "evaluate", *weights, "--h5", "gopro-test.h5", "--json"))
    photo = GOPRO / "test" / "GOPR0384_11_00" / "blur" / "000001.png"
    call(tmp_path, "deblur", photo, *weights, "--out", "out")

    with h5py.File(tmp_path / "gopro.h5") as file:
        mask, sharp = file["mask"][:], file["sharp"][:]
        assert np.array_equal(mask, file["sharpness"][:] / 65535 > 0.96)
        assert np.array_equal(file["sgt"][:], mask[..., None] * sharp)
        assert np.array_equal(file["sgt"][:] + file["lgt"][:], sharp)
    assert len(scores["rows"]) == 7
    assert scores["rows"][0]["key"] == "GOPR0384_11_00/000001"
    assert scores["rows"][0]["psnr_blurry"] == pytest.approx(24.05, abs=0.005)
    (table,) = (tmp_path / "run").rglob("results.csv")
    with table.open() as lines:
        assert len(list(csv.DictReader(lines))) == 8  # and the mean
    assert frames.read(tmp_path / "out" / "000001.png").shape == (720, 1280, 3)


@pytest.mark.slow
def test_onnxruntime_gives_what_torch_gives_of_a_real_frame() -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'cdgnet[export]'")
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset("paper")).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape))
    pair = layouts.find(GOPRO).select("test")[0]
    frame = to_tensor(frames.read(pair.blurry))[None, :, :357, :638] / 255 - 0.5

    session = onnxruntime.InferenceSession(to_onnx(Program(network)), providers=["CPUExecutionProvider"])
    (found,) = session.run(["restored"], {"blurry": frame.numpy()})

    with torch.no_grad():
        wanted = network(frame).restored
    assert float((wanted - frame).abs().mean()) > 0.01
    assert float((torch.from_numpy(found) - wanted).abs().max()) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("response", [LINEAR, GAMMA])
def test_windows_of_raw_frames_average_as_plain_float64_does(response: Response, tmp_path: Path) -> None:
    place = tmp_path / "raw" / "GOPR0477_11_00"
    place.mkdir(parents=True)
    for path in sorted((DATA / "GOPRO_Large_all" / "train" / "GOPR0477_11_00").iterdir())[:24]:
        (place / path.name).symlink_to(path)
    found = recordings.find([place])
    recipe = RecordingRecipe(shortest=11, longest=11, camera=Camera(response=response), limit=None)
    splits = output.begin(tmp_path / "made", recipe, [found[0].name], 0.0)
    surveys = list(recordings.survey(found, tmp_path / "made" / "survey", 2))

    list(from_recordings.make(from_recordings.plan(found, surveys, recipe, tmp_path / "made", splits), recipe, 2))

    made = layouts.find(tmp_path / "made", variant=output.variant(recipe.camera)).pairs
    assert len(made) == 2
    for pair, first in zip(made, (0, 11), strict=True):
        shots = [frames.read(path).astype(np.float64) / 255 for path in found[0].frames[first : first + 11]]
        wanted = 255 * np.mean([shot**response.power for shot in shots], axis=0) ** (1 / response.power)
        assert np.abs(frames.read(pair.blurry) - wanted).max() <= 0.51  # GoPro's own authors ask for one level
        assert np.array_equal(frames.read(pair.sharp), frames.read(found[0].frames[first + 5]))


@pytest.mark.slow
def test_psnr_of_blurry_test_frames_rises_as_the_blur_gets_shorter(tmp_path: Path) -> None:
    """In what ``cdg-eval`` prints first, without an option that says how."""
    call(tmp_path, "evaluate", "--root", GOPRO, "--out", "scores")
    ranges = json.loads((tmp_path / "scores" / "results.json").read_text())["by_extent"]["ranges"]
    psnrs = [each["psnr"] for each in ranges if each["to"] != "inf" and each["from"] < 32]
    assert [each["from"] for each in ranges][:4] == [0, 4, 8, 16]
    assert psnrs == sorted(psnrs, reverse=True) and psnrs[0] - psnrs[-1] > 5
