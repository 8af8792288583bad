"""Checkpoints: whole, the last few, one to fall back to; readable by their keys for ever."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_runs import CONFIG, cpu, curve, log_rows, train

from pipelines.errors import TrainingError
from pipelines.train import checkpoints, runs
from pipelines.train.learner import set_up


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, checkpoint_minutes=0.0)
    train(train_pack, tmp_path / "whole", config)
    train(train_pack, tmp_path / "r", config, stop_after=5)
    damage(tmp_path / "r" / "checkpoints" / "step-00000005.pt")

    prepared = runs.prepare(config, [train_pack], tmp_path / "r")
    assert (prepared.start, len(prepared.damaged_checkpoints)) == (4, 1)
    assert "step-00000005.pt cannot be read (" in prepared.damaged_checkpoints[0]
    train(train_pack, tmp_path / "r", config)

    assert curve(tmp_path / "r") == curve(tmp_path / "whole")


def test_where_all_checkpoints_are_damaged_the_newest_is_named(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=1))
    (tmp_path / "r" / "checkpoints" / "step-00000001.pt").write_bytes(b"PK rubbish")

    with pytest.raises(TrainingError, match=r"step-00000001\.pt cannot be read .* nor any before it"):
        runs.prepare(CONFIG, [train_pack], tmp_path / "r")


def test_the_last_checkpoints_are_kept(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, checkpoint_minutes=0.0, keep=2))

    assert checkpoints.saved_steps(tmp_path / "r") == [5, 6]


def test_a_full_disk_leaves_the_checkpoints_before(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=2))

    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train(train_pack, tmp_path / "r")

    monkeypatch.undo()
    assert runs.prepare(CONFIG, [train_pack], tmp_path / "r").start == 2
    assert not list((tmp_path / "r").rglob("*.part"))


def test_weights_that_are_not_finite_are_never_saved(train_pack: Path, tmp_path: Path) -> None:
    prepared = runs.prepare(CONFIG, [train_pack], tmp_path / "r")
    learner = set_up(prepared, cpu())
    with torch.no_grad():
        next(learner.network.parameters()).fill_(torch.nan)

    learner.save()

    assert checkpoints.saved_steps(tmp_path / "r") == []


def test_a_checkpoint_of_the_keys_that_releases_wrote_goes_on(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, val=("GOPR0002",), val_every=100, average=0.9)
    train(train_pack, tmp_path / "r", config, stop_after=3)
    path = tmp_path / "r" / "checkpoints" / "step-00000003.pt"
    written = torch.load(path, weights_only=True)
    keys = ("network", "optimizer", "averaged", "precision")
    state = {"step": 3, "strikes": 0, "factor": 0.5, "went_back_to": 1, "best": 99.0, "owes_validation": True}
    assert written.keys() == {
        *state,
        *keys,
        "has_warned",
        "seconds",
        "plan",
        "usual_loss",
    }  # releases before wrote none of these
    torch.save({**state, **{key: written[key] for key in keys}}, path)

    train(train_pack, tmp_path / "r", config)

    new = log_rows(tmp_path / "r")[2:]
    assert [row["step"] for row in new if "val_psnr" in row] == [3, 6]  # the one that was due, and the last
    assert {row["learning_rate"] for row in new if "loss" in row} == {5e-5}
    last = checkpoints.load(tmp_path / "r")
    assert last and (last["step"], last["factor"], last["went_back_to"], last["best"]) == (6, 0.5, 1, 99.0)
    assert not (tmp_path / "r" / "best.safetensors").exists()  # no validation was better
