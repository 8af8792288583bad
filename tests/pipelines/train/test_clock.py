"""Runs by the clock: the plan follows the speed, the rate anneals with it, and a killed run goes on with it."""

from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from training_runs import CONFIG, cpu, curve, log_rows, train

from pipelines.train import checkpoints, loop, runs, schedule
from pipelines.train.clock import Clock
from pipelines.train.schedule import Plan
from pipelines.train.settings import TrainingConfig
from pipelines.train.state import TrainingState

HOUR = replace(CONFIG, steps=None, hours=1.0, schedule="cosine")


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run_steps(clock: Clock, state: TrainingState, watch: Watch, steps: int, seconds: float) -> None:
    for _ in range(steps):
        watch.now += seconds
        state.step += 1
        clock.tick()


def test_the_first_plan_is_made_of_the_speed_after_the_warm_up() -> None:
    watch, state = Watch(), TrainingState()
    clock = Clock(HOUR, state, cpu(), watch)

    run_steps(clock, state, watch, 5, 20.0)  # compiling
    run_steps(clock, state, watch, 10, 2.0)
    clock.plan()

    # By hand: 3600 s less 120 s spent are 1740 steps of 2 s, after the 15 done.
    assert state.plan == Plan(1755, 15, pytest.approx(0.0, abs=1e-9))


