"""Pairs -> a row an image -> summary, under the conventions of record.

Whole frames, RGB, rounded to 8 bits, a score an image, then the mean over images; blurry and restored side by side.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from cdgnet import CDGNet, psnr, ssim, ssim_matlab3d, to_bytes
from pipelines.data import PackCrop, read_crops, to_range
from prep import files, store

MEASURES = ("psnr", "ssim", "ssim_matlab3d", "psnr_m1", "psnr_m0")
LEGEND = {
    "psnr": "dB, RGB, 8 bit",
    "ssim": "scikit-image, Gaussian 11 x 11, sigma 1.5, mean of the channels",
    "ssim_matlab3d": "MATLAB's ssim on an RGB array: 11 x 11 x 11",
    "psnr_m1": "psnr where M = 1 (small blur); empty where there is no such pixel",
    "psnr_m0": "psnr where M = 0 (large blur)",
}
Row = Mapping[str, str | float]


def protocol(pack: Path) -> str:
    """How the scores are made, in one line, with a warning where they do not compare with published ones."""
    with store.open_pack(pack) as file:
        header = store.read_header(file)
    height, width = header.crop
    what = "whole frames" if header.whole_frames else f"crops of {height} x {width}, not comparable with whole frames"
    kind = f"{header.layout} {header.variant} {header.split}".replace("  ", " ")
    return f"{kind}: {what}; RGB, rounded to 8 bits, mean over images; M by {header.method} at mu {header.mu:g}"


@torch.no_grad()
def evaluate(network: CDGNet, pack: Path, device: torch.device) -> Iterator[Row]:
    """Restore every crop of a pack and score it, one row a crop, in the pack's order.

    Args:
        network: Trained.
        pack: Path of the pack.
        device: Where to run it.

    Raises:
        PackError: If it is no pack.
    """
    network = network.to(device).eval()
    for crop in read_crops(pack):
        blurry = crop.blurry[None].to(device)
        restored = to_bytes(network(to_range(blurry)).restored)
        yield score(crop, restored)


def score(crop: PackCrop, restored: torch.Tensor) -> Row:
    """All measures of one crop; ``restored`` is ``(1, 3, H, W)`` uint8."""
    sharp, mask = crop.sharp[None].to(restored.device), crop.mask[None].to(restored.device)
    blurry = crop.blurry[None].to(restored.device)
    row: dict[str, str | float] = {"key": crop.key, "y": crop.origin[0], "x": crop.origin[1]}
    row["mask_share"] = float(crop.mask.float().mean())
    for suffix, picture in (("_blurry", blurry), ("", restored)):
        row["psnr" + suffix] = float(psnr(picture, sharp))
        row["ssim" + suffix] = float(ssim(picture, sharp))
        row["ssim_matlab3d" + suffix] = float(ssim_matlab3d(picture, sharp))
        row["psnr_m1" + suffix] = float(psnr(picture, sharp, mask))
        row["psnr_m0" + suffix] = float(psnr(picture, sharp, 1 - mask))
    return row


def mean(rows: Sequence[Row]) -> dict[str, float]:
    """Means over images of every measure; an image without a pixel of a component does not count in its mean."""
    means = {}
    for name in (measure + suffix for measure in MEASURES for suffix in ("_blurry", "")):
        values = [float(row[name]) for row in rows if not math.isnan(float(row[name]))]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows and their mean; a score that does not exist is an empty field."""
    files.write_text(path, to_csv([*rows, {"key": "mean", **mean(rows)}]))


def to_csv(rows: Sequence[Row]) -> str:
    """Rows under the names of the first one's fields; NaN is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if value != value else value for name, value in row.items()})
    return text.getvalue()
