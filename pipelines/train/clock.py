"""The time of a run: when a checkpoint is due, and, of a run by the clock (``hours``), how many steps it makes."""

import time
from collections.abc import Callable

import torch
from lightning_fabric import Fabric

from pipelines.train import schedule
from pipelines.train.agreement import reduce_over_devices
from pipelines.train.settings import TrainingConfig
from pipelines.train.state import TrainingState

_WARM_UP_STEPS = 5  # of each process: they compile, and say nothing about the speed


class Clock:
    """Counts the seconds of a run, from process to process, and plans its steps from them.

    Args:
        config: Of the run.
        state: Its seconds and its plan are kept up to date.
        fabric: All processes make the same plan.
        now: Gives the time, in seconds.
    """

    def __init__(
        self, config: TrainingConfig, state: TrainingState, fabric: Fabric, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.config, self.state, self.fabric, self._now = config, state, fabric, now
        self._last_reading = self._saved_at = now()
        self._first_step, self._validation_seconds = state.step, 0.0
        self._measured_since: tuple[int, float] | None = None  # steps and seconds of the run, after the warm-up

    def tick(self) -> None:
        """Count the time since the last tick; called after each step."""
        now = self._now()
        self.state.seconds += now - self._last_reading
        self._last_reading = now
        if self._measured_since is None and self.state.step >= self._first_step + _WARM_UP_STEPS:
            self._measured_since = self.state.step, self.state.seconds

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether the last checkpoint is as old as a checkpoint may become."""
        return self._now() - self._saved_at > schedule.checkpoint_seconds(self.config, self.state.plan)

    def plan(self) -> None:
        """Before a checkpoint: plan the rest of a run by the clock from the speed since the plan before."""
        self._saved_at = self._now()
        state, since = self.state, self._measured_since
        if self.config.hours is None or since is None:
            return
        self._measured_since = state.step, state.seconds
        if state.step <= since[0]:  # the run went back to a checkpoint
            return
        left = 3600 * self.config.hours - state.seconds - self._validation_seconds
        own = torch.tensor([(state.seconds - since[1]) / (state.step - since[0]), left])
        pace, left = reduce_over_devices(own, self.fabric).tolist()
        state.plan = state.plan.revised(state.step, pace, left)

    def count_validation(self) -> None:
        """Count a validation that has just ended; the one at the end of the run is allowed as much time."""
        before = self.state.seconds
        self.tick()
        self._validation_seconds = self.state.seconds - before
