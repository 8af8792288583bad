"""Measure the time and memory of work on a device; the device is always synchronised."""

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
    """Time and memory of whole forward passes, with the device synchronised."""

    seconds: float  # median
    fastest: float  # seconds
    slowest: float  # seconds
    peak_megabytes: float  # on CUDA: torch's tensors; elsewhere: the whole process since its start


@torch.no_grad()
def time_network(network: nn.Module, height: int, width: int, repeats: int) -> Timing:
    """Time a network on its device, after one pass to warm up.

    Args:
        network: Network in eval mode.
        height: Frame height in pixels.
        width: Frame width in pixels.
        repeats: Number of timed passes.
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
    """Return the seconds of each of ``repeats`` runs after a warm-up; the device is synchronised around each run."""
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
    """Return the peak memory in megabytes, as described in ``Timing.peak_megabytes``."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or the device type such as ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def has_amx() -> bool:
    """Return whether this CPU multiplies bfloat16 matrices in hardware (Intel AMX, since 2023)."""
    return bool(torch.cpu._is_amx_tile_supported())


def device_and_threads(device: torch.device) -> str:
    """Return the name of a GPU, or a text such as ``CPU, 8 threads``."""
    if device.type == "cuda":
        return device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type.upper()}, {counted(threads, 'thread')}"
