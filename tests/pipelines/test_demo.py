"""The embedded default's data and pictures; `make demo` itself runs in CI."""

import json
from pathlib import Path

import numpy as np
import pytest

from cdgnet import CDGNet, ModelConfig
from pipelines import demo
from pipelines.packs import read_crops
from pipelines.train import runs


def test_no_photograph_is_in_both_splits_and_all_hold_a_frame() -> None:
    photos = demo.photographs()

    assert not set(photos["train"]) & set(photos["test"])
    for photo in (photo for split in photos.values() for photo in split.values()):
        assert photo.dtype == np.uint8
        assert photo.shape[0] > demo.SIZE[0]
        assert photo.shape[1] > demo.SIZE[1]


def test_examples_show_what_the_pack_holds_and_what_the_network_made(test_pack: Path) -> None:
    (example,) = demo.examples(CDGNet(ModelConfig.preset("tiny")), test_pack, [1])

    crop = list(read_crops(test_pack))[1]
    assert np.array_equal(example.sharp, crop.sharp.numpy().transpose(1, 2, 0))
    assert np.array_equal(example.restored, example.blurry)  # a new network is the identity
    assert example.psnr_restored == example.psnr_blurry


def test_the_curve_and_the_time_are_those_of_the_log(tmp_path: Path) -> None:
    rows = [
        {"step": 1, "loss": 3.0, "loss_restored": 1.0, "loss_small": 2.0, "loss_large": 4.0, "steps_per_second": 0.5},
        {"step": 1, "val_psnr": 20.0},
        {"step": 11, "loss": 2.0, "loss_restored": 0.5, "loss_small": 1.0, "loss_large": 2.0, "steps_per_second": 5.0},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert demo.curve(tmp_path / "log.jsonl") == [(1, 1.0, 2.0, 4.0), (11, 0.5, 1.0, 2.0)]
    assert runs.training_seconds(tmp_path) == pytest.approx(1 / 0.5 + 10 / 5)
