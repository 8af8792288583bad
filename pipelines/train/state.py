"""The state of a run: the part of a checkpoint that is not tensors."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.train.schedule import Plan

# Key in a checkpoint of each field of TrainingState. The keys may not change, or old runs could not be resumed.
_KEYS_ON_DISK = {
    "step": "step",
    "nonfinite_losses": "strikes",
    "learning_rate_factor": "factor",
    "rolled_back_to": "went_back_to",
    "best_psnr": "best",
    "is_validation_due": "owes_validation",
    "has_warned": "has_warned",
    "usual_loss": "usual_loss",
    "seconds": "seconds",
    "plan": "plan",
}


@dataclass(kw_only=True)
class TrainingState:
    """All that the loop remembers from step to step, except tensors."""

    step: int = 0  # steps done
    nonfinite_losses: int = 0  # non-finite or exploded losses in a row, up to the last step
    learning_rate_factor: float = 1.0  # halved by each rollback
    rolled_back_to: int = -1  # the step of the last rollback's checkpoint; -1 before the first rollback
    best_psnr: float | None = None  # highest of all validations, in dB; None before the first
    is_validation_due: bool = False  # whether the weights of this step are still to be validated
    has_warned: bool = False  # whether the run has warned that a branch's loss drowns the restoration
    usual_loss: float | None = None  # running mean of the logged losses; None before the first
    seconds: float = 0.0  # spent on steps, checkpoints and validations since the run began, over all restarts
    plan: Plan = field(default_factory=Plan)  # plan of the run's steps

    def state_dict(self) -> dict[str, Any]:
        """Return the fields in the form stored in a checkpoint."""
        fields = {key: getattr(self, name) for name, key in _KEYS_ON_DISK.items()}
        return {**fields, "plan": tuple(self.plan)}  # reading the class itself would require running code

    def load_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Set the fields from a checkpoint, which contains other entries too.

        Raises:
            ValueError: If the value of a field is not valid.
        """
        for name, key in _KEYS_ON_DISK.items():
            if key in checkpoint:
                if not _IS_FIT[name](checkpoint[key]):
                    raise ValueError(f"its {key} is {repr(checkpoint[key])[:40]}")
                setattr(self, name, checkpoint[key])
        self.plan = Plan(*self.plan)


def _is_whole(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value <= sys.maxsize


def _is_number(value: Any, least: float, most: float = sys.float_info.max) -> bool:
    return type(value) in (int, float) and least <= value <= most


def _is_plan(value: Any) -> bool:
    if not isinstance(value, tuple) or len(value) != len(Plan._fields):
        return False
    steps, start, progress = value
    return _is_whole(steps, 1) and _is_whole(start) and start < steps and _is_number(progress, 0, 1)


# Check of each field's value on disk, because a damaged checkpoint, or one of another program, may contain anything.
_IS_FIT: Mapping[str, Callable[[Any], bool]] = {
    "step": _is_whole,
    "nonfinite_losses": _is_whole,
    "learning_rate_factor": lambda value: _is_number(value, 0, 1),
    "rolled_back_to": lambda value: _is_whole(value, -1),
    "best_psnr": lambda value: (
        value is None or _is_number(value, 0, math.inf)
    ),  # an earlier release wrote inf for equal frames
    "is_validation_due": lambda value: isinstance(value, bool),
    "has_warned": lambda value: isinstance(value, bool),
    "usual_loss": lambda value: value is None or _is_number(value, -sys.float_info.max),
    "seconds": lambda value: _is_number(value, 0),
    "plan": _is_plan,
}
