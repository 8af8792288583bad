"""GPU benchmark: the fused kernels, and the effect of each optimisation on a training step and a 1280 x 720 frame.

Usage: ``python benchmarks/gpu.py [--save]`` prints tables; ``--save`` also writes
benchmarks/results/gpu-DATE-DEVICE.json. No data are needed: weights, frames and offsets are random.

Times come from CUDA events between synchronisations: median, fastest and slowest. Optimisations are cumulative, each
row adding one to those above it. Ratios refer to the first row of the table: eager float32 with torchvision's
deformable convolution, contiguous tensors and the default Adam. The column ``floor`` is the time of the arithmetic
alone, at the rate of a large matrix product, as a share of the measured time. A row that fails prints the reason; the
others still run. No row starts after ``--minutes``.

``--device cpu`` only tests the script, on small shapes; its times are meaningless.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torchvision
from surroundings import add_save, save, surroundings
from torch import Tensor, nn

from cdgnet import CDGNet, ModelConfig, deblurring_losses
from cdgnet.cost import network_cost
from cdgnet.deform import Backend, conv, deform_conv2d
from cdgnet.deform.sample import by_sample

STEPS = 1_050_000  # number of steps of the paper's training
LEVELS = {"full": (6, 32, 256, 256), "half": (6, 64, 128, 128), "quarter": (6, 128, 64, 64), "720p": (1, 32, 720, 1280)}
HALF = torch.bfloat16

# Optimisations in the order in which they are added
_LAST = ("fused deform", "bfloat16", "compiled", "CUDA graphs", "max-autotune")
STEP_ROWS = ("eager float32", "channels last", "fused Adam", *_LAST)
FRAME_ROWS = ("eager float32", "channels last", *_LAST)
QUICK_ROWS = ("eager float32", "bfloat16", "CUDA graphs")


class Clock:
    """Times functions on a device, and enforces the time limit."""

    def __init__(self, device: torch.device, minutes: float, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self.end = time.monotonic() + 60 * minutes

    def measure(self, work: Callable[[], object]) -> dict[str, float]:
        """Time ``work`` in milliseconds, after three warm-up passes, and measure torch's peak memory in GB.

        On a CPU a single pass is made, because interpreted kernels take seconds each.
        """
        if self.device.type != "cuda":
            begun = time.perf_counter()
            work()
            return {"ms": 1000 * (time.perf_counter() - begun), "fastest": 0.0, "slowest": 0.0, "GB": 0.0}
        for _ in range(3):
            work()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        taken = []
        for _ in range(self.repeats):
            started, ended = (torch.cuda.Event(enable_timing=True) for _ in "12")  # type: ignore[no-untyped-call]
            started.record()
            work()
            ended.record()
            torch.cuda.synchronize()
            taken.append(started.elapsed_time(ended))
        peak = torch.cuda.max_memory_allocated() / 1e9
        return {"ms": statistics.median(taken), "fastest": min(taken), "slowest": max(taken), "GB": peak}

    def guarded(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of ``work``, or the reason for its failure under ``failed``."""
        if time.monotonic() > self.end:
            return {"failed": "not measured: out of time"}
        try:
            return work()
        except Exception as error:
            return {"failed": " ".join(f"{type(error).__name__}: {error}".split())[:200]}


@contextmanager
def chosen(backend: Backend) -> Iterator[None]:
    """Use a backend for all deformable convolutions; no effect on a CPU, where fused cannot run."""
    kept = conv.default_backend
    if torch.cuda.is_available():
        conv.default_backend = lambda device: backend
    try:
        yield
    finally:
        conv.default_backend = kept


