"""What decides a training run: one dataclass, whose help texts are those of ``cdg-train``. Loads no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PRESETS = ("paper", "light", "small", "tiny")  # those of cdgnet.config, named here so that --help need not load torch
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
    "dmphn-1-2-4",
    "dmphn-1-2-4-8",
)  # likewise
DMPHN = VARIANTS[9:]  # as published, of several levels of patches: they have no attention
ONE_BRANCH = (*VARIANTS[:6], *DMPHN)  # which look at no masks
_LARGEST_WHOLE, _LARGEST = 10**9, 1e30  # of settings without a limit of their own: 32-bit floats hold the products


def _setting(default: Any, text: str, **limits: Any) -> Any:
    """A field with its help text; ``least``, ``most``, ``below`` and ``choices`` limit it, ``unit`` names it."""
    return field(default=default, metadata={"help": text, **limits})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What decides a run. The defaults are the paper's, section 4.1."""

    preset: str = _setting("paper", "Widths of the network.", choices=PRESETS)
    variant: str = _setting(
        "cdgnet", "Structure of the network: a row of the paper's Table 3, or DMPHN as published.", choices=VARIANTS
    )
    attention: str = _setting(
        "variant",
        "Parts of each branch's attention, as the paper's Table 4 varies them; variant: those of the variant.",
        choices=("variant", "none", "channel", "spatial", "both"),
    )
    fusion: str = _setting(
        "variant",
        "What joins the branches. variant: as the paper has it; divided: besides, a gate takes the small branch's "
        "image where blur is small, which --component-loss region, soft and attention teach it.",
        choices=("variant", "divided"),
    )
    precision: str = _setting(
        "32-true",
        "Number format of the arithmetic; mixed: faster on GPUs; bf16-mixed also on CPUs with AMX.",
        choices=("32-true", "bf16-mixed", "16-mixed"),
    )
    init: str | None = _setting(None, "Start from these weights, to fine-tune them.", unit="FILE")
    epochs: int = _setting(3000, "Passes over the frames, one window a frame.", least=1, unit="N")
    steps: int | None = _setting(None, "Optimiser steps, in place of --epochs.", least=1, unit="N")
    hours: float | None = _setting(
        None,
        "Train for this long, in place of --epochs: the run measures its speed, and its cosine ends with the time.",
        least=1e-3,
        unit="HOURS",
    )
    batch: int = _setting(6, "Windows a step, over all devices.", least=1, unit="N")
    accumulate: int = _setting(
        1, "Accumulate gradients over so many parts of a batch, to save memory.", least=1, unit="N"
    )
    crop: int = _setting(256, "Side of the random window.", least=16, unit="PIXELS")
    learning_rate: float = _setting(1e-4, "Highest learning rate of Adam.", least=1e-12, unit="RATE")
    schedule: str = _setting(
        "halving",
        "Of the learning rate: halved at intervals, or half a cosine to 0, which --hours always takes.",
        choices=("halving", "cosine"),
    )
    halve_every: int = _setting(
        500, "Halve the learning rate this often, with --schedule halving.", least=1, unit="EPOCHS"
    )
    warm_up: int = _setting(0, "Steps over which the learning rate rises linearly at first.", least=0, unit="STEPS")
    weight_decay: float = _setting(0.0, "Decoupled weight decay, as in AdamW; 0 is Adam.", least=0, unit="X")
    clip: float = _setting(0.0, "Clip the gradient to this norm; 0 for none.", least=0, unit="NORM")
    average: float = _setting(
        0.0,
        "Decay of the EMA of the weights, which is then validated and kept in place of them; 0 for none.",
        least=0,
        below=1,
        unit="X",
    )
    loss: str = _setting(
        "l2",
        "How images are compared; l1 and ssim are those of Figure 10; psnr weighs slightly blurred images as much as "
        "badly blurred ones.",
        choices=("l2", "l1", "ssim", "psnr"),
    )
    component_loss: str = _setting(
        "target",
        "How a branch learns its component: target, equation 16, the other component painted over; region, the sharp "
        "frame, only where its component lies; soft, region with weights from S about mu; attention, region and the "
        "attention maps taught the mask; whole, the whole sharp frame, without masks.",
        choices=("target", "region", "soft", "attention", "whole"),
    )
    lambda_small: float = _setting(
        0.1,
        "Weight of the small branch's loss, equation 17; without this option 1 where --component-loss is not target.",
        least=0,
        unit="X",
    )
    lambda_large: float = _setting(0.1, "Weight of the large branch's loss, likewise.", least=0, unit="X")
    mu: float | None = _setting(
        None,
        "Threshold that masks are made with from the pack's S.  [default: the pack's masks]",
        least=0,
        most=1,
        unit="MU",
    )
    masked_out: str = _setting(
        "black", "Colour of the other component's pixels, with --component-loss target.", choices=("black", "grey")
    )
    seed: int = _setting(
        0, "Random seed of weights, order, windows, flips and rotations.", least=0, most=2**32 - 1, unit="N"
    )
    turn: bool = _setting(True, "Rotate windows by quarter turns, besides flipping them.")
    val: tuple[str, ...] | None = _setting(
        None, "Source video to hold out, as GOPR0372; may be repeated; 'none' for none.  [default: one]", unit="SOURCE"
    )
    val_every: int = _setting(20, "Validate this often.", least=1, unit="EPOCHS")
    log_every: int = _setting(100, "Log this often.", least=1, unit="STEPS")
    checkpoint_minutes: float = _setting(10.0, "Save this often.", least=0, unit="MINUTES")
    keep: int = _setting(3, "Checkpoints to keep, besides the best weights.", least=1, unit="N")
    divergence: str = _setting(
        "stop",
        "After three losses in a row that are not finite, or 100 times the usual: stop, or go back to the last "
        "checkpoint with half the learning rate.",
        choices=("stop", "halve"),
    )
    compile: bool = _setting(False, "Compile the network: takes minutes at the start, makes steps faster on a GPU.")
    graphs: bool = _setting(False, "Use CUDA graphs, with --compile on one GPU: a step's kernels start all at once.")
    workers: int = _setting(2, "Processes that read the pack.", least=0, unit="N")

    @property
    def learns_from_masks(self) -> bool:
        """Whether a mask decides any loss."""
        weights = self.lambda_small + self.lambda_large
        return self.variant not in ONE_BRANCH and weights > 0 and self.component_loss != "whole"

    def __post_init__(self) -> None:
        problems = [_problem(each.name, getattr(self, each.name), each.metadata) for each in fields(self)]
        if self.hours is not None and self.steps is not None:
            problems.append("hours and steps both say how long; leave one out")
        if self.hours is not None and self.schedule != "cosine":
            problems.append(
                f"hours ends with a cosine, and schedule is {self.schedule}; make it cosine, or leave it out"
            )
        if self.graphs and (not self.compile or self.accumulate > 1):
            problems.append("graphs is on; it needs compile, and accumulate 1")
        if self.component_loss == "attention" and self.attention in ("none", "channel"):
            problems.append(f"component_loss attention needs spatial attention; attention is {self.attention}")
        if self.attention not in ("variant", "none") and self.variant in DMPHN:
            problems.append(f"attention is {self.attention}; {self.variant} has none: leave attention out")
        if self.fusion == "divided" and self.variant in ONE_BRANCH:
            problems.append(f"fusion divided needs a variant of two branches; variant is {self.variant}")
        elif self.fusion == "divided" and (self.component_loss in ("target", "whole") or not self.learns_from_masks):
            problems.append(
                f"fusion divided has a gate, which component_loss {self.component_loss} does not teach; make that "
                "region, soft or attention, with weights above 0"
            )
        if any(problems):
            raise ValueError("; ".join(filter(None, problems)))


def _problem(name: str, value: Any, about: Mapping[str, Any]) -> str:
    """What is wrong with a field, as a person should read it; empty when nothing is."""
    if "choices" in about:
        return "" if value in about["choices"] else f"{name} is {value!r}; it must be one of {about['choices']}"
    if "least" not in about or value is None:
        return ""
    largest = _LARGEST_WHOLE if isinstance(value, int) else _LARGEST
    least, most, below = about["least"], about.get("most", largest), about.get("below", math.inf)
    if isinstance(value, int | float) and least <= value <= most and value < below:
        return ""
    upper = f"to below {below:g}" if "below" in about else f"to {most:,}" if isinstance(most, int) else f"to {most:g}"
    return f"{name} is {value!r:.30}; it must be a number from {least:g} {upper}"


# Settings that may change when a run is resumed; with any other setting changed it is another run.
MAY_CHANGE = frozenset(
    {
        "epochs",
        "steps",
        "val_every",
        "log_every",
        "checkpoint_minutes",
        "keep",
        "divergence",
        "compile",
        "graphs",
        "workers",
    }
)
