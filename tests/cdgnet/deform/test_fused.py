"""The fused deformable convolution against torchvision's in float64; on a CPU in Triton's interpreter.

Legend: B batch, C channels in, D channels out, H and W height and width, K taps, G offset groups.
"""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from deform_inputs import Inputs, make_inputs
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from cdgnet.deform import DeformConv, conv, deform_conv2d

fused = pytest.importorskip("cdgnet.deform.fused", exc_type=ImportError)

# The interpreter of Triton before 3.8 makes an int of an array of one number. NumPy warns, and from 2.4 on refuses.
pytestmark = [
    pytest.mark.skipif(
        "only 0-dimensional arrays" in fused.fault(torch.device("cpu"), torch.float32, 8, 8),
        reason="this Triton's interpreter does not work with this NumPy: pip install 'numpy<2.4', or a newer torch",
    ),
    pytest.mark.filterwarnings("ignore:Conversion of an array with ndim:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),  # NumPy's, in the interpreter
]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def convolve(inputs: Inputs, padding: int = 1, backend: conv.Backend = "fused") -> Tensor:
    """As ``deform_conv2d``, but with no other backend in the place of one that fails."""
    features, offset, modulation, weight, bias = inputs
    if backend == "fused":
        result: Tensor = fused.by_fused(features, offset, modulation, weight, bias, padding)
        return result
    return deform_conv2d(features, offset, modulation, weight, bias, padding=padding, backend=backend)


def differentiated(inputs: Inputs, backend: conv.Backend, padding: int = 1) -> tuple[Tensor, ...]:
    """The result and all gradients."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    result = convolve(leaves, padding, backend)
    # A weight for each output value, so that no two mistakes cancel in the sum.
    weights = torch.linspace(-1, 1, result.numel(), device=result.device).view_as(result).to(result.dtype)
    return result.detach(), *torch.autograd.grad((result * weights).sum(), leaves)


def assert_agree(inputs: Inputs, tolerance: float, padding: int = 1, device: str = "cpu") -> None:
    """fused, on a device, against torchvision in float64."""
    found = differentiated([tensor.to(device) for tensor in inputs], "fused", padding)
    wanted = differentiated([tensor.double() for tensor in inputs], "torchvision", padding)
    for one, other in zip(found, wanted, strict=True):
        largest = max(1.0, float(other.abs().max())) if other.numel() else 1.0
        torch.testing.assert_close(one.cpu().double(), other, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow), DEVICES[1]])
@settings(max_examples=8, deadline=None, phases=[Phase.generate])  # the interpreter is too slow to shrink
@given(
    groups=st.sampled_from([1, 2, 4]),
    place=st.tuples(st.integers(1, 5), st.integers(1, 7)),
    scale=st.sampled_from([0.0, 0.3, 3.0, 40.0, 1e6]),
    whole=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_value_and_every_gradient_agree_with_torchvision(
    device: str, groups: int, place: tuple[int, int], scale: float, whole: bool, seed: int
) -> None:
    inputs = make_inputs(groups, place=place, scale=scale, whole=whole, seed=seed)
    # float32 beside float64: a column of 63 is known to 4e-6, and its bilinear share with it.
    assert_agree(inputs, 3e-5, device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("size", "padding"), [(1, 0), (3, 0), (3, 2), (5, 2)])
def test_other_kernels_agree_with_torchvision(device: str, size: int, padding: int) -> None:
    assert_agree(make_inputs(1, 3, 2, size=size, padding=padding), 3e-5, padding, device)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("channels", "outputs"), [(32, 1), (40, 24), (128, 128)])
def test_widths_of_the_network_and_odd_ones_agree_with_torchvision(device: str, channels: int, outputs: int) -> None:
    assert_agree(make_inputs(2, channels, outputs, place=(3, 7)), 3e-5, device=device)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_more_pixels_than_a_block_agree_with_torchvision(device: str) -> None:
    assert_agree(make_inputs(1, 2, 2, place=(9, 11)), 3e-5, device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("kind", "digits"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_rounds_samples_and_products_only(device: str, kind: torch.dtype, digits: float) -> None:
    features, offset, modulation, weight, bias = make_inputs(2, 16, 8)
    # The reference gets the same rounded features and kernel: only the samples' rounding is left, and the result's.
    features, weight = features.to(kind), weight.to(kind)
    wanted = differentiated([each.double() for each in (features, offset, modulation, weight, bias)], "torchvision")
    inputs = [each.to(device) for each in (features, offset, modulation, weight.float(), bias)]
    found = differentiated(inputs, "fused")
    assert [each.dtype for each in found] == [kind, kind, *[torch.float32] * 4]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.cpu().double(), other, rtol=0, atol=2 * digits * float(other.abs().max()))


@pytest.mark.slow
def test_how_the_inputs_lie_in_memory_changes_nothing() -> None:
    features, offset, modulation, weight, bias = make_inputs()
    moves = torch.cat((offset, modulation), dim=1).contiguous(memory_format=torch.channels_last)
    wanted = differentiated([features, offset, modulation, weight, bias], "fused")
    features = features.contiguous(memory_format=torch.channels_last)
    leaves = [features, *moves.tensor_split((36,), dim=1), weight.to(memory_format=torch.channels_last), bias]
    leaves = [tensor.detach().requires_grad_() for tensor in leaves]
    assert leaves[1].stride() == moves.stride()  # a view of some channels, as the network's are
    result = convolve(leaves)
    weights = torch.linspace(-1, 1, result.numel()).view_as(result)
    for one, other in zip((result, *torch.autograd.grad((result * weights).sum(), leaves)), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
def test_a_relu_may_work_in_place_on_the_result() -> None:
    inputs = make_inputs()
    leaves = [tensor.requires_grad_() for tensor in inputs]
    found = torch.autograd.grad(convolve(leaves).relu_().sum(), leaves)
    wanted = torch.autograd.grad(convolve(leaves).relu().sum(), leaves)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_nothing_beyond_the_tensors_is_read() -> None:
    inputs = make_inputs(batch=1)
    wanted = differentiated(inputs, "fused")
    # Each tensor in the midst of values that are no numbers; 20 pixels are no whole block.
    held = [torch.full((tensor.numel() + 4096,), torch.nan) for tensor in inputs]
    for index, tensor in enumerate(inputs):
        last = tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        inside = held[index].as_strided(last.shape, last.stride(), 2048)
        inputs[index] = inside.copy_(tensor)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    result = convolve(leaves)
    weights = torch.linspace(-1, 1, result.numel()).view_as(result)
    found = (result, *torch.autograd.grad((result * weights).sum(), leaves))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_an_offset_that_is_no_number_shows_in_the_result() -> None:
    inputs = make_inputs()
    inputs[1][0, 0, 2, 3] = torch.nan
    found = convolve(inputs)
    wrong = torch.zeros(2, 5, 4, 5, dtype=torch.bool)
    wrong[0, :, 2, 3] = True
    assert torch.equal(found.isnan(), wrong)


def test_an_empty_batch_gives_empty_results() -> None:
    found = differentiated([each[:0] if index < 3 else each for index, each in enumerate(make_inputs())], "fused")
    assert found[0].shape == (0, 5, 4, 5)
    assert found[1].shape == (0, 8, 4, 5)
    assert not found[4].any()


@pytest.fixture
def whole_numbers():  # type: ignore[no-untyped-def]
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_sums_of_whole_numbers_agree_with_torchvision(whole_numbers: None, device: str, size: float) -> None:
    inputs = make_inputs()
    inputs[3] *= size  # and with it the gradient of the features
    found = differentiated([tensor.to(device) for tensor in inputs], "fused")[1].cpu().double()
    wanted = differentiated([tensor.double() for tensor in inputs], "torchvision")[1]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


def test_a_gradient_that_is_no_number_shows_in_sums_of_whole_numbers(whole_numbers: None) -> None:
    inputs = make_inputs()
    result = convolve([inputs[0].requires_grad_(), *inputs[1:]])
    given = torch.ones_like(result)
    given[0, 0, 0, 0] = torch.inf
    (found,) = torch.autograd.grad(result, inputs[0], given)
    assert found.isnan().any()


@pytest.mark.gpu
def test_two_runs_are_bit_equal_where_asked(whole_numbers: None) -> None:
    inputs = [tensor.cuda() for tensor in make_inputs(2, 32, 32, place=(64, 64), scale=20.0)]
    for one, other in zip(differentiated(inputs, "fused"), differentiated(inputs, "fused"), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # opcheck's own
def test_torch_library_finds_no_fault() -> None:
    *maps, bias = make_inputs(1, place=(3, 4))
    maps = [each.contiguous(memory_format=torch.channels_last) for each in maps]
    given = torch.randn(2, 5, 3, 4)
    torch.library.opcheck(torch.ops.cdgnet.deform_conv2d_backward.default, (given, *maps, 1, True))
    leaves = [each.detach().requires_grad_() for each in (*maps, bias)]
    torch.library.opcheck(torch.ops.cdgnet.deform_conv2d.default, (*leaves, 1))


@pytest.mark.slow
def test_a_compiled_layer_is_one_graph_with_the_same_gradients() -> None:
    inputs = make_inputs()

    def convolve(*tensors: Tensor) -> Tensor:
        features, offset, modulation, weight, bias = tensors
        return deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend="fused")

    compiled = torch.compile(convolve, backend="aot_eager", fullgraph=True)
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    found = torch.autograd.grad(compiled(*leaves).sum(), leaves)
    wanted = torch.autograd.grad(convolve(*leaves).sum(), leaves)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


class Fused(torch.nn.Module):
    def forward(self, features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend="fused")


@pytest.mark.slow
def test_an_exported_program_holds_the_operator() -> None:
    fused._fault_of.cache_clear()  # as in a new process: the trial of the kernels runs while the program is traced
    inputs = tuple(make_inputs())
    program = torch.export.export(Fused(), inputs).run_decompositions({})
    assert torch.ops.cdgnet.deform_conv2d.default in [node.target for node in program.graph.nodes]
    torch.testing.assert_close(program.module()(*inputs), Fused()(*inputs), rtol=0, atol=0)


def test_a_layer_is_fused_under_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "default_backend", lambda device: "fused")
    torch.manual_seed(0)
    layer = DeformConv(8, 4, offset_groups=2)
    torch.nn.init.normal_(layer.offset_conv.weight, std=0.3)
    features = torch.randn(1, 8, 5, 6).bfloat16()
    wanted = layer(features.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(features)
    assert found.dtype == torch.bfloat16
    # Kernel, samples and result are rounded to 8 bits each.
    torch.testing.assert_close(found.float(), wanted, rtol=0, atol=2**-6 * float(wanted.detach().abs().max()))


@pytest.mark.parametrize(
    ("channels", "outputs", "kind", "reason"),
    [
        (160, 32, torch.float32, "80 channels per group and 32 output channels; the limits are 64 and 128"),
        (32, 160, torch.float32, "16 channels per group and 160 output channels; the limits are 64 and 128"),
        (8, 4, torch.float64, "there are no kernels for float64"),
    ],
)
def test_what_the_kernels_cannot_do_others_do_and_the_log_says_why_once(
    caplog: pytest.LogCaptureFixture, channels: int, outputs: int, kind: torch.dtype, reason: str
) -> None:
    conv._warn_once.cache_clear()
    features, offset, modulation, weight, bias = (each.to(kind) for each in make_inputs(2, channels, outputs))
    for _ in "12":
        found = deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend="fused")
    wanted = deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend="numba")
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert [(record.levelno, reason in record.getMessage()) for record in caplog.records] == [(logging.WARNING, True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("import os; os.environ.pop('TRITON_INTERPRET', None)", "only under TRITON_INTERPRET=1"),
        ("import sys; sys.modules['triton'] = None", "Triton is not installed"),
    ],
)
def test_without_triton_or_a_device_for_it_others_take_its_place(before: str, reason: str) -> None:
    program = f"""{before}
import torch
from cdgnet.deform import deform_conv2d
inputs = [torch.ones(shape) for shape in ((1, 8, 3, 3), (1, 18, 3, 3), (1, 9, 3, 3), (8, 8, 3, 3), (8,))]
print(float(deform_conv2d(*inputs, padding=1, backend="fused").sum()))
print(float(deform_conv2d(*inputs, padding=1, backend="sample").sum()))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    one, other = found.stdout.split()
    assert one == other
    assert found.stderr.count(reason) == 1


def test_the_kernels_pass_their_trial() -> None:
    fused._fault_of.cache_clear()
    assert fused._fault_of(torch.device("cpu")) == ""


@pytest.mark.parametrize("device", DEVICES)
def test_the_trial_may_come_in_inference_mode_and_where_all_must_be_deterministic(
    whole_numbers: None, device: str
) -> None:
    fused._fault_of.cache_clear()
    with torch.inference_mode():
        assert fused._fault_of(torch.device(device)) == ""


def test_kernels_that_fail_or_err_in_their_trial_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    for result, reason in ((lambda *inputs: inputs[0].sum() / 0, "kernels failed"), (wrong, "kernels were wrong by")):
        fused._fault_of.cache_clear()
        monkeypatch.setattr(fused, "by_fused", result)
        assert reason in fused._fault_of(device)
    fused._fault_of.cache_clear()


def wrong(features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    return fused.by_sample(features, 1.1 * offset, modulation, weight, bias, padding)


@pytest.mark.slow
def test_every_kernel_fits_every_gpu_from_capability_8_on() -> None:
    script = Path(__file__).parents[3] / "benchmarks/kernels.py"
    said = subprocess.run(
        [sys.executable, "-W", "ignore", script, "--capability", "80"], capture_output=True, text=True, check=True
    )
    rows = [line.split()[-2:] for line in said.stdout.splitlines()[1:]]
    assert len(rows) == 30
    assert max(float(shared) for _, shared in rows) <= 99
    assert max(int(spilled) for spilled, _ in rows) <= 64  # bytes a thread, a few loads from the cache
