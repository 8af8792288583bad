"""What only a GPU can show of whole commands and runs; the kernels' own tests are in cdgnet/deform."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from commands import call
from films import smooth, write_film
from lightning_fabric import Fabric
from training_runs import TWO_BRANCHES, curve, train, weights

from cdgnet import CDGNet, ModelConfig, load_weights, save_weights
from cdgnet.deform import deform_conv2d
from pipelines.restore.restorer import Restorer
from prep.io import frames

pytestmark = pytest.mark.gpu
STEPS = replace(TWO_BRANCHES, steps=4, log_every=1)


def cuda(precision: str = "32-true") -> Fabric:
    return Fabric(accelerator="cuda", devices=1, precision=precision)  # type: ignore[arg-type]


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in curve(folder)]


def make_network() -> CDGNet:
    """Random weights that change a frame."""
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset("tiny"))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    return network


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_weights(tmp_path / "w.safetensors", make_network(), {})
    return tmp_path / "w.safetensors"


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(os.environ, "CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def test_a_gpu_learns_what_a_cpu_learns(train_pack: Path, tmp_path: Path) -> None:
    train(train_pack, tmp_path / "cpu", STEPS)
    train(train_pack, tmp_path / "gpu", STEPS, fabric=cuda())

    # Convolutions in TF32, which keeps three digits; Adam's first steps are the gradient's signs.
    assert losses(tmp_path / "gpu") == pytest.approx(losses(tmp_path / "cpu"), rel=0.02)


@pytest.mark.parametrize("graphs", [False, True])
def test_a_compiled_step_learns_what_an_eager_one_learns(train_pack: Path, tmp_path: Path, graphs: bool) -> None:
    train(train_pack, tmp_path / "eager", STEPS, fabric=cuda())
    # Logged steps run eagerly, so that only steps 2 and 3 are compiled.
    settings = replace(STEPS, compile=True, graphs=graphs, log_every=4)
    train(train_pack, tmp_path / "compiled", settings, fabric=cuda())

    assert losses(tmp_path / "compiled")[-1] == pytest.approx(losses(tmp_path / "eager")[-1], rel=0.02)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_learns_what_float32_learns(train_pack: Path, tmp_path: Path, precision: str) -> None:
    settings = replace(STEPS, steps=30, learning_rate=5e-4)
    train(train_pack, tmp_path / "exact", settings, fabric=cuda())
    train(train_pack, tmp_path / "mixed", replace(settings, precision=precision), fabric=cuda(precision))

    exact, mixed = losses(tmp_path / "exact"), losses(tmp_path / "mixed")
    assert sum(mixed[-5:]) < 0.7 * sum(mixed[:5])
    assert sum(mixed[-5:]) == pytest.approx(sum(exact[-5:]), rel=0.1)


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    deterministic: None, train_pack: Path, tmp_path: Path, precision: str
) -> None:
    settings = replace(STEPS, precision=precision)
    train(train_pack, tmp_path / "whole", settings, fabric=cuda(precision))
    train(train_pack, tmp_path / "parts", settings, stop_after=2, fabric=cuda(precision))
    train(train_pack, tmp_path / "parts", settings, fabric=cuda(precision))

    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    for name, weight in weights(tmp_path / "whole").items():
        assert torch.equal(weight, weights(tmp_path / "parts")[name]), name


def test_where_memory_runs_out_tiles_are_halved_and_the_frame_is_the_same() -> None:
    frame = torch.rand(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0)) - 0.5
    whole = Restorer(make_network(), cuda())(frame)
    torch.cuda.reset_peak_memory_stats()
    restorer = Restorer(make_network(), cuda())
    restorer(frame)
    needed, total = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.7 * needed / total)
    try:
        restored = restorer(frame)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

    assert restorer.tile < 1024
    # TF32, and algorithms that cuDNN chooses by the size.
    torch.testing.assert_close(restored, whole, rtol=0, atol=2e-3)


def test_an_ordinary_frame_needs_no_tiles_and_a_huge_one_does() -> None:
    assert Restorer(make_network(), cuda()).tile >= 1280
    assert Restorer(make_network(), cuda(), batch=10**5).tile < 1280


def test_pictures_are_restored_as_on_a_cpu_one_by_one_or_in_batches(saved: Path, tmp_path: Path) -> None:
    for number in range(5):
        frames.write(tmp_path / "in" / f"{number}.png", smooth(number))
    for out, words in (("one", ()), ("four", ("--batch", "4")), ("half", ("--precision", "16-mixed"))):
        done = call(tmp_path, "deblur", "in", "--weights", saved, "--out", out, *words)
        assert done.returncode == 0, done.stderr
    network = load_weights(saved).eval()
    for number in range(5):
        blurry = torch.from_numpy(smooth(number)).permute(2, 0, 1)[None] / 255 - 0.5
        with torch.no_grad():
            wanted = ((network(blurry).restored + 0.5) * 255)[0].permute(1, 2, 0).numpy().clip(0, 255)
        for out in ("one", "four", "half"):
            found = frames.read(tmp_path / out / f"{number}.png").astype(float)
            assert np.abs(found - wanted).max() < 2, out


def test_a_video_is_restored(saved: Path, tmp_path: Path) -> None:
    write_film(tmp_path / "clip.mp4", (smooth(number) for number in range(12)))

    done = call(tmp_path, "deblur", "clip.mp4", "--weights", saved, "--batch", "4", "--precision", "bf16-mixed")

    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "restored" / "clip.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 12


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("place", "groups"), [((61, 83), 2), ((128, 96), 4)])
def test_the_fused_kernel_compiled_agrees_with_float64(kind: torch.dtype, place: tuple[int, int], groups: int) -> None:
    chance = torch.Generator().manual_seed(0)
    shapes = ((2, 32, *place), (2, 18 * groups, *place), (2, 9 * groups, *place), (24, 32, 3, 3), (24,))
    inputs = [torch.randn(shape, generator=chance) for shape in shapes]
    # Between two pixels, where float32 and float64 agree on which they are: at a pixel the gradient jumps.
    inputs[1] = (inputs[1] * 64).round() / 64 + 1 / 128
    inputs[0], inputs[3] = inputs[0].to(kind), inputs[3].to(kind).float()

    def convolve(*tensors: torch.Tensor, backend: str) -> torch.Tensor:
        return deform_conv2d(*tensors, padding=1, backend=backend)  # type: ignore[call-arg, arg-type]

    results = []
    for backend, given in (("fused", [each.cuda() for each in inputs]), ("sample", [each.double() for each in inputs])):
        leaves = [each.detach().requires_grad_() for each in given]
        run = torch.compile(convolve, fullgraph=True, dynamic=False) if backend == "fused" else convolve
        result = run(*leaves, backend=backend)
        ramp = torch.linspace(-1, 1, result.numel(), device=result.device).view_as(result).to(result.dtype)
        results.append((result.detach(), *torch.autograd.grad((result * ramp).sum(), leaves)))
    digits = {torch.float32: 2e-5, torch.bfloat16: 2**-7, torch.float16: 2**-10}[kind]
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(
            found.cpu().double(), wanted, rtol=0, atol=digits * float(wanted.abs().max()), check_dtype=False
        )
