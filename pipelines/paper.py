"""The figures in the tables of Wang et al. 2021. Loads no torch."""

from collections.abc import Mapping
from typing import NamedTuple


class PaperScore(NamedTuple):
    """The authors' scores of one row: trained on GoPro for 3000 epochs, scored on its 1111 test frames."""

    psnr: float  # dB
    ssim: float


# Wang et al. 2021, Table 1: PSNR in dB, SSIM, MB of weights, GMac at 1280 x 720, ms; None if they state no number.
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


TABLE_2: Mapping[str, PaperScore] = {
    "MS-CNN 2017": PaperScore(33.01, 0.930),
    "SRN 2018": PaperScore(33.66, 0.925),
    "DeblurGAN-v2 2019": PaperScore(33.91, 0.919),
    "DMPHN 2019": PaperScore(34.78, 0.966),
}


TABLE_3: Mapping[str, PaperScore] = {
    "dmphn-1": PaperScore(28.78, 0.917),
    "dmphn-acda": PaperScore(28.79, 0.918),
    "dmphn-ld": PaperScore(28.88, 0.920),
    "large-branch": PaperScore(29.34, 0.929),
    "dmphn-sd": PaperScore(29.39, 0.923),
    "small-branch": PaperScore(29.50, 0.927),
    "two-branch-concat": PaperScore(30.05, 0.939),
    "two-branch-off": PaperScore(30.24, 0.941),
    "cdgnet": PaperScore(30.67, 0.945),
}
