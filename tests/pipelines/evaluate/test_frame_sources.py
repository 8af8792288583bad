"""The frames that are scored: what pairs, which masks, where the extent of the blur is known from."""

import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipelines.errors import EvaluationError
from pipelines.evaluate import frame_sources, measures
from pipelines.evaluate.frame_sources import PackFrames, PictureFrames
from pipelines.evaluate.mask_source import MaskSource
from pipelines.packs import read_crops
from prep.datasets import layouts, tree_pairs
from prep.datasets.layouts import Pair
from prep.errors import DatasetError, FrameError, MaskError
from prep.io import frames
from prep.masks import making
from prep.masks.folder import MasksFolder
from prep.packs.reader import read_info


def test_frames_of_a_pack_of_crops_are_scored_whole(train_pack: Path) -> None:
    whole = PackFrames(train_pack)
    assert list(whole.keys) == list(dict.fromkeys(crop.key for crop in read_crops(read_info(train_pack))))
    height, width = whole[0].sharp.shape[1:]
    assert height > 48 and width > 48  # the crops' sides


def test_a_result_without_its_sharp_or_blurry_frame_is_named(tmp_path: Path) -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    for name in ("restored/a.png", "restored/b.png", "sharp/a.png", "few/a.png", "both/a.png", "both/b.png"):
        frames.write(tmp_path / name, picture)
    masks = MaskSource(method="laplacian", mu=0.5)
    with pytest.raises(DatasetError, match=r"1 frame without a partner in .*sharp, first .*b\.png"):
        frame_sources.result_frames(tmp_path / "restored", tmp_path / "sharp", None, masks)
    with pytest.raises(EvaluationError, match="few has no frame b"):
        frame_sources.result_frames(tmp_path / "restored", tmp_path / "both", tmp_path / "few", masks)


def test_errors_name_the_option_that_was_passed(tmp_path: Path) -> None:
    masks = MaskSource(method="laplacian", mu=0.5)
    with pytest.raises(DatasetError, match="--restored and --sharp are both"):
        frame_sources.result_frames(tmp_path, tmp_path, None, masks)
    with pytest.raises(DatasetError, match="none does not exist; --restored takes a folder"):
        frame_sources.result_frames(tmp_path / "none", tmp_path, None, masks)


def test_a_result_of_another_size_is_named(tmp_path: Path) -> None:
    frames.write(tmp_path / "restored" / "a.png", np.zeros((20, 30, 3), np.uint8))
    frames.write(tmp_path / "sharp" / "a.png", np.zeros((20, 20, 3), np.uint8))
    results = frame_sources.result_frames(
        tmp_path / "restored", tmp_path / "sharp", None, MaskSource(method="lbp", mu=0.9)
    )
    with pytest.raises(EvaluationError, match="are 30 x 20 and 20 x 20 pixels; both must have the same size"):
        results[0]


def test_the_protocol_names_data_rules_and_masks(test_pack: Path) -> None:
    rules = "gopro blur test: whole frames; RGB, rounded to 8 bits, mean over images; "
    assert PackFrames(test_pack, MaskSource(method="lbp")).protocol == rules + "M by lbp at mu 0.96"
    assert PackFrames(test_pack).protocol.startswith(
        rules + "M by paired at mu 0.85: 1 where blur is up to 6.2 pixels long; extents by S of paired"
    )


def test_a_masks_folder_must_hold_the_frames_and_the_method(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("blurry", "sharp"):
        frames.write(tmp_path / kind / "a.png", rng.integers(0, 256, (40, 60, 3)).astype(np.uint8))
    dataset = tree_pairs.find_pairs(tmp_path / "blurry", tmp_path / "sharp")
    plan = making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), making.recipe_of(dataset, "laplacian"), 0.5)
    list(making.make(plan, jobs=1))
    masks = MasksFolder(tmp_path / "m")
    with pytest.raises(EvaluationError, match=r"the masks in .* are by laplacian; use --method laplacian"):
        MaskSource(method="lbp", mu=0.9, folder=masks).check(["a"])
    with pytest.raises(EvaluationError, match="has no mask of b and 1 other frame"):
        MaskSource(method="laplacian", mu=0.9, folder=masks).check(["a", "b", "c"])
    kept, made = (
        PictureFrames("", dataset.pairs, MaskSource(method="laplacian", mu=0.4, folder=folder))[0].mask
        for folder in (masks, None)
    )
    assert kept is not None and made is not None and kept.equal(made)


def write_pair(folder: Path) -> list[Pair]:
    """One pair, blurred by a Gaussian of 2 pixels."""
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    for kind, image in (("blur", cv2.GaussianBlur(sharp, (0, 0), 2)), ("sharp", sharp)):
        frames.write(folder / kind / "1.png", image)
    return list(tree_pairs.find_pairs(folder / "blur", folder / "sharp").pairs)


