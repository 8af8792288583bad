"""The cost of a network, with the figures of a row of the paper's Table 1."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from cdgnet.cost import Cost, network_cost
from pipelines.restore import footprint
from pipelines.restore.networks import Network
from pipelines.restore.peers import PeerNetwork
from pipelines.timing import device_name
from prep.units import counted

if TYPE_CHECKING:
    from pipelines.restore.restorer import Restorer

SIZE = (720, 1280)  # height, width of the frame for which the paper counts multiply-accumulates


def measure_cost(
    restorer: "Restorer", seconds: Sequence[float], peak: float | None, size: tuple[int, int]
) -> dict[str, Any]:
    """Measure parameters, multiply-accumulates of one frame, and the time and memory that the scored frames took.

    Args:
        restorer: The restorer of the frames.
        seconds: Time of each frame, measured after the device has finished; the median is reported.
        peak: Peak memory in MB; None if unknown, as for rows of an earlier release.
        size: ``(height, width)`` of the first frame.

    Returns:
        Multiply-accumulates at 1280 x 720 under both conventions (for a network of another project only those of all
        convolutions and matrix products); seconds and memory at ``size``, on ``device``.
    """
    threads = f", {counted(torch.get_num_threads(), 'thread')}" if restorer.device.type == "cpu" else ""
    return {
        **_of_network(restorer.network),
        "seconds": statistics.median(seconds) if seconds else None,
        "timed_frames": len(seconds),
        "size": f"{size[1]}x{size[0]}",
        "peak_megabytes": None if peak is None else round(peak),
        "device": device_name(restorer.device) + threads,
    }


def _of_network(network: Network) -> dict[str, Any]:
    if isinstance(network, PeerNetwork):
        return peer_figures(network, *SIZE)
    return figures(network_cost(network.config, *SIZE)["total"])


def figures(cost: Cost) -> dict[str, Any]:
    """Return the cost of a network, or of a part of it, as rounded figures."""
    return {
        "parameters": cost.parameters,
        "megabytes": round(cost.megabytes, 3),
        "ptflops_gmac": round(cost.ptflops / 1e9, 2),
        "honest_gmac": round(cost.honest / 1e9, 2),
    }


def peer_figures(network: PeerNetwork, height: int, width: int) -> dict[str, Any]:
    """Return ``figures`` of another project's network; ptflops is None, as it would count its layers by other rules."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    work = footprint.measure(network, height, width).multiply_accumulates
    return {**figures(Cost(parameters=parameters, ptflops=0, honest=work)), "ptflops_gmac": None}


def work_text(cost: Mapping[str, Any]) -> str:
    """Describe the multiply-accumulates of ``figures``, and how they are counted."""
    every = f"{cost['honest_gmac']:,.2f} GMac, all convolutions"
    if cost["ptflops_gmac"] is None:
        return every
    return f"{every}; {cost['ptflops_gmac']:,.2f} GMac as the paper counts (ptflops: no deformable ones)"
