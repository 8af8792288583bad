"""What a network costs, as a row of the paper's Table 1."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cdgnet.cost import network_cost, peak_megabytes
from pipelines.restoring import Restorer

SIZE = (720, 1280)  # that the paper counts multiply-accumulates at
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


def price(restorer: Restorer, seconds: Sequence[float], frame: tuple[int, int]) -> dict[str, Any]:
    """Parameters, multiply-accumulates of one frame, and what the frames scored took.

    Args:
        restorer: That restored them.
        seconds: Of each frame, the device waited for; the median is taken.
        frame: ``(height, width)`` of the first.

    Returns:
        Multiply-accumulates under both conventions at 1280 x 720; seconds and memory at ``size``, on ``device``.
    """
    total = network_cost(restorer.network.config, *SIZE)["total"]
    threads = f", {torch.get_num_threads()} threads" if restorer.device.type == "cpu" else ""
    return {
        "parameters": total.parameters,
        "megabytes": round(total.megabytes, 3),
        "ptflops_gmac": round(total.ptflops / 1e9, 2),
        "honest_gmac": round(total.honest / 1e9, 2),
        "seconds": statistics.median(seconds) if seconds else None,
        "timed_frames": len(seconds),
        "size": f"{frame[1]}x{frame[0]}",
        "peak_megabytes": round(peak_megabytes(restorer.device)),
        "device": device_name(restorer) + threads,
    }


def device_name(restorer: Restorer | None) -> str:
    """What the scores were computed on."""
    if restorer is None or restorer.device.type != "cuda":
        return "cpu"
    return str(torch.cuda.get_device_name(restorer.device))
