"""The embedded default's data and pictures; `make demo` itself runs in CI."""

import json
from pathlib import Path

import numpy as np
import pytest

from cdgnet import CDGNet, ModelConfig
from pipelines import demo
from pipelines.packs import read_crops
from pipelines.pages.sheet import COLUMN, FOOT, GAP, HEAD, MARGIN
from pipelines.train import run_folder
from prep.masks.folder import MasksFolder
from prep.packs.reader import read_info


def test_no_photograph_is_in_both_splits_and_all_hold_a_frame() -> None:
    photos = demo.photographs()

    assert not set(photos["train"]) & set(photos["test"])
    for photo in (photo for split in photos.values() for photo in split.values()):
        assert photo.dtype == np.uint8
        assert photo.shape[0] > demo.SIZE[0]
        assert photo.shape[1] > demo.SIZE[1]


def test_the_picture_has_a_row_a_frame_and_shows_what_the_pack_holds(test_pack: Path) -> None:
    masks = MasksFolder(test_pack.parent / "masks")
    sheet = demo.picture(CDGNet(ModelConfig.preset("tiny")), test_pack, [0, 1], masks)

    first = next(iter(read_crops(read_info(test_pack))))
    height, top = round(COLUMN * first.sharp.shape[1] / first.sharp.shape[2]), GAP + HEAD
    assert len(sheet) == top + 2 * (height + FOOT)
    lefts = [MARGIN + (COLUMN + GAP) * place for place in range(5)]
    columns = [sheet[top : top + height, left : left + COLUMN] for left in lefts]
    assert np.array_equal(columns[0], columns[3])  # a new network is the identity
    assert not np.array_equal(columns[0], columns[4])
    assert np.array_equal(columns[1], columns[2])  # the masks given to compare with are the pack's own here


def test_the_seconds_of_a_training_are_those_of_its_log(tmp_path: Path) -> None:
    rows = [
        {"step": 1, "loss": 3.0, "steps_per_second": 0.5},
        {"step": 1, "val_psnr": 20.0, "val_psnr_blurry": 19.0, "val_frames": 1},
        {"step": 11, "loss": 2.0, "steps_per_second": 5.0},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert run_folder.training_seconds(tmp_path) == pytest.approx(1 / 0.5 + 10 / 5)