def convolution(shape: tuple[int, int, int, int], backend: Backend, kind: torch.dtype, clock: Clock) -> dict[str, Any]:
    """Time one layer with offsets of up to half a pixel, forward and with backward, and measure its error."""
    torch.manual_seed(0)
    batch, channels, *place = shape
    shapes = (shape, (batch, 36, *place), (batch, 18, *place), (channels, channels, 3, 3), (channels,))
    leaves = [torch.rand(each, device=clock.device) - 0.5 for each in shapes]
    if backend == "fused":
        leaves[:3] = [each.to(memory_format=torch.channels_last) for each in leaves[:3]]
    exact = [each.clone() for each in leaves]
    leaves[0] = leaves[0].to(kind)
    leaves = [each.requires_grad_() for each in leaves]

    def forward() -> Tensor:
        features, offset, modulation, weight, bias = leaves
        return deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend=backend)

    def both() -> tuple[Tensor, ...]:
        return torch.autograd.grad(forward(), leaves, torch.ones((), device=clock.device, dtype=kind).expand(shape))

    with torch.no_grad():
        found = {"forward": clock.measure(forward)}
        features, offset, modulation, weight, bias = exact
        wanted = by_sample(features, offset, modulation, weight, bias, 1)
        error = (forward().float() - wanted).abs().max() / wanted.abs().max()
    return found | {"forward and backward": clock.measure(both), "relative_error": float(error)}


def kernels(clock: Clock, levels: dict[str, tuple[int, int, int, int]]) -> list[dict[str, Any]]:
    print(
        f"{'layer':9}{'backend':22}{'forward ms':>11}{'ratio':>7}{'with backward':>15}{'ratio':>7}{'GB':>6}{'error':>9}"
    )
    rows = []
    for level, shape in levels.items():
        base: dict[str, Any] = {}
        for backend, kind in (("torchvision", torch.float32), ("fused", torch.float32), ("fused", HALF)):
            found = clock.guarded(lambda s=shape, b=backend, k=kind: convolution(s, b, k, clock))  # type: ignore[misc]
            name = f"{backend} {str(kind).removeprefix('torch.')}"
            rows.append({"level": level, "shape": shape, "backend": name, **found})
            if "failed" in found:
                print(f"{level:9}{name:22}{found['failed']}", flush=True)
                continue
            base = base or found
            one, two = (found[work]["ms"] for work in ("forward", "forward and backward"))
            ratios = [base[work]["ms"] / found[work]["ms"] for work in ("forward", "forward and backward")]
            print(
                f"{level:9}{name:22}{one:11.3f}{ratios[0]:7.1f}{two:15.3f}{ratios[1]:7.1f}"
                f"{found['forward and backward']['GB']:6.2f}{found['relative_error']:9.1e}",
                flush=True,
            )
    return rows


def compiler(clock: Clock) -> str:
    """Return the backend of torch.compile; on a CPU one that only traces, because its times are meaningless."""
    return "inductor" if clock.device.type == "cuda" else "aot_eager"


def compiled(network: CDGNet, has: Mapping[str, bool], clock: Clock) -> Callable[[Tensor], Any]:
    """Compile a network with the optimisations of a row."""
    if not has["compiled"]:
        return network
    mode = "max-autotune" if has["max-autotune"] else "reduce-overhead" if has["CUDA graphs"] else None
    is_real = clock.device.type == "cuda"
    return torch.compile(network, mode=mode if is_real else None, backend=compiler(clock))


def new_network(preset: str, device: torch.device, *, is_last: bool) -> CDGNet:
    """Return a network with random non-zero heads and offsets of about a pixel, as after some training."""
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset(preset)).to(device)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.any():
                module.weight.normal_(std=0.1 / (module.in_channels * 9) ** 0.5)
                if isinstance(module.bias, Tensor) and module.out_channels == 54:
                    module.bias.normal_(std=0.5)
    return network.to(memory_format=torch.channels_last if is_last else torch.contiguous_format)


