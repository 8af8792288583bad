"""Where a run is: the part of a checkpoint that is not tensors."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.train.schedule import Plan

# By what name a checkpoint holds each field of TrainingState; those on disk may not change, or old runs cannot go on.
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
    """All that the loop remembers from step to step, other than tensors."""

    step: int = 0  # steps done
    nonfinite_losses: int = 0  # or exploded ones, in a row, the last step's included
    learning_rate_factor: float = 1.0  # halved by each rollback
    rolled_back_to: int = -1  # the step of the last rollback's checkpoint; -1 before the first rollback
    best_psnr: float | None = None  # of all validations, in dB; None before the first
    is_validation_due: bool = False  # of this step's weights
    has_warned: bool = False  # that a branch's loss drowns the restoration
    usual_loss: float | None = None  # the mean of the logged ones, recent ones more; None before the first
    seconds: float = 0.0  # spent on steps, checkpoints and validations, by all processes that went on with the run
    plan: Plan = field(default_factory=Plan)  # of its steps

    def state_dict(self) -> dict[str, Any]:
        """The fields as a checkpoint holds them."""
        fields = {key: getattr(self, name) for name, key in _KEYS_ON_DISK.items()}
        return {**fields, "plan": tuple(self.plan)}  # the class itself could not be read without running code

    def load_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take the fields from a checkpoint, which holds other things too.

        Raises:
            ValueError: If one of them holds what that field never does.
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


# What each field may be, on disk: a damaged checkpoint, or one of another program, may hold anything.
_IS_FIT: Mapping[str, Callable[[Any], bool]] = {
    "step": _is_whole,
    "nonfinite_losses": _is_whole,
    "learning_rate_factor": lambda value: _is_number(value, 0, 1),
    "rolled_back_to": lambda value: _is_whole(value, -1),
    "best_psnr": lambda value: (
        value is None or _is_number(value, 0, math.inf)
    ),  # inf: of an earlier release, equal frames
    "is_validation_due": lambda value: isinstance(value, bool),
    "has_warned": lambda value: isinstance(value, bool),
    "usual_loss": lambda value: value is None or _is_number(value, -sys.float_info.max),
    "seconds": lambda value: _is_number(value, 0),
    "plan": _is_plan,
}
