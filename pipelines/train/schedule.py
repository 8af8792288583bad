"""How long a run is, and what is due when: learning rates and validations by step."""

import math

from pipelines.train.settings import TrainingConfig


def total_steps(config: TrainingConfig, frames: int) -> int:
    """Steps of the whole run, with ``frames`` frames an epoch; the last batch may reach into the next epoch."""
    if config.steps is not None:
        return config.steps
    return -(-config.epochs * frames // config.batch)


def learning_rate(config: TrainingConfig, step: int, steps: int, frames: int) -> float:
    """The learning rate of the step that follows ``step`` steps of ``steps``, with ``frames`` frames an epoch."""
    rise = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    if config.schedule == "cosine":
        return float(config.learning_rate * rise * (1 + math.cos(math.pi * step / steps)) / 2)
    epoch = step * config.batch // frames
    return float(config.learning_rate * rise * 0.5 ** (epoch // config.halve_every))


def validations(config: TrainingConfig, steps: int, frames: int) -> int:
    """How many validations fall into the first ``steps`` steps; that at the end of a run is not counted."""
    return min(steps, steps * config.batch // (config.val_every * frames))  # at most one a step


def is_validation_due(config: TrainingConfig, step: int, frames: int) -> bool:
    """Whether step number ``step`` ends a stretch of ``val_every`` epochs."""
    return validations(config, step, frames) > validations(config, step - 1, frames)
