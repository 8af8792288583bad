"""Frames in, a row of scores a frame out; what is scored is not scored again."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from candidates import begun
from lightning_fabric import Fabric
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cdgnet import CDGNet, ModelConfig
from cdgnet.metrics import PSNR_CEILING
from pipelines.evaluate import by_extent, frame_sources
from pipelines.evaluate.frame_sources import FrameSource, PackFrames, PictureFrames
from pipelines.evaluate.mask_source import MaskSource
from pipelines.evaluate.measures import MEASURES, FrameScores
from pipelines.evaluate.scores import score_frames
from pipelines.packs import read_crops
from pipelines.restore.restorer import Restorer
from prep.datasets import tree_pairs
from prep.io import frames
from prep.packs.reader import read_info


@pytest.fixture(scope="module")
def identity() -> Restorer:
    """A new residual network gives its input back."""
    return Restorer(CDGNet(ModelConfig.preset("tiny")), Fabric(accelerator="cpu", devices=1))


def scored(frames_: FrameSource, place: Path, restorer: Restorer | None = None) -> list[FrameScores]:
    return [without_time(row) for row in score_frames(frames_, [begun(frames_, place, restorer)])]


def without_time(row: FrameScores) -> FrameScores:
    return {name: value for name, value in row.items() if name not in ("seconds", "peak_megabytes")}


def test_scores_agree_with_scikit_image(identity: Restorer, test_pack: Path, tmp_path: Path) -> None:
    rows = scored(PackFrames(test_pack, MaskSource(method="lbp")), tmp_path, identity)

    for crop, row in zip(read_crops(read_info(test_pack)), rows, strict=True):
        blurry, sharp = (picture.numpy().transpose(1, 2, 0) for picture in (crop.blurry, crop.sharp))
        similarity = structural_similarity(
            sharp, blurry, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert row["psnr_blurry"] == pytest.approx(peak_signal_noise_ratio(sharp, blurry), abs=1e-9)
        assert row["ssim_blurry"] == pytest.approx(similarity, abs=1e-6)
        error = (blurry.astype(float) - sharp)[crop.mask[0].numpy() == 1]
        assert row["psnr_m1_blurry"] == pytest.approx(10 * np.log10(255**2 / (error**2).mean()), abs=1e-9)


def test_the_components_errors_add_up_to_the_whole(identity: Restorer, test_pack: Path, tmp_path: Path) -> None:
    for row in scored(PackFrames(test_pack), tmp_path, identity):
        whole, small, large = (10 ** (-float(row[name]) / 10) for name in ("psnr", "psnr_m1", "psnr_m0"))
        share = float(row["mask_share"])
        assert share * small + (1 - share) * large == pytest.approx(whole, rel=1e-6)


def test_an_untrained_residual_network_scores_as_the_blurry_frame(
    identity: Restorer, test_pack: Path, tmp_path: Path
) -> None:
    rows = scored(PackFrames(test_pack), tmp_path, identity)

    assert len(rows) == 2
    for row in rows:
        for measure in MEASURES[:-1]:  # all but LPIPS
            assert row[measure] == row[measure + "_blurry"]


def test_pairs_and_results_score_alike_where_their_pixels_are(identity: Restorer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a/000001", "a/000002"):
        sharp = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
        frames.write(tmp_path / "sharp" / f"{name}.png", sharp)
        frames.write(tmp_path / "blurry" / f"{name}.png", cv2.GaussianBlur(sharp, (0, 0), 2))
    dataset = tree_pairs.find_pairs(tmp_path / "blurry", tmp_path / "sharp")
    masks = MaskSource(method="laplacian", mu=0.5)
    rows = scored(PictureFrames("pairs", dataset.pairs, masks), tmp_path / "network", identity)
    # What the untrained network gives back are the blurry frames: so do they score as somebody's results.
    results = frame_sources.result_frames(tmp_path / "blurry", tmp_path / "sharp", tmp_path / "blurry", masks)
    for one, other in zip(scored(results, tmp_path / "results"), rows, strict=True):
        assert one == pytest.approx(other, nan_ok=True)
    alone = scored(
        frame_sources.result_frames(tmp_path / "blurry", tmp_path / "sharp", None, masks), tmp_path / "alone"
    )
    assert [list(row) for row in alone] == [["key", "psnr", "ssim", "ssim_matlab3d"]] * 2
    assert [row["psnr"] for row in alone] == [row["psnr"] for row in rows]


def test_a_handful_of_pixels_is_no_component(identity: Restorer, tmp_path: Path) -> None:
    """47 sharp pixels of a frame of GoPro once counted as much as all the small blur of another frame."""
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    extent = np.full((40, 50), 20 * 256, np.uint16)
    for count, name in ((19, "1"), (20, "2")):  # of 2000
        extent.flat[:count] = 0
        for kind, image in (("blur", cv2.GaussianBlur(sharp, (0, 0), 2)), ("sharp", sharp), ("extent", extent)):
            frames.write(tmp_path / "set" / kind / f"{name}.png", image)
    pairs = tree_pairs.find_pairs(tmp_path / "set" / "blur", tmp_path / "set" / "sharp").pairs
    below, enough = scored(
        PictureFrames("pairs", pairs, MaskSource(method="extent", mu=0.85)), tmp_path / "scores", identity
    )
    assert (below["mask_share"], enough["mask_share"]) == pytest.approx((0.0095, 0.01))
    assert math.isnan(below["psnr_m1_blurry"]) and not math.isnan(below["psnr_m0_blurry"])
    assert not math.isnan(enough["psnr_m1_blurry"])


def test_what_is_scored_is_not_scored_again(identity: Restorer, test_pack: Path, tmp_path: Path) -> None:
    pack_frames = PackFrames(test_pack)
    whole = scored(pack_frames, tmp_path / "whole", identity)
    next(score_frames(pack_frames, [begun(pack_frames, tmp_path / "part", identity)]))  # and killed

    candidate = begun(pack_frames, tmp_path / "part", identity)
    done = list(candidate.row_of.values())
    left = [without_time(row) for row in score_frames(pack_frames, [candidate])]

    assert [row["key"] for row in done] == [whole[0]["key"]]
    assert [*map(without_time, done), *left] == whole


def test_a_picture_that_was_replaced_is_scored_again_and_no_other(tmp_path: Path) -> None:
    """Results of another program were replaced, and the scores of the old ones shown as theirs."""
    rng = np.random.default_rng(0)
    for kind in ("restored", "sharp", "blurry"):
        for name in ("a", "b", "c"):
            frames.write(tmp_path / kind / f"{name}.png", rng.integers(0, 256, (40, 50, 3), np.uint8))

    def results() -> FrameSource:
        masks = MaskSource(method="laplacian", mu=0.5)
        return frame_sources.result_frames(tmp_path / "restored", tmp_path / "sharp", tmp_path / "blurry", masks)

    before = scored(results(), tmp_path / "scores")
    frames.write(tmp_path / "restored" / "b.png", frames.read(tmp_path / "sharp" / "b.png"))
    frames.write(tmp_path / "blurry" / "c.png", frames.read(tmp_path / "sharp" / "c.png"))
    (tmp_path / "restored" / "a.png").touch()

    again = scored(results(), tmp_path / "scores")

    assert [row["key"] for row in again] == ["b", "c"]
    assert (again[0]["psnr"], again[1]["psnr_blurry"]) == (PSNR_CEILING, PSNR_CEILING)
    assert again[1]["psnr"] == before[2]["psnr"]
    assert scored(results(), tmp_path / "scores") == []


def test_several_processes_read_the_same(identity: Restorer, test_pack: Path, tmp_path: Path) -> None:
    pack_frames = PackFrames(test_pack)
    one = scored(pack_frames, tmp_path / "one", identity)
    two = score_frames(pack_frames, [begun(pack_frames, tmp_path / "two", identity)], workers=2)
    assert [without_time(row) for row in two] == one


def test_equal_pictures_score_the_ceiling_and_come_back_so(tmp_path: Path) -> None:
    frames.write(tmp_path / "restored" / "a.png", np.zeros((20, 30, 3), np.uint8))
    frames.write(tmp_path / "sharp" / "a.png", np.zeros((20, 30, 3), np.uint8))
    results = frame_sources.result_frames(
        tmp_path / "restored", tmp_path / "sharp", None, MaskSource(method="lbp", mu=0.9)
    )
    (row,) = scored(results, tmp_path / "scores")
    (again,) = begun(results, tmp_path / "scores").rows(results)
    assert (row["psnr"], again) == (PSNR_CEILING, row)


def test_the_psnr_of_a_frame_of_one_extent_is_that_of_its_range(identity: Restorer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    extent = np.full((64, 96), 5 * 256, np.uint16)
    for kind, image in (("blur", cv2.GaussianBlur(sharp, (0, 0), 2)), ("sharp", sharp), ("extent", extent)):
        frames.write(tmp_path / "set" / kind / "1.png", image)
    pairs = tree_pairs.find_pairs(tmp_path / "set" / "blur", tmp_path / "set" / "sharp").pairs
    rows = scored(PictureFrames("pairs", pairs, None), tmp_path / "scores", identity)
    (of_range,) = by_extent.psnr_by_extent(rows)
    assert (of_range["from"], of_range["to"], of_range["pixels"]) == (4, 8, 64 * 96)
    assert of_range["psnr"] == pytest.approx(rows[0]["psnr"], abs=1e-9)
