"""Measure the seconds and the memory that work takes on a device; the device is always synchronised."""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch
from torch import nn

from prep.units import counted


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Of whole forward passes, with the device synchronised."""

    seconds: float  # median
    fastest: float
    slowest: float
    peak_megabytes: float  # on CUDA of torch's tensors; elsewhere of the whole process since its start


@torch.no_grad()
def time_network(network: nn.Module, height: int, width: int, repeats: int) -> Timing:
    """Time a network on its device, after one pass to warm up.

    Args:
        network: In eval mode.
        height: Of the frame, in pixels.
        width: Of the frame, in pixels.
        repeats: Timed passes.
    """
    device = next(network.parameters()).device
    frame = torch.rand(1, 3, height, width, device=device) - 0.5
    seconds = times(lambda: network(frame), device, repeats)
    return Timing(
        seconds=statistics.median(seconds),
        fastest=min(seconds),
        slowest=max(seconds),
        peak_megabytes=peak_megabytes(device),
    )


def times(work: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Seconds of each of ``repeats`` runs, after one to warm up; the device is synchronised before the clock stops."""
    work()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(repeats):
        wait_for(device)
        begun = time.perf_counter()
        work()
        wait_for(device)
        seconds.append(time.perf_counter() - begun)
    return seconds


def wait_for(device: torch.device) -> None:
    """Synchronise a device before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_megabytes(device: torch.device) -> float:
    """See ``Timing.peak_megabytes``."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def device_name(device: torch.device) -> str:
    """The name of a GPU, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def has_amx() -> bool:
    """Whether this machine's CPU multiplies matrices of bfloat16 in hardware: Intel's AMX, since 2023."""
    return bool(torch.cpu._is_amx_tile_supported())


def device_and_threads(device: torch.device) -> str:
    """The name of a GPU, or ``CPU, 8 threads``."""
    if device.type == "cuda":
        return device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type.upper()}, {counted(threads, 'thread')}"
