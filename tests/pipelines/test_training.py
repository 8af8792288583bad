"""The loop: exact, resumable, never two runs in one folder."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from cdgnet import load_weights, read_metadata
from pipelines import training
from pipelines.settings import TrainingConfig
from pipelines.training import TrainingError

CONFIG = TrainingConfig(preset="tiny", steps=6, batch=2, crop=32, workers=0, log_every=2, val=())


def run(
    pack: Path, folder: Path, config: TrainingConfig = CONFIG, stop_after: int | None = None
) -> list[training.Tick]:
    plan = training.prepare(config, [pack], folder)
    ticks: list[training.Tick] = []
    fabric = Fabric(accelerator="cpu", devices=1)
    for tick in training.train(plan, fabric, lambda: stop_after is not None and len(ticks) + 1 >= stop_after):
        ticks.append(tick)
    return ticks


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def curve(folder: Path) -> list[Mapping[str, Any]]:
    times = ("images_per_second", "steps_per_second", "data_wait_share")
    return [{name: value for name, value in row.items() if name not in times} for row in rows(folder)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(folder / "weights.safetensors").state_dict()


def test_a_stopped_run_goes_on_to_the_same_curve_and_weights(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "whole")
    assert len(run(train_pack, tmp_path / "parts", stop_after=3)) == 3

    ticks = run(train_pack, tmp_path / "parts")

    assert [tick.step for tick in ticks] == [4, 5, 6]
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_rows_written_after_the_last_checkpoint_are_taken_back(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "whole")
    plan = training.prepare(CONFIG, [train_pack], tmp_path / "killed")
    ticks = training.train(plan, Fabric(accelerator="cpu", devices=1))
    for _ in range(5):
        next(ticks)
    ticks.close()  # as a kill: no checkpoint was due yet
    assert rows(tmp_path / "killed")[-1]["step"] == 4

    run(train_pack, tmp_path / "killed")

    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")


def test_worker_processes_give_the_same_batches(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=3)
    run(train_pack, tmp_path / "here", config)
    run(train_pack, tmp_path / "workers", replace(config, workers=2))

    assert curve(tmp_path / "here") == curve(tmp_path / "workers")


def test_every_logging_row_says_what_a_watcher_needs(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r")

    assert [row["step"] for row in rows(tmp_path / "r")] == [1, 2, 4, 6]
    row = rows(tmp_path / "r")[-1]
    assert row["loss"] == pytest.approx(
        row["loss_restored"] + 0.1 * row["loss_small"] + 0.1 * row["loss_large"], rel=1e-5
    )
    assert row["mean_offset"] > 0
    assert 0 <= row["data_wait_share"] <= 1
    assert row["images_per_second"] == pytest.approx(2 * row["steps_per_second"])


def test_validation_scores_the_held_out_recording_beside_the_blurry_one(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=2, val=("GOPR0002",), val_every=1))

    scored = [row for row in rows(tmp_path / "r") if "val_psnr" in row]
    assert [row["step"] for row in scored] == [2]
    assert scored[0]["val_crops"] == 2 * 4  # two frames of 64 x 80 in crops of 48
    assert abs(scored[0]["val_psnr"] - scored[0]["val_psnr_blurry"]) < 1


def test_the_loss_falls(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=30, learning_rate=5e-4, log_every=1))

    losses = [row["loss"] for row in rows(tmp_path / "r")]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_rate_is_halved_every_500_epochs_of_the_paper() -> None:
    config = TrainingConfig()

    rates = [training.rate_at(config, step, frames=2103) for step in (0, 175_000, 175_500, 1_051_000)]

    assert rates == [1e-4, 1e-4, 5e-5, 1e-4 / 32]


def test_the_paper_takes_1_05_million_steps_on_gopro() -> None:
    config = TrainingConfig()

    assert -(-config.epochs * 2103 // config.batch) == 1_051_500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rate": 1e-3}, r"learning_rate 0.0001 \(now 0.001\)"),
        ({"batch": 3}, r"batch 2 \(now 3\)"),
        ({"seed": 1}, r"seed 0 \(now 1\)"),
    ],
)
def test_two_runs_never_share_a_folder(train_pack: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    training.prepare(CONFIG, [train_pack], tmp_path / "r")

    with pytest.raises(TrainingError, match=said):
        training.prepare(replace(CONFIG, **change), [train_pack], tmp_path / "r")


def test_another_pack_is_another_run(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    training.prepare(CONFIG, [train_pack], tmp_path / "r")

    with pytest.raises(TrainingError, match="pack_crc32"):
        training.prepare(CONFIG, [test_pack], tmp_path / "r")


def test_a_longer_run_goes_on_in_the_same_folder(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=2))

    assert training.prepare(CONFIG, [train_pack], tmp_path / "r").start == 2


def test_a_folder_of_the_users_is_left_alone(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "thesis.tex").write_text("")

    with pytest.raises(TrainingError, match="holds files but no run of ours; pass another --out"):
        training.prepare(CONFIG, [train_pack], tmp_path / "r")


def test_a_dry_run_writes_nothing(train_pack: Path, tmp_path: Path) -> None:
    training.prepare(CONFIG, [train_pack], tmp_path / "r", keep=False)

    assert not (tmp_path / "r").exists()


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=2))
    before = (tmp_path / "r" / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(training, "to_range", lambda picture: picture.float() * torch.inf)

    with pytest.raises(TrainingError, match="the loss became nan; the last checkpoint"):
        run(train_pack, tmp_path / "r")

    assert (tmp_path / "r" / "checkpoint.pt").read_bytes() == before


def test_a_damaged_checkpoint_is_named(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=1))
    (tmp_path / "r" / "checkpoint.pt").write_bytes(b"PK rubbish")

    with pytest.raises(TrainingError, match=r"checkpoint\.pt cannot be read"):
        training.prepare(CONFIG, [train_pack], tmp_path / "r")


def test_the_weights_say_how_they_came_about(train_pack: Path, tmp_path: Path) -> None:
    run(train_pack, tmp_path / "r", replace(CONFIG, steps=1))

    about = read_metadata(tmp_path / "r" / "weights.safetensors")
    assert about["step"] == "1"
    assert json.loads(about["training"])["preset"] == "tiny"
