"""The settings of a training run: one dataclass, whose help texts are those of ``cdg-train``. Does not load torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Any

from cdgnet.config import PRESETS, VARIANTS, ModelConfig

_NETWORKS = {name: ModelConfig.preset("paper", name) for name in VARIANTS}
DMPHN = tuple(name for name, network in _NETWORKS.items() if network.levels > 1)  # as published, without attention
ONE_BRANCH = tuple(name for name, network in _NETWORKS.items() if network.branches != "both")  # these use no masks
_LARGEST_WHOLE, _LARGEST = 10**9, 1e30  # limits of settings that state none; products of them fit 32-bit floats

NOTHING = "none"  # value of --val that holds no frames out


def _setting(default: Any, text: str, **limits: Any) -> Any:
    """Return a field with its help text; ``least``, ``most``, ``below``, ``choices`` are limits, ``unit`` its unit."""
    return field(default=default, metadata={"help": text, **limits})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The settings of a run. The defaults are the paper's, section 4.1."""

    preset: str = _setting("paper", "Widths of the network.", choices=PRESETS)
    variant: str = _setting(
        "cdgnet", "Structure of the network: a row of the paper's Table 3, or DMPHN as published.", choices=VARIANTS
    )
    attention: str = _setting(
        "variant",
        "Attention of each branch, as in the paper's Table 4; variant: that of --variant.",
        choices=("variant", "none", "channel", "spatial", "both"),
    )
    fusion: str = _setting(
        "variant",
        "How the branches are joined. variant: as in the paper. divided: also a gate that takes the small branch's "
        "image where blur is small; it needs --component-loss region, soft or attention.",
        choices=("variant", "divided"),
    )
    precision: str = _setting(
        "32-true",
        "Number format of the arithmetic. The mixed formats are faster on GPUs, bf16-mixed also on CPUs with AMX.",
        choices=("32-true", "bf16-mixed", "16-mixed"),
    )
    init: str | None = _setting(
        None,
        "Weights to start from, to fine-tune them; pretrained: those that come with cdgnet. --preset, --variant and "
        "--fusion are then theirs, unless one of them is given.",
        unit="FILE",
    )

    epochs: int = _setting(
        3000, "Length of the training: passes over the frames, one random crop per frame.", least=1, unit="N"
    )
    steps: int | None = _setting(None, "Length in optimiser steps, instead of --epochs.", least=1, unit="N")
    hours: float | None = _setting(
        None,
        "Length in hours, instead of --epochs; 0.5 is 30 minutes. The run measures its speed, and the learning rate "
        "falls along a cosine to 0 at the end.",
        least=1e-3,
        unit="HOURS",
    )
    batch: int = _setting(6, "Random crops per step, over all devices.", least=1, unit="N")
    accumulate: int = _setting(
        1, "Split each batch into N parts and accumulate their gradients, to save memory.", least=1, unit="N"
    )
    crop: int = _setting(256, "Side of the random crops.", least=16, unit="PIXELS")
    learning_rate: float = _setting(1e-4, "Peak learning rate of Adam.", least=1e-12, unit="RATE")
    schedule: str = _setting(
        "halving",
        "Learning-rate schedule: halved every --halve-every epochs, or a cosine to 0. --hours always uses cosine.",
        choices=("halving", "cosine"),
    )
    halve_every: int = _setting(
        500, "Interval at which --schedule halving halves the learning rate.", least=1, unit="EPOCHS"
    )
    warm_up: int = _setting(0, "Linear warm-up of the learning rate.", least=0, unit="STEPS")
    weight_decay: float = _setting(0.0, "Decoupled weight decay (AdamW); 0 is Adam.", least=0, unit="X")
    clip: float = _setting(0.0, "Clip the norm of the gradient; 0 turns it off.", least=0, unit="NORM")
    average: float = _setting(
        0.0,
        "Decay per step of an EMA of the weights, which is then validated and saved; 0 turns it off.",
        least=0,
        below=1,
        unit="X",
    )
    loss: str = _setting(
        "l2",
        "Image loss. l1 and ssim: as in the paper's Figure 10. psnr: weights slightly blurred crops as much as "
        "strongly blurred ones.",
        choices=("l2", "l1", "ssim", "psnr"),
    )
    component_loss: str = _setting(
        "target",
        "What each branch's image is compared with. target: Sgt or Lgt, equation 16. region: the sharp frame, only in "
        "the branch's component. soft: as region, weighted by the distance of S from mu. attention: as region, and "
        "the attention maps learn the mask. whole: the whole sharp frame, without masks.",
        choices=("target", "region", "soft", "attention", "whole"),
    )
    lambda_small: float = _setting(
        0.1,
        "Weight of the small branch's loss, equation 17. The default is 1 if --component-loss is not target.",
        least=0,
        unit="X",
    )
    lambda_large: float = _setting(0.1, "Weight of the large branch's loss, the same way.", least=0, unit="X")
    mu: float | None = _setting(
        None,
        "Threshold the S of the packs again, for this run.  [default: the masks of the packs]",
        least=0,
        most=1,
        unit="MU",
    )
    masked_out: str = _setting(
        "black",
        "Colour of the other component in Sgt and Lgt, with --component-loss target.",
        choices=("black", "grey"),
    )
    shrinkage: float | None = _setting(
        None,
        "Keep the brightness, and drop most of a change that is smaller than about this many grey levels (of 255), so "
        "that sharp parts stay sharp. Only for validation and the finished network.  [default: that of --init, "
        "otherwise 0]",
        least=0,
        most=255,
        unit="LEVELS",
    )
    seed: int = _setting(
        0, "Random seed of weights, order, crops, flips and rotations.", least=0, most=2**32 - 1, unit="N"
    )
    turn: bool = _setting(True, "Rotate random crops by quarter turns, in addition to flips.")
    val: tuple[str, ...] | None = _setting(
        None,
        "Source video to hold out for validation, such as GOPR0372; may be repeated; none holds nothing out.  "
        "[default: the one nearest to 5% of the frames]",
        unit="SOURCE",
    )
    val_every: int = _setting(20, "Epochs from one validation to the next.", least=1, unit="EPOCHS")
    log_every: int | None = _setting(
        None,
        "Steps from one log entry to the next.  [default: 100, or a twentieth of a shorter run]",
        least=1,
        unit="STEPS",
    )
    checkpoint_minutes: float = _setting(10.0, "Minutes from one checkpoint to the next.", least=0, unit="MINUTES")
    keep: int = _setting(3, "Checkpoints to keep.", least=1, unit="N")
    divergence: str = _setting(
        "stop",
        "What to do after three losses in a row that are not finite or 100 times the usual: stop, or go back to the "
        "last checkpoint and halve the learning rate.",
        choices=("stop", "halve"),
    )
    compile: bool = _setting(False, "Compile the network: minutes at the start, faster steps on a GPU.")
    graphs: bool = _setting(False, "Use CUDA graphs, with --compile on one GPU: faster steps.")
    workers: int = _setting(2, "Processes that read the packs.", least=0, unit="N")

    @property
    def learns_from_masks(self) -> bool:
        """Whether any loss depends on a mask."""
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
    """Return what is wrong with a field, as a message; empty if it is valid."""
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


def held_out(val: Sequence[str]) -> tuple[str, ...] | None:
    """Return the videos that ``--val`` holds out: no video for ``none``; None, for the default, if it is not given."""
    return tuple(name for name in val if name != NOTHING) if val else None


def structure_of(network: ModelConfig) -> dict[str, str]:
    """Return the settings ``preset``, ``variant`` and ``fusion`` of a network; empty if it has other ones, too."""
    for preset, variant in product(PRESETS, VARIANTS):
        known = ModelConfig.preset(preset, variant)
        for fusion in ("variant", "divided") if known.branches == "both" else ("variant",):
            trained = known if fusion == "variant" else replace(known, fusion=fusion)
            if replace(network, shrinkage=trained.shrinkage) == trained:
                return {"preset": preset, "variant": variant, "fusion": fusion}
    return {}


# Settings that may change when a run is resumed; a change of any other setting makes it another run.
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
