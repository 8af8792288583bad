"""The page of a run: what it says, and that it says it alone."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from pipelines.train import loop, page, runs
from pipelines.train.settings import TrainingConfig
from pipelines.train.validation import read_pictures
from prep.io import files

CONFIG = TrainingConfig(
    preset="tiny", steps=4, batch=2, crop=32, workers=0, log_every=1, val=("GOPR0002",), val_every=1
)


@pytest.fixture(scope="module")
def folder(train_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / 'a "<script>alert(1)</script>'.replace("/", "_")
    run = runs.prepare(CONFIG, [train_pack], folder)
    list(loop.train(run, Fabric(accelerator="cpu", devices=1)))
    return folder


def test_the_page_needs_no_other_file_and_shows_curves_scores_and_settings(folder: Path) -> None:
    text = page.write(folder).read_text(encoding="utf-8")

    titles = re.findall(r'<h2 id="chart-\d+">([^<]+)</h2>', text)
    assert titles == [
        *("Validation", "Training loss", "Share of each branch in the total loss"),
        *("Learning rate", "Sampling offsets", "Speed"),
    ]
    assert "default-src 'none'" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    scores = [row for row in files.read_rows(folder / "log.jsonl") if "val_psnr" in row]
    assert f"{scores[-1]['val_psnr']:.2f} dB" in text
    assert "<dt>--learning-rate</dt><dd>0.0001</dd>" in text and "<dt>--crop</dt><dd>32 pixels</dd>" in text


def test_the_settings_hold_no_value_that_was_not_given_and_no_checksum(folder: Path) -> None:
    text = page.write(folder).read_text(encoding="utf-8")

    assert "pack_crc32" in (folder / "run.json").read_text() and "null" in (folder / "run.json").read_text()
    assert "crc32" not in text and "None" not in text


def test_a_hostile_name_is_text(folder: Path) -> None:
    assert "<script>alert(1)" not in page.write(folder).read_text(encoding="utf-8")


def test_the_pictures_are_those_of_the_frames_held_out(folder: Path) -> None:
    shown = list(read_pictures(folder))

    assert [key for key, _, _ in shown] == ["GOPR0002_00_00/000001", "GOPR0002_00_00/000002"]
    for _, pictures, _ in shown:
        assert {name: picture.shape for name, picture in pictures.items()} == {
            **dict.fromkeys(("blurry", "restored", "sharp", "small", "large"), (64, 80, 3)),
            "mask": (64, 80),
            **dict.fromkeys(("small_attention", "large_attention"), (16, 20)),
        }


def test_what_went_wrong_is_told(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    files.append_rows(copy / "log.jsonl", [{"step": 4, "skipped": ["clip/1", "clip/1"]}])
    files.append_rows(copy / "log.jsonl", [{"step": 2, "went_back_from": 4, "factor": 0.5}])

    text = page.write(copy).read_text(encoding="utf-8")

    assert "step 4: skipped, the loss was not finite or far above the usual; frames: clip/1<" in text
    assert "step 4: went back to step 2, learning rate multiplied by 0.5" in text


def test_a_network_of_one_branch_has_a_page_too(train_pack: Path, tmp_path: Path) -> None:
    run = runs.prepare(replace(CONFIG, variant="dmphn-1", steps=1), [train_pack], tmp_path / "r")
    list(loop.train(run, Fabric(accelerator="cpu", devices=1)))

    text = page.write(tmp_path / "r").read_text(encoding="utf-8")

    assert "restored" in text and "attention of the small branch" not in text


def test_tensorboard_gets_every_row_and_the_pictures(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'cdgnet[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from pipelines.train.tensorboard import TensorBoardLog

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    log = TensorBoardLog(copy, start=0)
    rows = files.read_rows(copy / "log.jsonl")
    for row in rows:
        log.add(row)
    log.close()

    events = EventAccumulator(str(copy / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [row["step"] for row in rows if "loss" in row]
    assert "GOPR0002_00_00/000001/restored" in events.Tags()["images"]
