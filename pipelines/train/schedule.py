"""The schedule of a run: its number of steps, and the learning rate, log entries and validations by step."""

import math
import sys
from typing import NamedTuple

from pipelines.train.settings import TrainingConfig

_UNKNOWN = sys.maxsize  # steps of a run by the clock before its speed is measured
_LOG_STEPS, _LOG_ENTRIES = 100, 20  # most steps from entry to entry, and about the fewest entries per run
_PLANS = 20  # fewest plans of a run by the clock


class Plan(NamedTuple):
    """A run's progress along its schedule at each step.

    A run with a fixed number of steps has one plan, from 0 to its last step. A run by the clock (``hours``) makes a
    new plan at every checkpoint, from the speed measured since the previous one. Progress continues from its current
    value, so the learning rate never jumps, and a checkpoint contains all that decides the steps up to the next.
    """

    steps: int = _UNKNOWN  # of the whole run
    start: int = 0  # the step at which the plan was made
    start_progress: float = 0.0  # progress of the schedule at that step, 0 to 1

    @property
    def is_measured(self) -> bool:
        """Whether the number of steps is known."""
        return self.steps < _UNKNOWN

    def progress(self, step: int) -> float:
        """Return the part of the schedule that is done after ``step`` steps, 0 to 1."""
        return self.start_progress + (1 - self.start_progress) * (step - self.start) / (self.steps - self.start)

    def revised(self, step: int, seconds_per_step: float, seconds_left: float) -> "Plan":
        """Return the plan of a run with ``step`` steps done and ``seconds_left`` seconds left; at least one more step.

        While time is left, the plan keeps at least half of the remaining steps. Otherwise a machine that stalls for a
        moment would end the run.
        """
        left = max(1, round(seconds_left / seconds_per_step))
        if self.is_measured and seconds_left > 0:
            left = max(left, (self.steps - step) // 2)
        return Plan(step + left, step, self.progress(step))


def total_steps(config: TrainingConfig, frames: int) -> int:
    """Return the steps of a run that is not by the clock, with ``frames`` frames per epoch.

    The last batch may reach into the next epoch.
    """
    if config.steps is not None:
        return config.steps
    return -(-config.epochs * frames // config.batch)


def first_plan(config: TrainingConfig, frames: int) -> Plan:
    """Return the first plan of a new run; a run by the clock has yet to measure its speed."""
    return Plan() if config.hours else Plan(total_steps(config, frames))


def checkpoint_seconds(config: TrainingConfig, plan: Plan) -> float:
    """Return the longest time between checkpoints, in seconds.

    A run by the clock makes its plans at checkpoints, the first after 1 % of its time.
    """
    if config.hours is None:
        return 60 * config.checkpoint_minutes
    between = 3600 * config.hours / _PLANS if plan.is_measured else 36 * config.hours
    return min(60 * config.checkpoint_minutes, between)


def learning_rate(config: TrainingConfig, step: int, plan: Plan, frames: int) -> float:
    """Return the learning rate of the step that follows ``step`` steps, with ``frames`` frames per epoch."""
    rise = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    if config.schedule == "cosine":
        return float(config.learning_rate * rise * (1 + math.cos(math.pi * plan.progress(step))) / 2)
    epoch = step * config.batch // frames
    return float(config.learning_rate * rise * 0.5 ** (epoch // config.halve_every))


def validations(config: TrainingConfig, steps: int, frames: int) -> int:
    """Return how many validations fall into the first ``steps`` steps, not counting the one at the end of a run."""
    return min(steps, steps * config.batch // (config.val_every * frames))  # at most one per step


def is_log_due(config: TrainingConfig, step: int, plan: Plan) -> bool:
    """Return whether step number ``step`` is logged: the first, the last, and each ``log_every``-th."""
    every = config.log_every or (max(1, min(_LOG_STEPS, plan.steps // _LOG_ENTRIES)))
    return step % every == 0 or step in (1, plan.steps)


def is_validation_due(config: TrainingConfig, step: int, frames: int) -> bool:
    """Return whether a validation is due after step number ``step``: it is after every ``val_every`` epochs."""
    return validations(config, step, frames) > validations(config, step - 1, frames)