def step_row(row: int, preset: str, shape: tuple[int, int], clock: Clock) -> dict[str, Any]:
    """Time a training step with the optimisations up to ``row``."""
    torch._dynamo.reset()
    has = dict(zip(STEP_ROWS, [index <= row for index in range(len(STEP_ROWS))], strict=True))
    batch, side = shape
    network = new_network(preset, clock.device, is_last=has["channels last"])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True if has["fused Adam"] else None)
    blurry, sharp = (torch.rand(batch, 3, side, side, device=clock.device) - 0.5 for _ in "12")
    mask = (torch.rand(batch, 1, side, side, device=clock.device) > 0.5).float()
    model = compiled(network, has, clock)

    def step() -> None:
        if has["CUDA graphs"]:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with torch.autocast(clock.device.type, HALF) if has["bfloat16"] else nullcontext():
            losses = deblurring_losses(model(blurry), sharp, mask, lambda_small=0.1, lambda_large=0.1)
        losses.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    with chosen("fused" if has["fused deform"] else "torchvision"):
        found: dict[str, Any] = clock.measure(step)
        found["kernels"] = busiest(step)
    return found


def frame_row(row: int, preset: str, size: tuple[int, int], clock: Clock) -> dict[str, Any]:
    """Time a frame with the optimisations up to ``row``; also return the restored frame, on the CPU."""
    torch._dynamo.reset()
    has = dict(zip(FRAME_ROWS, [index <= row for index in range(len(FRAME_ROWS))], strict=True))
    network = new_network(preset, clock.device, is_last=has["channels last"]).eval()
    torch.manual_seed(1)
    blurry = torch.rand(1, 3, *size, device=clock.device) - 0.5
    blurry = nn.functional.avg_pool2d(blurry, 9, stride=1, padding=4) * 5  # as smooth as a blurry frame
    model = compiled(network, has, clock)

    @torch.no_grad()
    def restore() -> Tensor:
        with torch.autocast(clock.device.type, HALF) if has["bfloat16"] else nullcontext():
            restored: Tensor = model(blurry).restored
            return restored

    with chosen("fused" if has["fused deform"] else "torchvision"):
        found: dict[str, Any] = clock.measure(restore)
        found["kernels"] = busiest(restore)
        found["restored"] = restore().float().cpu()
    return found


def busiest(work: Callable[[], object]) -> list[tuple[str, float]]:
    """Return the slowest CUDA kernels of one pass, with their times in ms."""
    if not torch.cuda.is_available():
        return []
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    events = sorted(profiler.key_averages(), key=lambda each: -each.device_time_total)
    return [(each.key[:90], round(each.device_time_total / 1000, 3)) for each in events[:15]]


def matrix_rate(kind: torch.dtype, clock: Clock) -> float:
    """Measure the multiply-accumulates per second of one large matrix product."""
    side = 8192 if clock.device.type == "cuda" else 256
    one, other = (torch.rand(side, side, device=clock.device, dtype=kind) for _ in "12")
    return side**3 / (clock.measure(lambda: one @ other)["ms"] / 1000)


def table(
    names: dict[int, str], floor: float, measure: Callable[[int], dict[str, Any]], clock: Clock, unit: str
) -> list[dict[str, Any]]:
    """Measure and profile each row of a table."""
    print(f"{'optimisations, cumulative':28}{'ms':>9}{'spread':>18}{'ratio':>7}{'floor':>9}{'GB':>6}  {unit}")
    rows: list[dict[str, Any]] = []
    reference: Tensor | None = None
    for index, name in names.items():
        found = clock.guarded(lambda i=index: measure(i))  # type: ignore[misc]
        restored = found.pop("restored", None)
        rows.append({"row": name, **found})
        if "failed" in found:
            print(f"{name:28}{found['failed']}", flush=True)
            continue
        base = next(row["ms"] for row in rows if "ms" in row)
        found |= {"ratio": base / found["ms"], "share_of_floor": floor / found["ms"]}
        said = f"{STEPS * found['ms'] / 3.6e6:.1f} h"
        if restored is not None:
            reference = restored if reference is None else reference
            found["psnr_change_dB"], found["largest_difference"] = difference(restored, reference)
            said = f"{found['psnr_change_dB']:+.4f} dB, {found['largest_difference']:.1e}"
        rows[-1].update(found)
        spread = f"{found['fastest']:.2f} - {found['slowest']:.2f}"
        print(f"{name:28}{found['ms']:9.2f}{spread:>18}{found['ratio']:7.2f}", end="")
        print(f"{found['share_of_floor']:9.0%}{found['GB']:6.2f}  {said}", flush=True)
    return rows


