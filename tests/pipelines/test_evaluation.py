"""Scores: a row an image, under the conventions of record."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cdgnet import CDGNet, ModelConfig
from pipelines import evaluation
from pipelines.data import read_crops


@pytest.fixture(scope="module")
def identity() -> CDGNet:
    """A new residual network gives its input back."""
    return CDGNet(ModelConfig.preset("tiny"))


def test_scores_agree_with_scikit_image(identity: CDGNet, test_pack: Path) -> None:
    rows = list(evaluation.evaluate(identity, test_pack, torch.device("cpu")))

    for crop, row in zip(read_crops(test_pack), rows, strict=True):
        blurry, sharp = (picture.numpy().transpose(1, 2, 0) for picture in (crop.blurry, crop.sharp))
        similarity = structural_similarity(
            sharp, blurry, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert row["psnr_blurry"] == pytest.approx(peak_signal_noise_ratio(sharp, blurry), abs=1e-9)
        assert row["ssim_blurry"] == pytest.approx(similarity, abs=1e-6)
        error = (blurry.astype(float) - sharp)[crop.mask[0].numpy() == 1]
        assert row["psnr_m1_blurry"] == pytest.approx(10 * np.log10(255**2 / (error**2).mean()), abs=1e-9)


def test_an_untrained_residual_network_scores_as_the_blurry_frame(identity: CDGNet, test_pack: Path) -> None:
    rows = list(evaluation.evaluate(identity, test_pack, torch.device("cpu")))

    assert len(rows) == 2
    for row in rows:
        for measure in evaluation.MEASURES:
            assert row[measure] == row[measure + "_blurry"]


def test_an_image_without_a_component_leaves_its_mean_alone() -> None:
    names = [measure + suffix for measure in evaluation.MEASURES for suffix in ("_blurry", "")]
    rows = [dict.fromkeys(names, 20.0), {**dict.fromkeys(names, 30.0), "psnr_m1": math.nan}]

    means = evaluation.mean(rows)

    assert means["psnr"] == 25
    assert means["psnr_m1"] == 20


def test_the_table_ends_with_the_mean_and_leaves_missing_scores_empty(tmp_path: Path) -> None:
    names = [measure + suffix for measure in evaluation.MEASURES for suffix in ("_blurry", "")]
    row = {"key": "a", "y": 0, "x": 0, "mask_share": 0.0, **dict.fromkeys(names, 20.0), "psnr_m1": math.nan}

    evaluation.write_csv(tmp_path / "results.csv", [row])

    with (tmp_path / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["key"] for line in lines] == ["a", "mean"]
    assert lines[0]["psnr_m1"] == ""
    assert float(lines[1]["psnr"]) == 20


def test_the_protocol_warns_where_crops_are_scored(train_pack: Path, test_pack: Path) -> None:
    assert "not comparable with whole frames" in evaluation.protocol(train_pack)
    assert evaluation.protocol(test_pack).startswith("gopro blur test: whole frames; RGB, rounded to 8 bits")
