"""The paper's comparisons: what is varied, over which values, and what the authors found. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pipelines.settings import VARIANTS, TrainingConfig


class Found(NamedTuple):
    """What the authors state of a row: trained on GoPro for 3000 epochs, scored on its 1111 test frames."""

    psnr: float  # dB
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Study:
    """One comparison: settings that differ in nothing else."""

    title: str
    source: str  # in Wang et al. 2021
    fields: Sequence[str]  # of TrainingConfig; all take the value at hand
    values: Sequence[str | float]  # in the paper's order
    paper: Mapping[str, Found] = field(default_factory=dict)  # by the value's name
    fixed: Mapping[str, str] = field(default_factory=dict)  # of TrainingConfig, for all rows
    names: Mapping[float, str] = field(default_factory=dict)  # of values that are called something
    quoted: Mapping[str, Found] = field(default_factory=dict)  # what the authors state of others, who are not trained
    is_transfer: bool = False  # from one data set to another: the values are ``TRANSFER``

    def config(self, base: TrainingConfig, value: str | float) -> TrainingConfig:
        """The settings of one row."""
        return replace(base, **self.fixed, **dict.fromkeys(self.fields, value))  # type: ignore[arg-type]

    def name(self, value: str | float) -> str:
        """What a row is called."""
        return value if isinstance(value, str) else self.names.get(value, f"{value:g}")


# Wang et al. 2021, Table 1: PSNR, SSIM, MB of weights, GMac at 1280 x 720, ms; None where they state none.
TABLE_1: Mapping[str, tuple[float, float, float | None, float | None, float | None]] = {
    "Sun 2015": (24.64, 0.843, 54.1, None, None),
    "Gong 2017": (26.06, 0.863, 41.2, None, None),
    "MS-CNN 2017": (26.97, 0.839, 303.6, 1760.04, 2400),
    "SRN 2018": (30.19, 0.938, 33.6, 1434.82, 1293),
    "SVRNN 2019": (29.19, 0.931, 37.1, None, None),
    "DeblurGAN-v2 2019": (28.03, 0.848, 243.7, 411.34, 171),
    "HAMD 2019": (30.26, 0.940, None, None, None),
    "DMPHN 2019": (30.21, 0.898, 21.7, 689.20, 7),
    "DBGAN 2020": (30.43, 0.937, None, None, None),
    "SVDN 2020": (29.81, 0.937, None, None, None),
    "CDGNet 2021 (the authors)": (30.67, 0.945, 25.57, 292.57, 6),
}

TABLE_2: Mapping[str, Found] = {
    "MS-CNN 2017": Found(33.01, 0.930),
    "SRN 2018": Found(33.66, 0.925),
    "DeblurGAN-v2 2019": Found(33.91, 0.919),
    "DMPHN 2019": Found(34.78, 0.966),
}

# Rows of a transfer: trained on the first data set, further on the second, on the second from the beginning.
TRANSFER = FIRST, FINE_TUNED, SECOND = ("GoPro alone", "fine-tuned", "VideoDeblurring alone")

TABLE_3: Mapping[str, Found] = {
    "dmphn-1": Found(28.78, 0.917),
    "dmphn-acda": Found(28.79, 0.918),
    "dmphn-ld": Found(28.88, 0.920),
    "large-branch": Found(29.34, 0.929),
    "dmphn-sd": Found(29.39, 0.923),
    "small-branch": Found(29.50, 0.927),
    "two-branch-concat": Found(30.05, 0.939),
    "two-branch-off": Found(30.24, 0.941),
    "cdgnet": Found(30.67, 0.945),
}

STUDIES: Mapping[str, Study] = {
    "table1": Study(
        title="Among other methods on GoPro",
        source="Table 1",
        fields=("variant",),
        values=("cdgnet",),
        paper={"cdgnet": Found(30.67, 0.945)},
        quoted={name: Found(*figures[:2]) for name, figures in list(TABLE_1.items())[:-1]},
    ),
    "table2": Study(
        title="From GoPro to VideoDeblurring",
        source="Table 2",
        fields=(),
        values=TRANSFER,
        paper={FINE_TUNED: Found(35.25, 0.968)},
        quoted=TABLE_2,
        is_transfer=True,
    ),
    "table3": Study(
        title="The network, part by part", source="Table 3", fields=("variant",), values=VARIANTS, paper=TABLE_3
    ),
    "table4": Study(
        title="The attention of the large branch",
        source="Table 4",
        fields=("attention",),
        values=("none", "channel", "spatial", "both"),
        paper={
            "none": Found(28.88, 0.920),
            "channel": Found(29.28, 0.926),
            "spatial": Found(29.30, 0.924),
            "both": Found(29.34, 0.929),
        },
        fixed={"variant": "large-branch"},
    ),
    "loss": Study(
        title="What images are compared by",
        source="Figure 10a and section 4.4",
        fields=("loss",),
        values=("l2", "l1", "ssim"),
        paper={"l2": Found(30.67, 0.945), "l1": Found(30.42, 0.941), "ssim": Found(30.15, 0.935)},
    ),
    # Of these two the authors show curves and masks, but state neither values nor scores.
    "lambda": Study(
        title="The weight of the branches' losses",
        source="Figure 10b",
        fields=("lambda_small", "lambda_large"),
        values=(0.0, 0.01, 0.1, 1.0),
    ),
    # Ours: a pack for each kind of masks, and a row whose branches learn from none.
    "masks": Study(
        title="What masks are worth",
        source="The supervision of section 3.5",
        fields=("lambda_small", "lambda_large"),
        values=(0.0, 0.1),
        names={0.0: "no masks", 0.1: "masks"},
    ),
    "mu": Study(title="The threshold of the masks", source="Figure 11", fields=("mu",), values=(0.93, 0.95, 0.96)),
}