def test_a_slower_machine_is_planned_anew_and_progress_goes_on() -> None:
    watch, state = Watch(), TrainingState()
    clock = Clock(HOUR, state, cpu(), watch)
    run_steps(clock, state, watch, 105, 1.0)
    clock.plan()
    before = state.plan

    run_steps(clock, state, watch, 100, 4.0)
    clock.plan()

    # By hand: 3095 s of 4 s a step are 774; half of the 3395 steps that were left are 1697.
    assert state.plan.steps == 205 + max(774, (before.steps - 205) // 2) == 205 + 1697
    assert state.plan.progress(205) == before.progress(205)
    assert state.plan.progress(state.plan.steps) == pytest.approx(1)


@pytest.mark.parametrize("pace", [[1.0], [1.0, 3.0], [2.0, 0.5, 1.5, 1.0]])
def test_a_run_ends_within_two_per_cent_of_its_time_whatever_the_speed(pace: list[float]) -> None:
    watch, state, step = Watch(), TrainingState(), 0
    clock = Clock(HOUR, state, cpu(), watch)
    began = watch.now

    while state.step < state.plan.steps:
        run_steps(clock, state, watch, 1, pace[step // 400 % len(pace)])
        step += 1
        if clock.is_checkpoint_due:
            clock.plan()

    assert watch.now - began == pytest.approx(3600, rel=0.02)


def test_a_machine_that_stalls_for_a_minute_does_not_end_the_run() -> None:
    watch, state = Watch(), TrainingState()
    clock = Clock(HOUR, state, cpu(), watch)
    run_steps(clock, state, watch, 1005, 1.0)
    clock.plan()

    run_steps(clock, state, watch, 2, 60.0)
    clock.plan()

    assert state.plan.steps == 1007 + (3600 - 1007) // 2
    run_steps(clock, state, watch, 100, 1.0)
    clock.plan()
    assert state.plan.steps == 3600 - 120 + 2


def test_the_last_validation_is_in_the_time() -> None:
    watch, state = Watch(), TrainingState()
    clock = Clock(HOUR, state, cpu(), watch)
    run_steps(clock, state, watch, 10, 1.0)
    watch.now += 600
    clock.count_validation()
    run_steps(clock, state, watch, 10, 1.0)

    clock.plan()

    # By hand: 15 steps and a validation took 615 s since the warm-up; 3600 - 620 - 600 s are left.
    assert state.plan.steps == 20 + round(2380 / (615 / 15))


def test_time_is_kept_for_the_first_validation_before_one_is_measured() -> None:
    watch, state = Watch(), TrainingState()
    clock = Clock(HOUR, state, cpu(), watch, steps_per_validation=50.0)
    run_steps(clock, state, watch, 10, 2.0)

    clock.plan()

    # By hand: 3600 s less 20 s spent and 50 steps of 2 s for the validation are 1740 steps of 2 s.
    assert state.plan.steps == 10 + 1740


def test_the_time_left_counts_steps_and_validations_but_not_the_warm_up() -> None:
    watch, state = Watch(), TrainingState(plan=Plan(100))
    clock = Clock(CONFIG, state, cpu(), watch, steps_per_validation=4.0)
    run_steps(clock, state, watch, 5, 60.0)
    assert clock.seconds_left(2) is None

    run_steps(clock, state, watch, 5, 2.0)
    assert clock.seconds_left(2) == 90 * 2 + 2 * 4 * 2

    watch.now += 30
    clock.count_validation()
    run_steps(clock, state, watch, 1, 2.0)
    assert clock.seconds_left(1) == 89 * 2 + 30


def test_the_time_left_of_a_run_by_the_clock_is_what_the_clock_says() -> None:
    watch, state = Watch(), TrainingState()
    clock = Clock(HOUR, state, cpu(), watch)

    run_steps(clock, state, watch, 1, 600.0)

    assert clock.seconds_left(3) == 3000


@pytest.mark.slow
def test_a_run_by_the_clock_ends_by_itself_with_its_rate_at_the_end_of_the_cosine(
    train_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count()  # that pass each time the clock is read
    monkeypatch.setattr(loop, "Clock", partial(Clock, now=lambda: float(next(seconds))))
    config = replace(HOUR, hours=0.02, log_every=1)

    reports = train(train_pack, tmp_path / "r", config)

    rates = [row["learning_rate"] for row in log_rows(tmp_path / "r")]
    assert reports[0].steps is None and reports[-1].steps == reports[-1].step == len(rates)
    assert rates == sorted(rates, reverse=True)
    assert 15 < len(rates) < 45  # 72 seconds, of which each step takes two or three
    assert rates[0] == pytest.approx(1e-4) and rates[-1] < 2e-6
    assert runs.prepare(config, [train_pack], tmp_path / "r").is_done


def test_a_killed_run_goes_on_with_the_plan_of_its_checkpoint(train_pack: Path, tmp_path: Path) -> None:
    config = replace(HOUR, log_every=1)
    train(train_pack, tmp_path / "whole", config, stop_after=9)
    train(train_pack, tmp_path / "r", config, stop_after=4)
    checkpoint = checkpoints.load(tmp_path / "r")
    assert checkpoint and checkpoint["seconds"] > 0

    train(train_pack, tmp_path / "r", config, stop_after=5)

    assert curve(tmp_path / "r") == curve(tmp_path / "whole")
    assert runs.prepare(config, [train_pack], tmp_path / "r").seconds > checkpoint["seconds"]


def test_plans_and_seconds_are_kept_in_a_checkpoint() -> None:
    state = TrainingState(seconds=12.5, plan=Plan(100, 10, 0.25))

    restored = TrainingState()
    restored.load_state_dict(state.state_dict())

    assert restored == state


def test_a_run_of_steps_has_one_plan() -> None:
    watch, state = Watch(), TrainingState(plan=schedule.first_plan(CONFIG, 5))
    clock = Clock(CONFIG, state, cpu(), watch)

    run_steps(clock, state, watch, 6, 1.0)
    clock.plan()

    assert state.plan == Plan(6)


def test_other_hours_are_another_run(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "r", HOUR, stop_after=1)

    with pytest.raises(Exception, match=r"hours 1.0 \(now 2.0\)"):
        runs.prepare(replace(HOUR, hours=2.0), [train_pack], tmp_path / "r")


@pytest.mark.parametrize(
    ("given", "said"),
    [({"schedule": "halving"}, "make it cosine"), ({"steps": 5}, "hours and steps"), ({"hours": 0.0}, "from 0.001")],
)
def test_what_does_not_go_with_hours_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainingConfig(**{"hours": 1.0, "schedule": "cosine", **given})  # type: ignore[arg-type]
