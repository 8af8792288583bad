"""The loops for CPUs against ``grid_sample`` in float64.

Legend: B batch, C channels in, D channels out, H and W height and width, K taps, G offset groups.
"""

import copy
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as functional
from deform_inputs import Inputs, make_inputs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cdgnet.decoder import DeformableLayer
from cdgnet.deform import DeformConv, deform_conv2d, measure_offsets, threads
from cdgnet.deform.sample import by_sample

numba_op = pytest.importorskip("cdgnet.deform.numba_op", exc_type=ImportError)
numba_calls = pytest.importorskip("cdgnet.deform.numba_calls", exc_type=ImportError)

TOLERANCE = 1e-5  # of the largest value: float32 sums of up to some thousand products


def by_loops(*inputs: Tensor, padding: int = 1) -> Tensor:
    return deform_conv2d(*inputs, padding=padding, backend="numba")


def in_float64(*inputs: Tensor, padding: int = 1) -> Tensor:
    features, offset, modulation, weight, bias = inputs
    return by_sample(features, offset, modulation, weight, bias, padding)


def with_gradients(convolve: Callable[..., Tensor], inputs: Inputs) -> list[Tensor]:
    """The result and the gradients of all inputs."""
    leaves = [each.detach().clone().requires_grad_() for each in inputs]
    result = convolve(*leaves)
    # A weight for each output value, so that no two mistakes cancel in the sum.
    weights = torch.linspace(-1, 2, result.numel(), dtype=result.dtype).view_as(result)
    return [result.detach(), *torch.autograd.grad((result * weights).sum(), leaves)]


def assert_agree(found: list[Tensor], wanted: list[Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        bound = TOLERANCE * max(1.0, float(other.abs().amax()))
        torch.testing.assert_close(one.double(), other, rtol=0, atol=bound)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 4]),
    batch=st.integers(1, 3),
    place=st.tuples(st.integers(1, 19), st.integers(1, 41)),
    scale=st.sampled_from([0.0, 0.3, 3.0, 40.0, 1e6]),
    whole=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_values_and_all_gradients_are_those_of_grid_sample(
    groups: int, batch: int, place: tuple[int, int], scale: float, whole: bool, seed: int
) -> None:
    inputs = make_inputs(groups, 16, outputs=3, place=place, scale=scale, whole=whole, batch=batch, seed=seed)
    wanted = with_gradients(in_float64, [each.double() for each in inputs])
    assert_agree(with_gradients(by_loops, inputs), wanted)


@pytest.mark.parametrize(("channels", "outputs"), [(8, 1), (6, 12), (64, 96)])
def test_any_number_of_channels_is_convolved(channels: int, outputs: int) -> None:
    inputs = make_inputs(2, channels, outputs, place=(7, 37))
    assert_agree(with_gradients(by_loops, inputs), with_gradients(in_float64, [each.double() for each in inputs]))


RARE = pytest.mark.slow  # each size is compiled


@pytest.mark.parametrize(
    ("size", "padding"), [pytest.param(1, 0, marks=RARE), (3, 0), (3, 2), pytest.param(5, 2, marks=RARE)]
)
def test_other_kernels_are_convolved(size: int, padding: int) -> None:
    inputs = make_inputs(outputs=3, size=size, padding=padding, place=(5, 11))
    found = with_gradients(lambda *each: by_loops(*each, padding=padding), inputs)
    wanted = with_gradients(lambda *each: in_float64(*each, padding=padding), [each.double() for each in inputs])
    assert_agree(found, wanted)


def test_a_tap_far_from_the_corner_is_placed_as_exactly_as_one_near_it() -> None:
    features, offset, modulation, weight, bias = make_inputs(2, 8, 3, place=(1, 4000), batch=1)
    found = by_loops(features, offset, modulation, weight, bias)
    wanted = in_float64(*(each.double() for each in (features, offset, modulation, weight, bias)))
    # Columns beyond 2048 are known to 1 / 4096 in float32: a position as one number would be wrong by as much.
    torch.testing.assert_close(found[..., 2048:].double(), wanted[..., 2048:], rtol=0, atol=5e-5)


