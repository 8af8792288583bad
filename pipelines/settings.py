"""What decides a training run: one dataclass, whose help texts are those of ``cdg-train``. Loads no torch."""

from dataclasses import dataclass, field
from typing import Any

PRESETS = ("paper", "light", "tiny")  # those of cdgnet.config, named here so that --help need not load torch
VARIANTS = (
    "dmphn-1",
    "dmphn-acda",
    "dmphn-ld",
    "large-branch",
    "dmphn-sd",
    "small-branch",
    "two-branch-concat",
    "two-branch-off",
    "cdgnet",
)  # likewise


def _setting(default: Any, text: str, **limits: Any) -> Any:
    """A field with its help text; ``least`` and ``choices`` limit it, ``unit`` names what it counts."""
    return field(default=default, metadata={"help": text, **limits})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What decides a run. The defaults are the paper's, section 4.1."""

    preset: str = _setting("paper", "Widths of the network.", choices=PRESETS)
    variant: str = _setting("cdgnet", "Structure of the network: a row of the paper's Table 3.", choices=VARIANTS)
    precision: str = _setting(
        "32-true", "Of the arithmetic; bf16-mixed is for GPUs.", choices=("32-true", "bf16-mixed")
    )
    epochs: int = _setting(3000, "Passes over the frames, one window a frame.", least=1, unit="N")
    steps: int | None = _setting(None, "Optimiser steps, in place of --epochs.", least=1, unit="N")
    batch: int = _setting(6, "Windows a step.", least=1, unit="N")
    crop: int = _setting(256, "Side of the random window.", least=16, unit="PIXELS")
    learning_rate: float = _setting(1e-4, "Adam's.", least=1e-12, unit="RATE")
    halve_every: int = _setting(500, "The learning rate is halved this often.", least=1, unit="EPOCHS")
    lambda_small: float = _setting(0.1, "Weight of the small branch's loss, equation 17.", least=0, unit="X")
    lambda_large: float = _setting(0.1, "Weight of the large branch's loss, equation 17.", least=0, unit="X")
    seed: int = _setting(0, "Of weights, order, windows, flips and turns.", least=0, unit="N")
    turn: bool = _setting(True, "Turn windows by quarters, besides flipping them.")
    val: tuple[str, ...] | None = _setting(
        None, "Source video to hold out, as GOPR0372; may be repeated; 'none' for none.  [default: one]", unit="SOURCE"
    )
    val_every: int = _setting(20, "Validate this often.", least=1, unit="EPOCHS")
    log_every: int = _setting(100, "Log this often.", least=1, unit="STEPS")
    checkpoint_minutes: float = _setting(10.0, "Save this often.", least=0, unit="MINUTES")
    workers: int = _setting(2, "Processes that read the pack.", least=0, unit="N")


# These may change between two commands that mean one run.
FREE = frozenset({"epochs", "steps", "val_every", "log_every", "checkpoint_minutes", "workers"})