def test_the_extent_of_blur_is_measured_by_paired_and_by_no_other_method(tmp_path: Path) -> None:
    pairs = write_pair(tmp_path)
    blind = PictureFrames("pairs", pairs, MaskSource(method="laplacian", mu=0.5))
    measured = PictureFrames("pairs", pairs, MaskSource(method="paired", mu=0.85))
    assert blind.extent_source == "" and blind[0].extent is None
    assert "paired" in measured.extent_source
    extent = measured[0].extent
    assert extent is not None and extent.shape == (1, 64, 96)
    assert 2 * math.sqrt(12) / 2 < float(extent.nanmedian()) < 2 * math.sqrt(12) * 2  # of a stroke of that deviation


def test_a_map_of_the_extent_goes_before_measuring_it(tmp_path: Path) -> None:
    pairs = write_pair(tmp_path)
    frames.write(tmp_path / "extent" / "1.png", np.full((64, 96), 5 * 256, np.uint16))
    known = PictureFrames("pairs", pairs, MaskSource(method="paired", mu=0.85))
    assert known.extent_source == "the data set's own maps"
    extent = known[0].extent
    assert extent is not None and extent.unique().tolist() == [5]


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
    archived = PictureFrames("gopro", pairs, None)
    extent = archived[1].extent
    assert extent is not None and extent.unique().tolist() == [3]
    assert archived.identity["extents"] == "the data set's own maps" and "extents by" in archived.protocol

    (tmp_path / "set" / "test" / "clip" / "extent" / "2.png").unlink()
    partly = PictureFrames("gopro", layouts.find(tmp_path / "set").select("test"), None)
    assert partly.extent_source == "" and partly[0].extent is None and "extents" not in partly.identity
    with pytest.raises(
        EvaluationError, match=r"clip/2 has no map of blur lengths \(extent/ beside sharp/\); use another --method"
    ):
        PictureFrames("gopro", layouts.find(tmp_path / "set").select("test"), MaskSource(method="extent"))


def test_a_map_of_extents_of_another_kind_is_refused(tmp_path: Path) -> None:
    frames.write(tmp_path / "1.png", np.zeros((8, 16), np.uint16))
    frames.write(tmp_path / "2.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(EvaluationError, match=r"1.png is 16 x 8 pixels and its frame 16 x 16; make the map again"):
        frame_sources.decode_extent((tmp_path / "1.png").read_bytes(), tmp_path / "1.png", (16, 16))
    with pytest.raises(FrameError, match=r"2.png is uint8 \(16, 16\), not a 16-bit grey map"):
        frame_sources.decode_extent((tmp_path / "2.png").read_bytes(), tmp_path / "2.png", (16, 16))


def test_pixels_of_unknown_extent_count_nowhere(tmp_path: Path) -> None:
    frames.write(tmp_path / "1.png", np.array([[256, 65535]], np.uint16))
    (row,) = frame_sources.decode_extent((tmp_path / "1.png").read_bytes(), tmp_path / "1.png", (1, 2))[0]
    assert row[0] == 1 and row[1].isnan()


def test_a_frame_smaller_than_the_window_of_ssim_is_named() -> None:
    tiny = torch.zeros(3, 9, 12, dtype=torch.uint8)
    frame = frame_sources.EvaluationFrame(key="clip/tiny", blurry=tiny, sharp=tiny, mask=None)

    with pytest.raises(EvaluationError, match="clip/tiny is 12 x 9 pixels, and SSIM needs at least 11 x 11"):
        measures.measure_frame(frame, tiny, torch.device("cpu"))


def test_masks_of_other_frames_of_the_same_names_are_refused(tmp_path: Path) -> None:
    dataset = tree_pairs.find_pairs(*(write_noise(tmp_path / "one" / kind, 1) for kind in ("b", "s")))
    plan = making.plan(dataset.pairs, MasksFolder(tmp_path / "m"), making.recipe_of(dataset, "laplacian"), 0.5)
    list(making.make(plan, jobs=1))
    other = tree_pairs.find_pairs(*(write_noise(tmp_path / "other" / kind, 2) for kind in ("b", "s")))

    masks = MaskSource(method="laplacian", mu=0.5, folder=MasksFolder(tmp_path / "m"))
    PictureFrames("", dataset.pairs, masks)
    with pytest.raises(MaskError, match="contains masks of another data set: a is of "):
        PictureFrames("", other.pairs, masks)


def write_noise(folder: Path, seed: int) -> Path:
    frames.write(folder / "a.png", np.random.default_rng(seed).integers(0, 256, (40, 60, 3)).astype(np.uint8))
    return folder
