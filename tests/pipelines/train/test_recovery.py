"""Non-finite losses: skipped, and after three in a row the end or a step back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import CONFIG, log_rows, train, weights

from cdgnet.losses import Losses
from pipelines.errors import TrainingError
from pipelines.train import checkpoints, gradients
from prep.packs import reader


class Saboteur:
    """Makes the loss of chosen steps NaN, as a broken frame would, or so many times what it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: int, factor: float = torch.nan) -> None:
        self.steps, self.step, self.honest, self.factor = set(steps), 0, gradients.compute_losses, factor
        monkeypatch.setattr(gradients, "compute_losses", self.lose)

    def lose(self, *words: Any) -> Losses:
        self.step += 1
        losses = self.honest(*words)
        return Losses(*(each * self.factor for each in losses)) if self.step in self.steps else losses


def test_a_step_with_a_non_finite_loss_is_skipped_and_names_its_frames(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Saboteur(monkeypatch, 3)

    reports = train(train_pack, tmp_path / "r", replace(CONFIG, log_every=1))

    (row,) = (row for row in log_rows(tmp_path / "r") if "skipped" in row)
    assert (row["step"], len(row["skipped"]), len(reports)) == (3, 2, 6)
    assert set(row["skipped"]) <= set(reader.read_info(train_pack).keys)
    assert all(torch.isfinite(weight).all() for weight in weights(tmp_path / "r").values())


@pytest.mark.parametrize(
    ("loss", "factor", "skipped"),
    [("l2", 150.0, [3]), ("l2", 20.0, []), ("psnr", 2.5, [3]), ("psnr", 1.5, [])],  # psnr: 23 dB, exploded from 45
)
def test_a_step_whose_loss_has_exploded_is_skipped(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str, factor: float, skipped: list[int]
) -> None:
    Saboteur(monkeypatch, 3, factor=factor)

    train(train_pack, tmp_path / "r", replace(CONFIG, log_every=1, loss=loss))

    assert [row["step"] for row in log_rows(tmp_path / "r") if "skipped" in row] == skipped


def test_three_non_finite_losses_in_a_row_stop_the_run_and_keep_the_checkpoint(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(train_pack, tmp_path / "r", replace(CONFIG, steps=2))
    before = weights(tmp_path / "r")
    Saboteur(monkeypatch, *range(100))

    with pytest.raises(
        TrainingError, match=r"3 losses in a row were not finite, or exploded, up to step 5 .* use --divergence halve"
    ):
        train(train_pack, tmp_path / "r")

    assert checkpoints.saved_steps(tmp_path / "r") == [2]
    assert all(torch.equal(value, before[name]) for name, value in weights(tmp_path / "r").items())


def test_on_request_the_run_goes_back_and_on_with_half_the_rate(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, log_every=1, divergence="halve")
    train(train_pack, tmp_path / "r", replace(config, steps=2))
    Saboteur(monkeypatch, 1, 2, 3)

    reports = train(train_pack, tmp_path / "r", config)

    (rollback,) = (row for row in log_rows(tmp_path / "r") if "factor" in row)
    assert rollback == {"step": 2, "went_back_from": 5, "factor": 0.5}
    assert [report.step for report in reports] == [3, 4, 5, 3, 4, 5, 6]
    assert [row["learning_rate"] for row in log_rows(tmp_path / "r") if "loss" in row] == [1e-4] * 2 + [5e-5] * 4
    assert all(row["steps_per_second"] > 0 for row in log_rows(tmp_path / "r") if "loss" in row)


def test_a_checkpoint_that_diverges_again_gives_way_to_the_one_before_it(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, log_every=1, divergence="halve", checkpoint_minutes=0.0)
    Saboteur(monkeypatch, *range(4, 10))  # steps 4, 5, 6, and again after going back to 3

    train(train_pack, tmp_path / "r", config)

    (rollback,) = (row for row in log_rows(tmp_path / "r") if "factor" in row)
    assert rollback == {"step": 2, "went_back_from": 6, "factor": 0.25}
    assert [row["step"] for row in log_rows(tmp_path / "r") if "loss" in row] == [1, 2, 3, 4, 5, 6]


def test_a_divergence_before_anything_was_saved_says_so(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Saboteur(monkeypatch, *range(100))

    with pytest.raises(
        TrainingError, match="no good checkpoint was saved; start a new run with a lower --learning-rate"
    ):
        train(train_pack, tmp_path / "r")
    assert log_rows(tmp_path / "r")[-1]["gave_up"].startswith(
        "3 losses in a row were not finite, or exploded, up to step 3"
    )


def test_a_run_that_ends_without_finite_weights_fails_and_writes_none(train_pack: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=2, learning_rate=1e30, val=("GOPR0002",), val_every=1)

    with pytest.raises(
        TrainingError,
        match=r"the loss was not finite, or exploded, at step 2 .*no good checkpoint was saved; start a new run",
    ):
        train(train_pack, tmp_path / "r", config)

    assert not list((tmp_path / "r").rglob("*.safetensors")) and checkpoints.saved_steps(tmp_path / "r") == []


def test_a_loss_that_is_not_finite_at_the_end_goes_back_too(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, log_every=1, divergence="halve", checkpoint_minutes=0.0)
    Saboteur(monkeypatch, 6)

    train(train_pack, tmp_path / "r", config)

    (rollback,) = (row for row in log_rows(tmp_path / "r") if "factor" in row)
    assert rollback == {"step": 5, "went_back_from": 6, "factor": 0.5}
    assert checkpoints.saved_steps(tmp_path / "r")[-1] == 6
