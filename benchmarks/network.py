"""Latency, training step and memory of whole networks, backends of the deformable convolution side by side.

Run ``python benchmarks/network.py`` for a table, with ``--save`` also for benchmarks/results/network-DATE-DEVICE.json.
A frame of 640 x 360 is restored in eval mode, by the backends that are chosen also one of 1280 x 720; a training step
is forward, losses and backward of two crops of 256 x 256, without the optimiser. Each line is a process of its own:
one pass to warm up, then the median of ``--repeats`` (torchvision's on a CPU, of minutes, a single one); its memory is
the largest resident set of that process (on CUDA what torch held). ``chosen`` is what a user gets: whatever
default_backend says of each layer. ``plain`` is grid_sample without strips and without channels_last, the baseline of
the ratios; a network without deformable layers has only these two.

The floor is honest multiply-accumulates, two operations each, over the matrix rate that this run measured (float32,
2048 x 2048); a training step counts thrice, for the backward pass multiplies twice as much as the forward.
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
    """Seconds and megabytes of one line, in this process."""
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
    """float32 multiply-accumulates a second, best of thirty."""
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
    """Seconds that the arithmetic alone takes."""
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
    parser.add_argument("--repeats", type=int, default=3, help="timed passes of each line")
    parser.add_argument("--threads", type=int, help="of torch on a CPU; its own choice if not given")
    parser.add_argument("--device", default=None, help="cpu or cuda; cuda where there is one")
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