def make_layer(channels: int, groups: int = 2) -> DeformableLayer:
    torch.manual_seed(0)
    layer = DeformableLayer(channels, groups).to(memory_format=torch.channels_last)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.2)  # of a new layer all offsets are zero
    return layer


@pytest.mark.parametrize("kind", ["convolution", "layer"])
@pytest.mark.parametrize(("groups", "place"), [(2, (17, 23)), (1, (33, 64)), (4, (1, 1))])
def test_a_layer_that_finds_its_offsets_in_the_loops_is_that_of_separate_operators(
    kind: str, groups: int, place: tuple[int, int]
) -> None:
    channels = max(8, 4 * groups)
    whole = make_layer(channels, groups)
    layer = whole if kind == "layer" else whole.body[0]
    double = copy.deepcopy(layer).double()
    features = torch.randn(2, channels, *place)
    convolution = whole.body[0]
    assert isinstance(convolution, DeformConv) and convolution.is_one_pass(features)

    def run(module: nn.Module, features: Tensor) -> list[Tensor]:
        leaves = [features.clone().requires_grad_(), *module.parameters()]
        result = module(leaves[0])
        weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
        return [result.detach(), *torch.autograd.grad((result * weights).sum(), leaves)]

    assert_agree(run(layer, features), run(double, features.double()))


def test_a_watched_layer_shows_its_offsets_and_gives_the_same() -> None:
    layer, features = make_layer(8), torch.randn(1, 8, 9, 12)
    with torch.no_grad():
        wanted = layer(features)
        with measure_offsets(layer) as meter:
            found = layer(features)
    assert meter.mean() > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("by_python", [False, True])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, by_python: bool) -> None:
    layer, features = make_layer(8), torch.randn(1, 8, 67, 70)
    if by_python:  # as where torch has no OpenMP
        monkeypatch.setattr(threads, "_in_parallel", lambda: threads._by_python)
    used = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5, 2):
            torch.set_num_threads(count)
            results.append(with_gradients(lambda each, *_: layer(each), [features, *layer.parameters()][:1]))
            layer.zero_grad()
            layer(features).square().sum().backward()
            results[-1] += [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
    finally:
        torch.set_num_threads(used)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))
    assert len(results[0]) == 8


def test_threads_share_the_work() -> None:
    """A unit that is taken twice, or never, would show; so would a second thread that is not there."""
    seen = []
    Program = threads._Program

    def program(address: int) -> None:
        seen.append(address)

    used = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        callback = Program(program)
        threads.run(threads.ctypes.cast(callback, threads.ctypes.c_void_p).value or 0, [1], units=2)
    finally:
        torch.set_num_threads(used)
    assert len(seen) == 2 and len(set(seen)) == 1


def test_what_is_no_number_stays_where_it_is_read() -> None:
    features, offset, modulation, weight, bias = make_inputs(outputs=3, place=(12, 30), scale=0.3)
    features[0, 1, 4, 7] = math.nan
    offset[1, 0, 2, 3] = math.nan
    modulation[1, 0, 6, 20] = math.inf
    inputs = (features, offset, modulation, weight, bias)
    found = by_loops(*inputs)
    wanted = in_float64(*(each.double() for each in inputs))
    assert torch.equal(found.isfinite(), wanted.isfinite())
    assert 0 < int((~found.isfinite()).sum()) < 200
    is_finite = wanted.isfinite()  # of infinities of both signs one order of sums makes NaN, another infinity
    torch.testing.assert_close(found.double()[is_finite], wanted[is_finite], rtol=1e-5, atol=1e-5)


def test_a_layer_passes_on_what_is_no_number() -> None:
    layer, features = make_layer(8), torch.randn(1, 8, 20, 20)
    features[0, 0, 10, 10] = math.nan
    with torch.no_grad():
        assert torch.equal(layer(features).isnan(), copy.deepcopy(layer).double()(features.double()).isnan())


