"""The time of a run: how much is left, when a checkpoint is due, and how many steps a run by the clock makes."""

import time
from collections.abc import Callable

import torch
from lightning_fabric import Fabric

from pipelines.train import schedule
from pipelines.train.agreement import reduce_over_devices
from pipelines.train.settings import TrainingConfig
from pipelines.train.state import TrainingState

_WARM_UP_STEPS = 5  # first steps of each process, not timed because they include compilation
_RECENT_STEPS = 100  # steps that the running mean of the pace covers


class Clock:
    """Counts the seconds of a run, also across restarts, and plans its steps from them.

    Args:
        config: Settings of the run.
        state: The state of the run, whose seconds and plan are kept up to date.
        fabric: Connects the processes, so that all make the same plan.
        now: Returns the time in seconds.
        steps_per_validation: Estimated duration of a validation, in steps, used until one is measured; 0 if there are
            no validations.
    """

    def __init__(
        self,
        config: TrainingConfig,
        state: TrainingState,
        fabric: Fabric,
        now: Callable[[], float] = time.monotonic,
        *,
        steps_per_validation: float = 0.0,
    ) -> None:
        self.config, self.state, self.fabric, self._now = config, state, fabric, now
        self._last_reading = self._saved_at = now()
        self._first_step = state.step
        self._validation_seconds: float | None = None  # duration of the last validation
        self._steps_per_validation = steps_per_validation
        self._measured_since: tuple[int, float] | None = None  # step and seconds where measuring began
        self._ticks, self._pace = 0, 0.0  # ticks of this process; seconds per step after the warm-up

    def tick(self) -> None:
        """Count the time since the last tick; called after each step."""
        seconds = self._read()
        self._ticks += 1
        if (counted := self._ticks - _WARM_UP_STEPS) > 0:
            self._pace += (seconds - self._pace) / min(counted, _RECENT_STEPS)
        if self._measured_since is None and self.state.step >= self._first_step + _WARM_UP_STEPS:
            self._measured_since = self.state.step, self.state.seconds

    def _read(self) -> float:
        """Add the seconds since the last reading to those of the run, and return them."""
        now = self._now()
        seconds = now - self._last_reading
        self.state.seconds += seconds
        self._last_reading = now
        return seconds

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether the last checkpoint is older than the longest time between checkpoints."""
        return self._now() - self._saved_at > schedule.checkpoint_seconds(self.config, self.state.plan)

    def seconds_left(self, validations: int) -> float | None:
        """Return the seconds left until the end of the run; None before the speed is measured.

        Args:
            validations: Number of validations still to come.
        """
        if self.config.hours is not None:
            return max(0.0, 3600 * self.config.hours - self.state.seconds)
        if not self._pace:
            return None
        steps = self.state.plan.steps - self.state.step
        return steps * self._pace + validations * self._seconds_per_validation(self._pace)

    def _seconds_per_validation(self, pace: float) -> float:
        """Return the seconds of the last validation; before the first, an estimate from the seconds per step."""
        measured = self._validation_seconds
        return self._steps_per_validation * pace if measured is None else measured

    def plan(self) -> None:
        """Plan the rest of a run by the clock from the speed since the previous plan; called before a checkpoint."""
        self._saved_at = self._now()
        state, since = self.state, self._measured_since
        if self.config.hours is None or since is None:
            return
        self._measured_since = state.step, state.seconds
        if state.step <= since[0]:  # the run was rolled back to a checkpoint
            return
        pace = (state.seconds - since[1]) / (state.step - since[0])
        left = 3600 * self.config.hours - state.seconds - self._seconds_per_validation(pace)
        pace, left = reduce_over_devices(torch.tensor([pace, left]), self.fabric).tolist()
        state.plan = state.plan.revised(state.step, pace, left)

    def count_validation(self) -> None:
        """Count the time of a validation that has ended; plans reserve as much for the one at the end of the run."""
        self._validation_seconds = self._read()
