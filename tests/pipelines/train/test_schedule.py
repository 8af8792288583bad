"""Learning rates and validations by step."""

from dataclasses import replace
from pathlib import Path

import pytest
from training_runs import CONFIG, log_rows, train

from pipelines.train import forecast, runs, schedule
from pipelines.train.schedule import Plan
from pipelines.train.settings import TrainingConfig


def test_the_rate_is_halved_every_500_epochs_of_the_paper() -> None:
    config = TrainingConfig()

    rates = [
        schedule.learning_rate(config, step, Plan(1_051_500), frames=2103) for step in (0, 175_000, 175_500, 1_051_000)
    ]

    assert rates == [1e-4, 1e-4, 5e-5, 1e-4 / 32]


def test_the_rate_rises_and_falls_along_half_a_cosine() -> None:
    config = TrainingConfig(schedule="cosine", warm_up=10)

    rates = [schedule.learning_rate(config, step, Plan(1000), frames=10) / 1e-4 for step in (0, 4, 500, 999)]

    # (1 + cos(pi t)) / 2, by hand: at the half 1/2, a thousandth before the end 2.5e-6.
    assert rates == pytest.approx([0.1, 0.5 * 0.99996, 0.5, 2.467e-6], rel=1e-3)


def test_the_paper_takes_1_05_million_steps_on_gopro() -> None:
    assert schedule.total_steps(TrainingConfig(), frames=2103) == 1_051_500


@pytest.mark.parametrize(
    ("every", "steps", "logged"),
    [
        (None, 40, list(range(2, 41, 2))),
        (None, 10, list(range(1, 11))),
        (None, 5000, list(range(100, 5001, 100))),
        (15, 40, [15, 30, 40]),
    ],
)
def test_a_short_run_is_logged_twenty_times_unless_it_is_asked_otherwise(
    every: int | None, steps: int, logged: list[int]
) -> None:
    config = TrainingConfig(log_every=every)

    found = [step for step in range(1, steps + 1) if schedule.is_log_due(config, step, Plan(steps))]

    assert found == sorted({1, *logged})


@pytest.mark.parametrize(("batch", "due"), [(2, [3, 6]), (4, [2, 3, 5, 6]), (12, [1, 2, 3, 4, 5, 6])])
def test_a_validation_is_due_after_the_step_that_ends_an_epoch(batch: int, due: list[int]) -> None:
    config = TrainingConfig(batch=batch, val_every=1)

    # By hand: of 6 frames, epochs end within samples 6, 12, 18, 24.
    assert [step for step in range(1, 7) if schedule.is_validation_due(config, step, frames=6)] == due


@pytest.mark.parametrize("batch", [2, 3, 5])
def test_as_many_validations_are_forecast_as_take_place(train_pack: Path, tmp_path: Path, batch: int) -> None:
    config = replace(CONFIG, steps=4, batch=batch, val=("GOPR0002",), val_every=1)
    prepared = runs.prepare(config, [train_pack], tmp_path / "r")

    train(train_pack, tmp_path / "r", config)

    made = [row for row in log_rows(tmp_path / "r") if "val_psnr" in row]
    assert forecast.validations_left(prepared, 0, 4) == len(made)
