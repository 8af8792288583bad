"""Latency, training step and memory of whole networks with each backend of the deformable convolution.

Usage: ``python benchmarks/network.py [--save]`` prints a table; ``--save`` also writes
benchmarks/results/network-DATE-DEVICE.json.

* frame: restore a frame of 640 x 360 pixels in eval mode; 720p: the same for 1280 x 720, default backend only.
* step: forward pass, losses and backward pass for two crops of 256 x 256, without the optimiser.

Each row runs in its own process: one warm-up pass, then the median of ``--repeats`` passes (a single pass for
torchvision on a CPU, which takes minutes). Memory is the peak resident set of the process, on CUDA torch's peak
allocation. The backend ``chosen`` is the default that users get. ``plain``, the baseline of the ratios, is grid_sample
without strips and without channels_last. Networks without deformable layers run with these two only.

The floor is the time of the network's multiply-accumulates at the rate measured for a 2048 x 2048 matrix product in
float32. A training step counts three times, because the backward pass has twice the operations of the forward pass.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Literal, TypeAlias

from cpu import training_step
from surroundings import add_save, add_trial, save, surroundings

if TYPE_CHECKING:
    from cdgnet.deform import Backend

Choice: TypeAlias = "Backend | Literal['plain', 'chosen']"

Shape: TypeAlias = tuple[int, int, int]  # batch, height, width

NETWORKS = (("paper", "cdgnet"), ("light", "cdgnet"), ("paper", "dmphn-1"))
WORKS = {"frame": (1, 360, 640), "step": (2, 256, 256), "720p": (1, 720, 1280)}
TRIAL_NETWORKS = (("tiny", "cdgnet"),)
TRIAL_WORKS = {"frame": (1, 16, 32), "step": (1, 16, 16)}
CHOICES: tuple[Choice, ...] = ("plain", "torchvision", "sample", "chosen")


def measure(
    preset: str, variant: str, work: str, shape: Shape, backend: Choice, repeats: int, device_name: str
) -> dict[str, float]:
    """Measure the seconds and megabytes of one row, in this process."""
    import torch

    from cdgnet import CDGNet, ModelConfig
    from cdgnet.deform import conv, strips
    from pipelines import timing

    device = torch.device(device_name)
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset(preset, variant)).to(device)
    if backend == "plain":
        network.to(memory_format=torch.contiguous_format)
        strips._CPU_STRIP_BYTES = strips._STRIP_BYTES = sys.maxsize
    if backend != "chosen":
        fixed: Backend = "sample" if backend == "plain" else backend
        conv.default_backend = lambda device: fixed
    batch, height, width = shape
    if work != "step":
        timed = timing.time_network(network.eval(), height, width, repeats=repeats)
        return {
            "seconds": timed.seconds,
            "fastest": timed.fastest,
            "slowest": timed.slowest,
            "MB": timed.peak_megabytes,
        }
    seconds = timing.times(training_step(network, batch, height), device, repeats)
    return {
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "MB": timing.peak_megabytes(device),
    }


def matrix_rate(device_name: str) -> float:
    """Measure the float32 multiply-accumulates per second of a matrix product, best of 30 runs."""
    import torch

    one, other = (torch.rand(2048, 2048, device=device_name) for _ in "12")

    def work() -> float:
        begun = time.perf_counter()
        one @ other
        if device_name == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    return 2048**3 / min(work() for _ in range(30))


def floor(preset: str, variant: str, work: str, shape: Shape, rate: float) -> float:
    """Return the seconds of the arithmetic alone, at ``rate`` multiply-accumulates per second."""
    from cdgnet import ModelConfig
    from cdgnet.cost import network_cost

    batch, height, width = shape
    honest = network_cost(ModelConfig.preset(preset, variant), height, width)["total"].honest
    return batch * honest * (3 if work == "step" else 1) / rate


def in_a_process(*words: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="timed passes per row [%(default)s]")
    parser.add_argument("--threads", type=int, help="threads of torch on a CPU [torch's default]")
    parser.add_argument("--device", default=None, help="cpu or cuda [cuda if available]")
    add_save(parser)
    add_trial(parser)
    parser.add_argument("--line", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    networks, works = (TRIAL_NETWORKS, TRIAL_WORKS) if options.trial else (NETWORKS, WORKS)
    if options.line:
        preset, variant, work, backend = options.line
        print(json.dumps(measure(preset, variant, work, works[work], backend, options.repeats, device)))
        return

    rate = matrix_rate(device)
    about = surroundings() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    if device == "cuda":
        about["device"] = torch.cuda.get_device_name()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"matrix rate {rate / 1e9:.1f} GMac/s, float32")
    print(f"{'network':16}{'work':7}{'backend':13}{'seconds':>9}{'spread':>16}{'x plain':>9}{'x floor':>9}{'MB':>8}")
    common = ["--device", device]
    common += ["--threads", str(options.threads)] if options.threads else []
    common += ["--trial"] if options.trial else []
    rows = []
    for preset, variant in networks:
        for work, shape in works.items():
            least = floor(preset, variant, work, shape, rate)
            is_compared = variant == "cdgnet" and not options.trial
            choices: tuple[Choice, ...] = CHOICES if is_compared else ("plain", "chosen")
            choices = (*choices[:-1], "fused", choices[-1]) if device == "cuda" and len(choices) > 2 else choices
            choices = ("chosen",) if work == "720p" else choices
            baseline = 0.0
            for backend in choices:
                repeats = "1" if backend == "torchvision" and device == "cpu" else str(options.repeats)
                found = in_a_process(*common, "--repeats", repeats, "--line", preset, variant, work, backend)
                baseline = baseline or found["seconds"]
                row = {"preset": preset, "variant": variant, "work": work, "backend": backend, **found, "floor": least}
                rows.append(row)
                name = preset if variant == "cdgnet" else variant
                spread = f"{found['fastest']:.2f} - {found['slowest']:.2f}"
                print(
                    f"{name:16}{work:7}{backend:13}{found['seconds']:9.2f}{spread:>16}"
                    f"{found['seconds'] / baseline:9.2f}{found['seconds'] / least:9.1f}{found['MB']:8.0f}",
                    flush=True,
                )
    if options.save:
        kind = "trial" if options.trial else device
        save(options.save, "network", about, {"matrix_gmac_per_second": rate / 1e9, "rows": rows}, kind=kind)


if __name__ == "__main__":
    main()
