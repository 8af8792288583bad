"""The paper's comparisons: what is varied, over which values, and what the authors found. Does not load torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines.paper import TABLE_1, TABLE_2, TABLE_3, PaperScore
from pipelines.train.settings import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Study:
    """One comparison: trainings whose settings differ in one respect."""

    title: str
    source: str  # place in Wang et al. 2021
    fields: Sequence[str]  # fields of TrainingConfig that are all set to the row's value
    values: Sequence[str | float]  # in the paper's order
    paper: Mapping[str, PaperScore] = field(default_factory=dict)  # scores by the name of the value
    fixed: Mapping[str, str] = field(default_factory=dict)  # fields of TrainingConfig with the same value in all rows
    names: Mapping[float, str] = field(default_factory=dict)  # names of values, if other than the number
    settings: Mapping[str, Mapping[str, str | float]] = field(
        default_factory=dict
    )  # fields of TrainingConfig by value, if a value stands for several settings
    quoted: Mapping[str, PaperScore] = field(default_factory=dict)  # the authors' scores of other methods, not trained
    controls: Sequence[str] = ()  # rows that every other row is compared with; empty: each with the previous one
    is_transfer: bool = False  # whether it goes from one data set to another; the values are then ``TRANSFER``

    def config(self, base: TrainingConfig, value: str | float) -> TrainingConfig:
        """Return the settings of one row."""
        own = self.settings[str(value)] if self.settings else dict.fromkeys(self.fields, value)
        return replace(base, **self.fixed, **own)  # type: ignore[arg-type]

    def name(self, value: str | float) -> str:
        """Return the name of a row."""
        return value if isinstance(value, str) else self.names.get(value, f"{value:g}")


# Rows of a transfer: trained on the first data set, then fine-tuned on the second, or trained on the second alone.
TRANSFER = FIRST, FINE_TUNED, SECOND = ("GoPro alone", "fine-tuned", "VideoDeblurring alone")


def _learning(loss: str, weight: float) -> dict[str, str | float]:
    return {"component_loss": loss, "lambda_small": weight, "lambda_large": weight}


# Weights are 1 for losses as large as the restored image's, and the paper's own 0.1 for the paper's loss.
_SUPERVISION: Mapping[str, Mapping[str, str | float]] = {
    "none": _learning("target", 0.0),
    "whole": _learning("whole", 1.0),
    "one branch": {"variant": "dmphn-1"},
    "target black": _learning("target", 0.1),
    "target grey": {**_learning("target", 0.1), "masked_out": "grey"},
    "region": _learning("region", 1.0),
    "soft": _learning("soft", 1.0),
    "attention": _learning("attention", 1.0),
    "region divided": {**_learning("region", 1.0), "fusion": "divided"},
}

STUDIES: Mapping[str, Study] = {
    "table1": Study(
        title="CDGNet and other methods on GoPro",
        source="Table 1",
        fields=("variant",),
        values=("cdgnet",),
        paper={"cdgnet": PaperScore(30.67, 0.945)},
        quoted={name: PaperScore(*figures[:2]) for name, figures in list(TABLE_1.items())[:-1]},
    ),
    "table2": Study(
        title="Fine-tuning from GoPro to VideoDeblurring",
        source="Table 2",
        fields=(),
        values=TRANSFER,
        paper={FINE_TUNED: PaperScore(35.25, 0.968)},
        quoted=TABLE_2,
        is_transfer=True,
    ),
    "table3": Study(
        title="The network, part by part", source="Table 3", fields=("variant",), values=tuple(TABLE_3), paper=TABLE_3
    ),
    "table4": Study(
        title="The attention of the large branch",
        source="Table 4",
        fields=("attention",),
        values=("none", "channel", "spatial", "both"),
        paper={
            "none": PaperScore(28.88, 0.920),
            "channel": PaperScore(29.28, 0.926),
            "spatial": PaperScore(29.30, 0.924),
            "both": PaperScore(29.34, 0.929),
        },
        fixed={"variant": "large-branch"},
    ),
    "loss": Study(
        title="The loss function",
        source="Figure 10a and section 4.4",
        fields=("loss",),
        values=("l2", "l1", "ssim"),
        paper={"l2": PaperScore(30.67, 0.945), "l1": PaperScore(30.42, 0.941), "ssim": PaperScore(30.15, 0.935)},
    ),
    # For this study and "mu" the authors show curves and masks, but state neither values nor scores.
    "lambda": Study(
        title="The weight of the branches' losses",
        source="Figure 10b",
        fields=("lambda_small", "lambda_large"),
        values=(0.0, 0.01, 0.1, 1.0),
    ),
    # Not in the paper: a pack for each kind of masks, and a row whose branches learn from no masks.
    "masks": Study(
        title="Training with and without masks",
        source="section 3.5",
        fields=("lambda_small", "lambda_large"),
        values=(0.0, 0.1),
        names={0.0: "no masks", 0.1: "masks"},
    ),
    # Not in the paper: what the branches learn from, at equal steps. The controls do not use masks.
    "supervision": Study(
        title="The component losses",
        source="Equation 16",
        fields=("variant", "fusion", "component_loss", "lambda_small", "lambda_large", "masked_out"),
        values=tuple(_SUPERVISION),
        settings=_SUPERVISION,
        controls=("none", "whole"),
    ),
    "mu": Study(title="The threshold of the masks", source="Figure 11", fields=("mu",), values=(0.93, 0.95, 0.96)),
}