def test_half_precision_features_are_convolved_in_float32() -> None:
    inputs = [each.bfloat16() for each in make_inputs(outputs=3, place=(5, 11))]
    found, wanted = by_loops(*inputs), by_loops(*(each.float() for each in inputs))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted.bfloat16(), rtol=0, atol=0)


def test_an_empty_batch_gives_an_empty_result_and_gradients() -> None:
    inputs = make_inputs(outputs=3, place=(5, 11))
    inputs[:3] = [each[:0] for each in inputs[:3]]
    found = with_gradients(by_loops, inputs)
    assert [tuple(each.shape) for each in found] == [(0, 3, 5, 11), *(tuple(each.shape) for each in inputs)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # opcheck's own
def test_torch_knows_the_operators() -> None:
    leaves = [each.requires_grad_() for each in make_inputs(outputs=3)]
    torch.library.opcheck(torch.ops.cdgnet.deform_conv2d_cpu.default, (*leaves, 1))
    layer = make_layer(8)
    convolution, _, join = layer.body
    assert isinstance(convolution, DeformConv) and isinstance(join, nn.Conv2d)
    guide = convolution.offset_conv
    given = (leaves[0], guide.weight, guide.bias, convolution.weight, convolution.bias)
    torch.library.opcheck(torch.ops.cdgnet.deform_layer_cpu.default, (*given, join.weight, join.bias, True))
    torch.library.opcheck(torch.ops.cdgnet.deform_layer_cpu.default, (*given, None, None, True))


def test_a_compiled_layer_is_one_graph_with_the_same_gradients() -> None:
    layer, features = make_layer(8), torch.randn(1, 8, 9, 11, requires_grad=True)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    found = torch.autograd.grad(compiled(features).sum(), [features, *layer.parameters()])
    wanted = torch.autograd.grad(layer(features).sum(), [features, *layer.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_where_the_loops_cannot_be_compiled_samples_are_taken_without_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: int) -> int:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba_calls.programs, "convolve", fail)
    monkeypatch.setattr(numba_op, "is_compiled", numba_calls.is_compiled.__wrapped__)  # without what is known already
    inputs = make_inputs(place=(5, 11))
    with caplog.at_level(logging.DEBUG):
        found = by_loops(*inputs)
    features, offset, modulation, weight, bias = inputs
    torch.testing.assert_close(found, by_sample(features, offset, modulation, weight, bias, 1), rtol=0, atol=0)
    assert not [record for record in caplog.records if record.name.startswith("cdgnet")]


def test_what_only_gradients_take_is_not_compiled_for_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: int) -> int:
        raise RuntimeError("compiled")

    monkeypatch.setattr(numba_calls.programs, "differentiate", fail)
    assert numba_calls.is_compiled.__wrapped__(4, 1, 3)  # without what is known already


@pytest.mark.slow
def test_without_numba_samples_are_taken() -> None:
    program = """
import sys
sys.modules["numba"] = None
import torch
from cdgnet.deform import DeformConv
layer = DeformConv(4, 4, offset_groups=2)
layer(torch.ones(1, 4, 3, 3)).sum().backward()
print(layer.is_one_pass(torch.ones(1, 4, 3, 3)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.slow
def test_a_machine_compiles_the_loops_once(tmp_path: Path) -> None:
    program = """
import torch
from cdgnet.deform import DeformConv
DeformConv(4, 4, offset_groups=2)(torch.ones(1, 4, 3, 3))
"""

    def run() -> dict[str, int]:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
        return {str(path): path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}

    first = run()
    assert first and run() == first


def test_one_convolution_is_what_samples_at_rest_make() -> None:
    features, offset, modulation, weight, bias = make_inputs(outputs=3, place=(5, 11))
    found = by_loops(features, 0 * offset, torch.ones_like(modulation), weight, bias)
    torch.testing.assert_close(found, functional.conv2d(features, weight, bias, padding=1), rtol=1e-5, atol=1e-5)
