"""Scores: a row an image, under the conventions of record."""

import csv
import math
import shutil
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from lightning_fabric import Fabric
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cdgnet import CDGNet, ModelConfig
from pipelines import errors
from pipelines.errors import EvaluationError
from pipelines.evaluate import by_extent, frame_sources, scores
from pipelines.evaluate.frame_sources import Masks, PackScenes, PictureScenes, Scenes
from pipelines.packs import read_crops
from pipelines.restore.restorer import Restorer
from prep.datasets import layouts
from prep.errors import FrameError
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MasksFolder


@pytest.fixture(scope="module")
def identity() -> Restorer:
    """A new residual network gives its input back."""
    return Restorer(CDGNet(ModelConfig.preset("tiny")), Fabric(accelerator="cpu", devices=1))


def scored(scenes: Scenes, folder: Path, restorer: Restorer | None = None) -> list[scores.Row]:
    done = scores.begin(folder, scenes.about)
    return [without_time(row) for row in scores.evaluate(scenes, folder, done, restorer)]


def without_time(row: scores.Row) -> scores.Row:
    return {name: value for name, value in row.items() if name != "seconds"}


def test_scores_agree_with_scikit_image(identity: Restorer, test_pack: Path, tmp_path: Path) -> None:
    rows = scored(PackScenes(test_pack), tmp_path, identity)

    for crop, row in zip(read_crops(test_pack), rows, strict=True):
        blurry, sharp = (picture.numpy().transpose(1, 2, 0) for picture in (crop.blurry, crop.sharp))
        similarity = structural_similarity(
            sharp, blurry, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert row["psnr_blurry"] == pytest.approx(peak_signal_noise_ratio(sharp, blurry), abs=1e-9)
        assert row["ssim_blurry"] == pytest.approx(similarity, abs=1e-6)
        error = (blurry.astype(float) - sharp)[crop.mask[0].numpy() == 1]
        assert row["psnr_m1_blurry"] == pytest.approx(10 * np.log10(255**2 / (error**2).mean()), abs=1e-9)


def test_the_components_errors_add_up_to_the_whole(identity: Restorer, test_pack: Path, tmp_path: Path) -> None:
    for row in scored(PackScenes(test_pack), tmp_path, identity):
        whole, small, large = (10 ** (-float(row[name]) / 10) for name in ("psnr", "psnr_m1", "psnr_m0"))
        share = float(row["mask_share"])
        assert share * small + (1 - share) * large == pytest.approx(whole, rel=1e-6)


def test_an_untrained_residual_network_scores_as_the_blurry_frame(
    identity: Restorer, test_pack: Path, tmp_path: Path
) -> None:
    rows = scored(PackScenes(test_pack), tmp_path, identity)

    assert len(rows) == 2
    for row in rows:
        for measure in scores.MEASURES[:-1]:  # all but LPIPS
            assert row[measure] == row[measure + "_blurry"]


def test_frames_of_a_pack_of_crops_are_scored_whole(train_pack: Path) -> None:
    found = PackScenes(train_pack)
    assert list(found.keys) == list(dict.fromkeys(crop.key for crop in read_crops(train_pack)))
    height, width = found[0].sharp.shape[1:]
    assert height > 48 and width > 48  # the crops' sides


def test_pairs_and_results_score_alike_where_their_pixels_are(identity: Restorer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a/000001", "a/000002"):
        sharp = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
        frames.write(tmp_path / "sharp" / f"{name}.png", sharp)
        frames.write(tmp_path / "blurry" / f"{name}.png", cv2.GaussianBlur(sharp, (0, 0), 2))
    dataset = layouts.find_pairs(tmp_path / "blurry", tmp_path / "sharp")
    masks = Masks(method="laplacian", mu=0.5)
    rows = scored(PictureScenes("pairs", dataset.pairs, masks), tmp_path / "network", identity)
    # What the untrained network gives back are the blurry frames: so do they score as somebody's results.
    results = frame_sources.results(tmp_path / "blurry", tmp_path / "sharp", tmp_path / "blurry", masks)
    for one, other in zip(scored(results, tmp_path / "results"), rows, strict=True):
        assert one == pytest.approx(other, nan_ok=True)
    alone = scored(frame_sources.results(tmp_path / "blurry", tmp_path / "sharp", None, masks), tmp_path / "alone")
    assert [list(row) for row in alone] == [["key", "psnr", "ssim", "ssim_matlab3d"]] * 2
    assert [row["psnr"] for row in alone] == [row["psnr"] for row in rows]


def test_a_result_without_its_sharp_or_blurry_frame_is_named(tmp_path: Path) -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    for name in ("restored/a.png", "restored/b.png", "sharp/a.png", "few/a.png", "both/a.png", "both/b.png"):
        frames.write(tmp_path / name, picture)
    masks = Masks(method="laplacian", mu=0.5)
    with pytest.raises(EvaluationError, match=r"b\.png has no sharp frame of its name"):
        frame_sources.results(tmp_path / "restored", tmp_path / "sharp", None, masks)
    with pytest.raises(EvaluationError, match="few holds no frame b"):
        frame_sources.results(tmp_path / "restored", tmp_path / "both", tmp_path / "few", masks)


def test_a_result_of_another_size_is_named(tmp_path: Path) -> None:
    frames.write(tmp_path / "restored" / "a.png", np.zeros((20, 30, 3), np.uint8))
    frames.write(tmp_path / "sharp" / "a.png", np.zeros((20, 20, 3), np.uint8))
    found = frame_sources.results(tmp_path / "restored", tmp_path / "sharp", None, Masks(method="lbp", mu=0.9))
    with pytest.raises(EvaluationError, match="are 30 x 20 and 20 x 20; wanted the same size"):
        found[0]


def test_what_is_scored_is_not_scored_again(identity: Restorer, test_pack: Path, tmp_path: Path) -> None:
    found = PackScenes(test_pack)
    whole = scored(found, tmp_path / "whole", identity)
    done = scores.begin(tmp_path / "part", found.about)
    next(scores.evaluate(found, tmp_path / "part", done, identity))  # and killed

    done = scores.begin(tmp_path / "part", found.about)
    left = [without_time(row) for row in scores.evaluate(found, tmp_path / "part", done, identity)]

    assert list(done) == [whole[0]["key"]]
    assert [*map(without_time, done.values()), *left] == whole


def test_several_processes_read_the_same(identity: Restorer, test_pack: Path, tmp_path: Path) -> None:
    found = PackScenes(test_pack)
    one = scored(found, tmp_path / "one", identity)
    done = scores.begin(tmp_path / "two", found.about)
    two = scores.evaluate(found, tmp_path / "two", done, identity, workers=2)
    assert [without_time(row) for row in two] == one


def test_a_folder_of_other_scores_or_other_files_is_refused(tmp_path: Path) -> None:
    scores.begin(tmp_path / "scores", {"mu": 0.9})
    with pytest.raises(errors.EvaluationError, match="holds scores of another mu; pass another --out"):
        scores.begin(tmp_path / "scores", {"mu": 0.8})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(errors.EvaluationError, match="holds other files"):
        scores.begin(tmp_path / "mine", {"mu": 0.9})


def test_equal_pictures_score_infinity_and_come_back_so(tmp_path: Path) -> None:
    frames.write(tmp_path / "restored" / "a.png", np.zeros((20, 30, 3), np.uint8))
    frames.write(tmp_path / "sharp" / "a.png", np.zeros((20, 30, 3), np.uint8))
    found = frame_sources.results(tmp_path / "restored", tmp_path / "sharp", None, Masks(method="lbp", mu=0.9))
    (row,) = scored(found, tmp_path / "scores")
    (again,) = scores.begin(tmp_path / "scores", found.about).values()
    assert (row["psnr"], again) == (math.inf, row)
    assert math.isnan(scores.interval([row], [math.inf]).low)


def rows_of(clips: int, frames_each: int, spread: float) -> list[scores.Row]:
    """Frames of a clip have one score, and clips scatter by ``spread``."""
    rng = np.random.default_rng(0)
    levels = rng.normal(30, spread, clips)
    places = product(range(clips), range(frames_each))
    return [{"key": f"{clip:02}/{frame}", "psnr": levels[clip]} for clip, frame in places]


def test_an_interval_counts_a_clip_of_like_frames_once() -> None:
    rows = rows_of(40, 25, 2.0)
    found = scores.interval(rows, [float(row["psnr"]) for row in rows])
    # The mean of 40 independent draws, by the normal law; counted by frames it would be a fifth of that.
    wanted = 1.96 * np.std([float(row["psnr"]) for row in rows]) / math.sqrt(40)
    assert (found.high - found.low) / 2 == pytest.approx(wanted, rel=0.1)
    assert found.of == "sequences"


def test_few_clips_give_an_interval_over_frames() -> None:
    rows = rows_of(2, 30, 1.0)
    assert scores.interval(rows, [float(row["psnr"]) for row in rows]).of == "frames"


def test_a_steady_gain_over_other_scores_is_told_from_none() -> None:
    rows = rows_of(10, 3, 2.0)
    rng = np.random.default_rng(1)
    other = {str(row["key"]): {**row, "psnr": float(row["psnr"]) - 0.3 + rng.normal(0, 0.01)} for row in rows}
    found = scores.against(rows, other)
    where = found.intervals["psnr"]
    assert 0.28 < where.low < found.means["psnr"] < where.high < 0.32
    assert (found.higher["psnr"], found.frames) == (30, 30)
    with pytest.raises(errors.EvaluationError, match="hold no 00/0"):
        scores.against(rows, {})


def test_the_authors_frames_are_thirty_a_clip_from_the_second_on() -> None:
    keys = [f"{clip}/{number:05}" for clip in ("a", "b") for number in range(1, 101)]
    chosen = scores.author_frames(keys)
    assert len(chosen) == 60
    assert (chosen[0], chosen[29]) == ("a/00002", "a/00097")


def test_scores_are_read_from_their_table(tmp_path: Path) -> None:
    row = {"key": "a/1", "psnr": 20.0, "psnr_m1": math.nan}
    scores.write_csv(tmp_path / "results.csv", [row])
    found = scores.read(tmp_path)
    assert list(found) == ["a/1"]
    assert (found["a/1"]["psnr"], math.isnan(float(found["a/1"]["psnr_m1"]))) == (20.0, True)
    (tmp_path / "results.csv").write_text("hello\nworld\n")
    with pytest.raises(errors.EvaluationError, match="holds no scores of cdg-eval"):
        scores.read(tmp_path)


def test_an_image_without_a_component_leaves_its_mean_alone() -> None:
    names = [measure + suffix for measure in scores.MEASURES for suffix in ("_blurry", "")]
    rows = [dict.fromkeys(names, 20.0), {**dict.fromkeys(names, 30.0), "psnr_m1": math.nan}]

    means = scores.mean(rows)

    assert means["psnr"] == 25
    assert means["psnr_m1"] == 20


def test_the_table_ends_with_the_mean_and_leaves_missing_scores_empty(tmp_path: Path) -> None:
    names = [measure + suffix for measure in scores.MEASURES for suffix in ("_blurry", "")]
    row = {"key": "a", "y": 0, "x": 0, "mask_share": 0.0, **dict.fromkeys(names, 20.0), "psnr_m1": math.nan}

    scores.write_csv(tmp_path / "results.csv", [row])

    with (tmp_path / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["key"] for line in lines] == ["a", "mean"]
    assert lines[0]["psnr_m1"] == ""
    assert float(lines[1]["psnr"]) == 20


def test_the_protocol_names_data_rules_and_masks(test_pack: Path) -> None:
    assert PackScenes(test_pack).protocol == (
        "gopro blur test: whole frames; RGB, rounded to 8 bits, mean over images; M by lbp at mu 0.96"
    )


def test_a_masks_folder_must_hold_the_frames_and_the_method(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("blurry", "sharp"):
        frames.write(tmp_path / kind / "a.png", rng.integers(0, 256, (40, 60, 3)).astype(np.uint8))
    dataset = layouts.find_pairs(tmp_path / "blurry", tmp_path / "sharp")
    plan = making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), making.recipe_of(dataset, "laplacian"), 0.5)
    list(making.make(plan, jobs=1))
    with pytest.raises(EvaluationError, match="holds maps by laplacian; pass --method laplacian"):
        Masks(method="lbp", mu=0.9, folder=MasksFolder(tmp_path / "m")).check(["a"])
    with pytest.raises(EvaluationError, match="holds no map of b and 1 others"):
        Masks(method="laplacian", mu=0.9, folder=MasksFolder(tmp_path / "m")).check(["a", "b", "c"])
    kept, made = (
        PictureScenes("", dataset.pairs, Masks(method="laplacian", mu=0.4, folder=folder))[0].mask
        for folder in (MasksFolder(tmp_path / "m"), None)
    )
    assert kept is not None and made is not None and kept.equal(made)


def test_the_extent_of_blur_is_read_where_a_data_set_keeps_it_and_measured_by_paired(
    identity: Restorer, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    for kind, image in (("blur", cv2.GaussianBlur(sharp, (0, 0), 2)), ("sharp", sharp)):
        frames.write(tmp_path / "set" / kind / "1.png", image)
    pairs = layouts.find_pairs(tmp_path / "set" / "blur", tmp_path / "set" / "sharp").pairs
    blind = PictureScenes("pairs", pairs, Masks(method="laplacian", mu=0.5))
    measured = PictureScenes("pairs", pairs, Masks(method="paired", mu=0.85))
    assert blind.extents == "" and blind[0].extent is None
    assert "paired" in measured.extents
    extent = measured[0].extent
    assert extent is not None and extent.shape == (1, 64, 96)
    assert 2 * math.sqrt(12) / 2 < float(extent.nanmedian()) < 2 * math.sqrt(12) * 2  # of a stroke of that deviation

    frames.write(tmp_path / "set" / "extent" / "1.png", np.full((64, 96), 5 * 256, np.uint16))
    known = PictureScenes("pairs", pairs, Masks(method="paired", mu=0.85))
    rows = scored(known, tmp_path / "scores", identity)
    (found,) = by_extent.pooled(rows)
    assert known.extents == "the data set's own maps"
    assert (found["from"], found["to"], found["pixels"]) == (4, 8, 64 * 96)
    assert found["psnr"] == pytest.approx(rows[0]["psnr"], abs=1e-9)  # one frame, all of it in one range


def test_extents_are_read_from_an_archive_and_only_where_every_frame_has_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("1", "2"):
        for kind in ("blur", "sharp"):
            frames.write(
                tmp_path / "set" / "test" / "clip" / kind / f"{name}.png", rng.integers(0, 256, (16, 16, 3), np.uint8)
            )
        frames.write(tmp_path / "set" / "test" / "clip" / "extent" / f"{name}.png", np.full((16, 16), 768, np.uint16))
    shutil.make_archive(str(tmp_path / "GOPRO_Large"), "zip", tmp_path / "set")
    pairs = layouts.find(tmp_path / "GOPRO_Large.zip").select("test")
    found = PictureScenes("gopro", pairs, None)
    extent = found[1].extent
    assert extent is not None and extent.unique().tolist() == [3]
    assert found.about["extents"] == "the data set's own maps" and "extents by" in found.protocol

    (tmp_path / "set" / "test" / "clip" / "extent" / "2.png").unlink()
    partly = PictureScenes("gopro", layouts.find(tmp_path / "set").select("test"), None)
    assert partly.extents == "" and partly[0].extent is None and "extents" not in partly.about


def test_a_map_of_extents_of_another_kind_is_refused(tmp_path: Path) -> None:
    frames.write(tmp_path / "1.png", np.zeros((8, 16), np.uint16))
    frames.write(tmp_path / "2.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(EvaluationError, match=r"1.png is \(8, 16\); wanted \(16, 16\); make it again"):
        frame_sources.read_extent(tmp_path / "1.png", (16, 16))
    with pytest.raises(FrameError, match=r"2.png is uint8 \(16, 16\); wanted a 16-bit grey map"):
        frame_sources.read_extent(tmp_path / "2.png", (16, 16))


def test_pixels_of_unknown_extent_count_nowhere(tmp_path: Path) -> None:
    frames.write(tmp_path / "1.png", np.array([[256, 65535]], np.uint16))
    (found,) = frame_sources.read_extent(tmp_path / "1.png", (1, 2))[0]
    assert found[0] == 1 and found[1].isnan()
