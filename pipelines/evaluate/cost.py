"""What a network costs, as a row of the paper's Table 1."""

import statistics
from collections.abc import Sequence
from typing import Any

import torch

from cdgnet.cost import network_cost
from pipelines.restore.restorer import Restorer
from pipelines.timing import device_name

SIZE = (720, 1280)  # height, width of the frame that the paper counts multiply-accumulates for


def measure_cost(
    restorer: Restorer, seconds: Sequence[float], peak: float | None, size: tuple[int, int]
) -> dict[str, Any]:
    """Parameters, multiply-accumulates of one frame, and the time and memory that the scored frames took.

    Args:
        restorer: That restored them.
        seconds: Of each frame, the device waited for; the median is taken.
        peak: The most memory in MB that a frame took; None where it is not known, of rows of an earlier release.
        size: ``(height, width)`` of the first frame.

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
        "size": f"{size[1]}x{size[0]}",
        "peak_megabytes": None if peak is None else round(peak),
        "device": device_name(restorer.device) + threads,
    }
