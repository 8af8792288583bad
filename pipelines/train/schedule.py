"""How long a run is, and what is due when: learning rates and validations by step."""

import math
import sys
from typing import NamedTuple

from pipelines.train.settings import TrainingConfig

_UNKNOWN = sys.maxsize  # steps of a run by the clock whose speed is not measured yet
_LOG_STEPS, _LOG_ENTRIES = 100, 20  # from entry to entry, and the fewest entries of a run
_PLANS = 20  # at least, of a run by the clock


class Plan(NamedTuple):
    """How far along its schedule a run is at each step.

    Of a run with a number of steps there is one plan, from 0 to its last step. A run by the clock (``hours``) makes a
    new one at every checkpoint, from the speed measured since the one before; progress continues from where it is, so
    the learning rate never jumps, and a checkpoint holds all that decides the steps up to the next.
    """

    steps: int = _UNKNOWN  # of the whole run
    start: int = 0  # the step at which the plan was made
    start_progress: float = 0.0  # of the schedule at that step, 0 to 1

    @property
    def is_measured(self) -> bool:
        """Whether the number of steps is known."""
        return self.steps < _UNKNOWN

    def progress(self, step: int) -> float:
        """The part of the schedule that is done after ``step`` steps, 0 to 1."""
        return self.start_progress + (1 - self.start_progress) * (step - self.start) / (self.steps - self.start)

    def revised(self, step: int, seconds_per_step: float, seconds_left: float) -> "Plan":
        """The plan of a run with ``step`` steps done and ``seconds_left`` seconds left; at least one step more.

        While there is time it never plans less than half of the steps that were left: a machine that stalled for a
        moment would end the run.
        """
        left = max(1, round(seconds_left / seconds_per_step))
        if self.is_measured and seconds_left > 0:
            left = max(left, (self.steps - step) // 2)
        return Plan(step + left, step, self.progress(step))


def total_steps(config: TrainingConfig, frames: int) -> int:
    """Steps of a run that is not by the clock, ``frames`` frames an epoch; the last batch may reach into the next."""
    if config.steps is not None:
        return config.steps
    return -(-config.epochs * frames // config.batch)


def first_plan(config: TrainingConfig, frames: int) -> Plan:
    """The plan that a new run begins with; of one by the clock, the speed is yet to be measured."""
    return Plan() if config.hours else Plan(total_steps(config, frames))


def checkpoint_seconds(config: TrainingConfig, plan: Plan) -> float:
    """The longest time between checkpoints. A run by the clock makes its plans there, the first after 1 %."""
    if config.hours is None:
        return 60 * config.checkpoint_minutes
    between = 3600 * config.hours / _PLANS if plan.is_measured else 36 * config.hours
    return min(60 * config.checkpoint_minutes, between)


def learning_rate(config: TrainingConfig, step: int, plan: Plan, frames: int) -> float:
    """The learning rate of the step that follows ``step`` steps, with ``frames`` frames an epoch."""
    rise = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    if config.schedule == "cosine":
        return float(config.learning_rate * rise * (1 + math.cos(math.pi * plan.progress(step))) / 2)
    epoch = step * config.batch // frames
    return float(config.learning_rate * rise * 0.5 ** (epoch // config.halve_every))


def validations(config: TrainingConfig, steps: int, frames: int) -> int:
    """How many validations fall into the first ``steps`` steps; that at the end of a run is not counted."""
    return min(steps, steps * config.batch // (config.val_every * frames))  # at most one a step


def is_log_due(config: TrainingConfig, step: int, plan: Plan) -> bool:
    """Whether step number ``step`` is logged: the first, the last, and each ``log_every``-th."""
    every = config.log_every or (max(1, min(_LOG_STEPS, plan.steps // _LOG_ENTRIES)))
    return step % every == 0 or step in (1, plan.steps)


def is_validation_due(config: TrainingConfig, step: int, frames: int) -> bool:
    """Whether step number ``step`` ends a stretch of ``val_every`` epochs."""
    return validations(config, step, frames) > validations(config, step - 1, frames)