def tables(clock: Clock, rate: float, *, is_quick: bool, autotunes: bool) -> dict[str, Any]:
    """Measure a frame and a training step; their floors follow from ``rate``, in multiply-accumulates per second."""
    is_real = clock.device.type == "cuda"

    def rows(names: tuple[str, ...]) -> dict[int, str]:
        wanted = QUICK_ROWS if is_quick else names[:-1]
        return {index: name for index, name in enumerate(names) if name in wanted or (autotunes and name == names[-1])}

    preset, (batch, side), size = ("paper", (6, 256), (720, 1280)) if is_real else ("tiny", (1, 16), (16, 16))
    costs = {place: network_cost(ModelConfig.preset(preset), *place)["total"].honest for place in ((side, side), size)}
    floors = [1000 * macs / rate for macs in (3 * batch * costs[side, side], costs[size])]
    print(f"\na frame of {size[1]} x {size[0]}, preset {preset}; floor {floors[1]:.2f} ms (arithmetic, bfloat16)")
    restoring = table(
        rows(FRAME_ROWS), floors[1], lambda i: frame_row(i, preset, size, clock), clock, "PSNR, max. change"
    )
    print(f"\na training step of {batch} x {side} x {side}, preset {preset}; floor {floors[0]:.2f} ms")
    training = table(
        rows(STEP_ROWS), floors[0], lambda i: step_row(i, preset, (batch, side), clock), clock, f"{STEPS:,} steps"
    )
    for name, measured in (("frame", restoring), ("step", training)):
        last = [row for row in measured if "kernels" in row][-1:]
        for key, milliseconds in last[0]["kernels"] if last else ():
            print(f"{name:6}{milliseconds:9.3f} ms  {key}")
    return {"floors_ms": floors, "frame": restoring, "step": training}


def difference(restored: Tensor, reference: Tensor) -> tuple[float, float]:
    """Return the change of a PSNR of 31 dB (the paper's), and the largest difference of a pixel value in [0, 1]."""
    torch.manual_seed(2)
    sharp = reference + torch.randn_like(reference) * 10 ** (-31 / 20)
    one, other = (-10 * torch.log10((each - sharp).square().mean()) for each in (restored, reference))
    return float(one - other), float((restored - reference).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to test the script [%(default)s]")
    parser.add_argument("--minutes", type=float, default=8.0, help="time limit: no row starts later [%(default)s]")
    parser.add_argument("--repeats", type=int, default=30, help="timed passes per row [%(default)s]")
    parser.add_argument("--quick", action="store_true", help=f"only the rows {', '.join(QUICK_ROWS)}; half the time")
    parser.add_argument("--autotune", action="store_true", help="also compile with max-autotune, which takes minutes")
    add_save(parser)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device found; use --device cpu to test the script on small shapes")
    device = torch.device(options.device)
    clock = Clock(device, options.minutes, options.repeats)
    is_real = device.type == "cuda"
    about = surroundings() | {"torch": torch.__version__, "torchvision": torchvision.__version__}
    if is_real:
        about["device"] = torch.cuda.get_device_name()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rates = {str(kind).removeprefix("torch."): matrix_rate(kind, clock) for kind in (torch.float32, HALF)}
    print("matrix products: " + ", ".join(f"{kind} {rate / 1e12:.1f} TMac/s" for kind, rate in rates.items()))

    levels = LEVELS if is_real else {"full": (1, 8, 4, 4)}
    print("\none deformable convolution, C to C channels; ratio: speed relative to torchvision")
    found = {"kernels": kernels(clock, levels)} | tables(
        clock, rates["bfloat16"], is_quick=options.quick, autotunes=options.autotune
    )
    if options.save:
        kind = str(about["device"]).replace(" ", "-").lower() if is_real else "cpu"
        name = "gpu-quick" if options.quick else "gpu"
        save(options.save, name, about, {"macs_per_second": rates, **found}, kind=kind)


if __name__ == "__main__":
    main()
