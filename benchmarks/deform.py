"""Time of each backend of the deformable convolution, beside torchvision's.

Run ``python benchmarks/deform.py`` for a table, with ``--save`` also for benchmarks/results/deform-DATE-DEVICE.json.
The shapes are those of the presets tiny (96 x 96 crops), paper (one 256 x 256 crop) and, forward only, of tiny on a
1280 x 720 frame. A ratio above 1 is slower than torchvision in the same run.
"""

import argparse
import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torchvision
from surroundings import RESULTS
from surroundings import surroundings as machine
from torch import Tensor

from cdgnet.deform import BACKENDS, Backend, deform_conv2d
from pipelines.timing import times

GROUPS = 2
TAPS = 9


@dataclass(frozen=True, kw_only=True)
class Case:
    """One call: ``(batch, channels, height, width)`` in, as many channels out."""

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


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement: median and quartiles over the repeats, in ms."""

    case: str
    shape: tuple[int, int, int, int]
    work: str
    backend: str
    median_ms: float
    quartiles_ms: tuple[float, float]
    ratio: float


def make_inputs(case: Case, device: torch.device) -> list[Tensor]:
    """Features, offsets of half a pixel, modulation, weight and bias."""
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


def measure(case: Case, repeats: int, device: torch.device) -> list[Row]:
    """All backends on one case; torchvision is the baseline."""
    inputs = make_inputs(case, device)
    works = {"forward": forward, "forward+backward": forward_and_backward}
    rows: list[Row] = []
    for name, work in works.items():
        if work is forward_and_backward and not case.has_backward:
            continue
        found = {}
        # On a CPU another backend would take the place of fused.
        for backend in BACKENDS if device.type == "cuda" else BACKENDS[:-1]:
            seconds = times(lambda w=work, b=backend: w(inputs, b), device, repeats)  # type: ignore[misc]
            found[backend] = [1000 * each for each in seconds]
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
    """What a reader must know to compare these times with others."""
    about = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    if device.type == "cuda":
        about["device"] = torch.cuda.get_device_name(device)
    return about | {"torchvision": torchvision.__version__}


def save(rows: list[Row], about: dict[str, str | int], kind: str) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"deform-{about['date']}-{kind}.json"
    path.write_text(json.dumps({**about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each line, at least 2")
    parser.add_argument("--save", action="store_true", help="also write a dated JSON")
    options = parser.parse_args()
    if options.repeats < 2:
        parser.error(f"--repeats is {options.repeats}, and a spread needs 2; pass --repeats 5")
    device = torch.device(options.device)
    about = surroundings(device)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{'case':18}{'work':18}{'backend':13}{'median ms':>10}{'quartiles ms':>18}{'ratio':>7}")
    rows: list[Row] = []
    for case in CASES:
        for row in measure(case, options.repeats, device):
            spread = f"{row.quartiles_ms[0]:.1f} - {row.quartiles_ms[1]:.1f}"
            print(f"{row.case:18}{row.work:18}{row.backend:13}{row.median_ms:10.1f}{spread:>18}{row.ratio:7.2f}")
            rows.append(row)
    if options.save:
        print(f"written: {save(rows, about, device.type)}")


if __name__ == "__main__":
    main()
