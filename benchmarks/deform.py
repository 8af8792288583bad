"""Speed of the deformable convolution's backends relative to torchvision, alone and in a decoder's layer.

Usage: ``python benchmarks/deform.py [--save]`` prints a table; ``--save`` also writes
benchmarks/results/deform-DATE-DEVICE.json.

Shapes are those of the presets tiny (four 96 x 96 crops) and paper (one 256 x 256 crop), and for the forward pass
those of tiny on a 1280 x 720 frame. A layer also predicts the offsets, and adds ReLU, 1x1 convolution and skip
connection; ``numba`` computes all of it in one pass. A ratio above 1 means slower than torchvision in the same run.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
import torchvision
from surroundings import add_save, add_trial, save
from surroundings import surroundings as machine
from torch import Tensor

from cdgnet.decoder import DeformableLayer
from cdgnet.deform import BACKENDS, Backend, conv, deform_conv2d
from pipelines.timing import times

GROUPS = 2
TAPS = 9


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case to measure: shape of the input, ``(batch, channels, height, width)``; the output has as many channels."""

    name: str
    shape: tuple[int, int, int, int]
    has_backward: bool = True


CASES = (
    Case(name="tiny, full", shape=(4, 8, 96, 96)),
    Case(name="tiny, half", shape=(4, 16, 48, 48)),
    Case(name="tiny, quarter", shape=(4, 32, 24, 24)),
    Case(name="paper, full", shape=(1, 32, 256, 256)),
    Case(name="paper, quarter", shape=(1, 128, 64, 64)),
    Case(name="tiny, 1280 x 720", shape=(1, 8, 720, 1280), has_backward=False),
)
TRIAL = (Case(name="trial", shape=(1, 8, 16, 16)),)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement: median and quartiles over the repeats."""

    case: str
    shape: tuple[int, int, int, int]
    work: str
    backend: str
    median_ms: float
    quartiles_ms: tuple[float, float]
    ratio: float


def make_inputs(case: Case, device: torch.device) -> list[Tensor]:
    """Return random features, offsets of about half a pixel, modulation, weight and bias."""
    torch.manual_seed(0)
    batch, channels, height, width = case.shape
    place = (height, width)
    inputs = (
        torch.randn(case.shape),
        torch.randn(batch, 2 * GROUPS * TAPS, *place) / 2,
        torch.rand(batch, GROUPS * TAPS, *place),
        torch.randn(channels, channels, 3, 3) / 10,
        torch.randn(channels),
    )
    return [tensor.to(device) for tensor in inputs]


def forward(inputs: list[Tensor], backend: Backend) -> None:
    features, offset, modulation, weight, bias = inputs
    with torch.inference_mode():
        deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend=backend)


def forward_and_backward(inputs: list[Tensor], backend: Backend) -> None:
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    features, offset, modulation, weight, bias = leaves
    result = deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend=backend)
    torch.autograd.grad(result.sum(), leaves)


def make_layer(case: Case, device: torch.device) -> DeformableLayer:
    """Return a decoder's layer with offsets of about half a pixel."""
    torch.manual_seed(0)
    channels = case.shape[1]
    layer = DeformableLayer(channels, GROUPS)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5 / (TAPS * channels) ** 0.5)
    return layer.to(device).to(memory_format=torch.channels_last)


def works(case: Case, device: torch.device) -> dict[str, Callable[[Backend], None]]:
    """Return the timed functions of a case, by name; each takes a backend."""
    inputs, layer = make_inputs(case, device), make_layer(case, device)
    features = inputs[0].contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def layer_forward(backend: Backend) -> None:
        conv.default_backend = lambda device: backend
        layer(features)

    def layer_and_backward(backend: Backend) -> None:
        conv.default_backend = lambda device: backend
        leaves = [features.detach().requires_grad_(), *layer.parameters()]
        torch.autograd.grad(layer(leaves[0]).sum(), leaves)

    found: dict[str, Callable[[Backend], None]] = {
        "forward": lambda backend: forward(inputs, backend),
        "layer forward": layer_forward,
    }
    if case.has_backward:
        found["forward+backward"] = lambda backend: forward_and_backward(inputs, backend)
        found["layer forward+backward"] = layer_and_backward
    return found


def measure(case: Case, repeats: int, device: torch.device) -> list[Row]:
    """Time all backends on one case; torchvision is the baseline."""
    rows: list[Row] = []
    # On a CPU, fused would fall back to another backend.
    backends = BACKENDS if device.type == "cuda" else BACKENDS[:-1]
    for name, work in works(case, device).items():
        found: dict[Backend, list[float]] = {backend: [] for backend in backends}
        for _ in range(repeats):  # alternating, so that a slow phase of the machine affects all backends
            for backend in backends:
                (seconds,) = times(lambda w=work, b=backend: w(b), device, 1)  # type: ignore[misc]
                found[backend].append(1000 * seconds)
        baseline = statistics.median(found["torchvision"])
        for backend, each in found.items():
            middle = statistics.median(each)
            low, _, high = statistics.quantiles(each, n=4)
            rows.append(
                Row(
                    case=case.name,
                    shape=case.shape,
                    work=name,
                    backend=backend,
                    median_ms=round(middle, 3),
                    quartiles_ms=(round(low, 3), round(high, 3)),
                    ratio=round(middle / baseline, 3),
                )
            )
    return rows


def surroundings(device: torch.device) -> dict[str, str | int]:
    """Return machine, versions and threads, for comparison with other results."""
    about = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    if device.type == "cuda":
        about["device"] = torch.cuda.get_device_name(device)
    return about | {"torchvision": torchvision.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda [%(default)s]"
    )
    parser.add_argument("--threads", type=int, help="threads of torch on a CPU [torch's default]")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs per row, at least 2 [%(default)s]")
    add_trial(parser)
    add_save(parser)
    options = parser.parse_args()
    if options.repeats < 2:
        parser.error(f"--repeats is {options.repeats}; quartiles need at least 2, for example --repeats 5")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    about = surroundings(device)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'case':18}{'work':24}{'backend':13}{'median ms':>10}{'quartiles ms':>18}{'ratio':>7}")
    rows: list[Row] = []
    for case in TRIAL if options.trial else CASES:
        for row in measure(case, options.repeats, device):
            spread = f"{row.quartiles_ms[0]:.1f} - {row.quartiles_ms[1]:.1f}"
            print(f"{row.case:18}{row.work:24}{row.backend:13}{row.median_ms:10.1f}{spread:>18}{row.ratio:7.2f}")
            rows.append(row)
    if options.save:
        kind = "trial" if options.trial else device.type
        save(options.save, "deform", about, {"rows": [asdict(row) for row in rows]}, kind=kind)


if __name__ == "__main__":
    main()
