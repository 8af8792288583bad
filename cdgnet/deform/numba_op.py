"""Modulated deformable convolution in one pass, by loops that numba compiles: for CPUs, float32, channels last.

``torch.ops.cdgnet.deform_conv2d_cpu`` and ``deform_layer_cpu`` are known to torch.library with their shapes and
gradients, so that torch.compile and torch.export take each as one operator. Importing this needs numba. The first call
with new numbers of channels compiles for seconds; later processes read the result from disk.

Legend: B batch, C channels in, D channels out, H and W the features' height and width, h and w the output's,
K = k * k taps of the kernel, G offset groups, L = CK samples of a pixel, M = 3GK offsets and logits, rounded up.
"""

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from cdgnet.deform import numba_programs as programs
from cdgnet.deform.layout import channels_last, like, new
from cdgnet.deform.numba_kernels import BLOCK, RIM
from cdgnet.deform.threads import run

_UNITS = 16  # that a batch is divided into, for as many threads at most
_UNIT_PIXELS = 512  # of a unit at least
_SAMPLE_LANES = 16  # of four samples at most, that fit into the registers with their shares


def can_run(device: torch.device, kind: torch.dtype, width: int, outputs: int, size: int) -> bool:
    """Whether features of ``width`` channels a group can be convolved. Compiles what that takes; what gradients take is
    compiled with the first of them.
    """
    is_known = device.type == "cpu" and kind == torch.float32 and size // 2 <= RIM
    return is_known and _is_compiled(*_lanes(width, outputs), size)


def _lanes(width: int, outputs: int) -> tuple[int, bool, int]:
    """Of samples; whether those are all channels of a group; of products with the weight."""
    lanes = programs.lanes(width, _SAMPLE_LANES)
    return lanes, lanes == width, programs.lanes(outputs)


@functools.cache
def _is_compiled(of_samples: int, is_one: bool, of_products: int, size: int) -> bool:
    try:
        programs.frame(of_samples)
        programs.convolve(of_samples, is_one, of_products, size)
    except Exception:  # whatever a compiler or a cache on disk may raise
        return False
    return True


def by_numba(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    """As ``deform.deform_conv2d``, of float32 tensors; the result is channels_last, and the same every time."""
    result: Tensor = _convolve(features, offset, modulation, weight, bias, padding)[0]
    return result


def layer(
    features: Tensor,
    guide: Tensor,
    guide_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    join: Tensor | None = None,
    join_bias: Tensor | None = None,
) -> Tensor:
    """``by_numba`` by offsets, and logits of the modulation, that a convolution of the features gives.

    They are written to memory only for the gradient, and their own gradient never is.

    Args:
        features: ``(B, C, H, W)`` float32.
        guide: ``(3GK, C, k, k)``, the convolution's weight; for each group two offsets a tap, then the logits.
        guide_bias: ``(3GK,)``.
        weight: ``(D, C, k, k)``, k odd.
        bias: ``(D,)``.
        join: ``(C, C, 1, 1)``, for D = C: the result is features + join * ReLU(deformable convolution) + join_bias.
        join_bias: ``(C,)``.

    Returns:
        ``(B, D, H, W)``, channels_last.
    """
    given = (features, guide, guide_bias, weight, bias, join, join_bias)
    keeps = torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in given)
    result: Tensor = _layer(*given, keeps)[0]
    return result


@torch.library.custom_op("cdgnet::deform_conv2d_cpu", mutates_args=(), device_types="cpu")
def _convolve(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> tuple[Tensor, Tensor]:
    moves = _given(features, offset, modulation, weight.shape[-1])
    return _forward(features, moves, offset, weight, bias, padding)


@_convolve.register_fake
def _(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> tuple[Tensor, Tensor]:
    return new(features, len(weight), offset), _extents(features, offset)


@torch.library.custom_op("cdgnet::deform_conv2d_cpu_backward", mutates_args=(), device_types="cpu")
def _convolve_backward(
    gradient: Tensor,
    features: Tensor,
    offset: Tensor,
    modulation: Tensor,
    weight: Tensor,
    extents: Tensor,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    moves = _given(features, offset, modulation, weight.shape[-1])
    of_moves = like(offset), like(modulation)
    found = _backward(gradient, features, moves, of_moves, extents, weight, padding)
    return found.features, *of_moves, found.weight, found.bias


@_convolve_backward.register_fake
def _(
    gradient: Tensor,
    features: Tensor,
    offset: Tensor,
    modulation: Tensor,
    weight: Tensor,
    extents: Tensor,
    padding: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    of_bias = weight.new_empty(len(weight))
    return like(features), like(offset), like(modulation), torch.empty_like(weight), of_bias


@torch.library.custom_op("cdgnet::deform_layer_cpu", mutates_args=(), device_types="cpu")
def _layer(
    features: Tensor,
    guide: Tensor,
    guide_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    join: Tensor | None,
    join_bias: Tensor | None,
    keeps: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    kept = _kept(features, programs.rounded(len(guide)), keeps)
    kept_joined = _kept(features, len(weight), keeps and join is not None)
    moves = _found(guide, guide_bias, kept)
    joined = None if join is None else _Join(join, join_bias, kept_joined)
    return *_forward(features, moves, features, weight, bias, weight.shape[-1] // 2, joined), kept, kept_joined


@_layer.register_fake
def _(
    features: Tensor,
    guide: Tensor,
    guide_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    join: Tensor | None,
    join_bias: Tensor | None,
    keeps: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    kept = _kept(features, programs.rounded(len(guide)), keeps)
    kept_joined = _kept(features, len(weight), keeps and join is not None)
    return new(features, len(weight), features), _extents(features, features), kept, kept_joined


@torch.library.custom_op("cdgnet::deform_layer_cpu_backward", mutates_args=(), device_types="cpu")
def _layer_backward(
    gradient: Tensor,
    features: Tensor,
    guide: Tensor,
    weight: Tensor,
    join: Tensor | None,
    extents: Tensor,
    kept: Tensor,
    kept_joined: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    moves = _found_before(guide, kept)
    joined = None if join is None else _Join(join, None, kept_joined)
    padding = weight.shape[-1] // 2
    found = _backward(gradient, features, moves, None, extents, weight, padding, joined)
    of_guide = found.guide[:-1, : len(guide)].view(*guide.shape[2:], *guide.shape[1::-1]).permute(3, 2, 0, 1)
    of_join = found.join[:-1].T.reshape(guide.new_empty(0).shape if join is None else join.shape)
    return (
        found.features,
        torch.empty_like(guide).copy_(of_guide),
        found.guide[-1, : len(guide)].clone(),
        found.weight,
        found.bias,
        of_join.contiguous(),
        found.join[-1].clone(),
    )


@_layer_backward.register_fake
def _(
    gradient: Tensor,
    features: Tensor,
    guide: Tensor,
    weight: Tensor,
    join: Tensor | None,
    extents: Tensor,
    kept: Tensor,
    kept_joined: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    of_join = weight.new_empty(0) if join is None else weight.new_empty(join.shape)
    biases = [weight.new_empty(count) for count in (len(guide), len(weight), 0 if join is None else len(join))]
    return (
        like(features), torch.empty_like(guide), biases[0], torch.empty_like(weight), biases[1], of_join, biases[2]
    )  # fmt: skip


class _Moves(NamedTuple):
    """Where offsets and modulation come from, as the programs want it."""

    groups: int
    numbers: tuple[int, ...]  # offset, modulation and their strides; M, weight and bias of the guide; what is kept
    kept: tuple[Tensor, ...]  # what these are addresses in


def _given(features: Tensor, offset: Tensor, modulation: Tensor, size: int) -> _Moves:
    offset, modulation = channels_last(offset), channels_last(modulation)
    numbers = (offset.data_ptr(), offset.shape[1], modulation.data_ptr(), modulation.shape[1], 0, 0, 0, 0)
    return _Moves(modulation.shape[1] // size**2, numbers, (offset, modulation))


def _found(guide: Tensor, guide_bias: Tensor, kept: Tensor) -> _Moves:
    moves = programs.rounded(len(guide))
    packed, bias = _packed(_widened(guide.permute(2, 3, 1, 0))), _widened(guide_bias)  # (M / V, L, V), (M,)
    numbers = (0, moves, 0, moves, moves, packed.data_ptr(), bias.data_ptr(), kept.data_ptr())
    return _Moves(len(guide) // (3 * guide.shape[-1] ** 2), numbers, (packed, bias, kept))


def _found_before(guide: Tensor, kept: Tensor) -> _Moves:
    """As ``_found``, where what it found is kept; the weight is wanted the other way round."""
    moves = programs.rounded(len(guide))
    rows = guide.permute(0, 2, 3, 1).flatten(1)  # (3GK, L)
    turned = _packed(_widened(pad(rows, (0, 0, 0, moves - len(rows)))))  # (L / V, M, V)
    numbers = (0, moves, 0, moves, moves, turned.data_ptr(), 0, kept.data_ptr())
    return _Moves(len(guide) // (3 * guide.shape[-1] ** 2), numbers, (turned, kept))


class _Join(NamedTuple):
    """The 1x1 convolution that ends a layer, and what it convolves: ``(B H W + 8, D)``, or none of it."""

    weight: Tensor  # (D, D, 1, 1)
    bias: Tensor | None  # (D,)
    kept: Tensor


def _kept(features: Tensor, channels: int, keeps: bool) -> Tensor:
    """Empty, for ``channels`` of each pixel, and a block more, since one may jut out; or none of it."""
    batch, _, height, width = features.shape
    kept = features.new_empty((batch * height * width + BLOCK, channels) if keeps else 0)
    kept[-BLOCK:] = 0
    return kept


def _forward(
    features: Tensor,
    moves: _Moves,
    place: Tensor,
    weight: Tensor,
    bias: Tensor,
    padding: int,
    join: _Join | None = None,
) -> tuple[Tensor, Tensor]:
    """The result, as high and wide as ``place``, and the rows that each unit reads."""
    result, extents = new(features, len(weight), place), _extents(features, place)
    if not result.numel():
        return result, extents
    work = _Work(features, moves, place, weight, padding)
    kernel, bias = _packed(_by_sample(weight, moves.groups)), bias.contiguous()  # (D / V, L, V)
    ends: tuple[Tensor, ...] = (kernel, bias, result)
    if join is not None:
        assert join.bias is not None
        ends = (*ends, _packed(join.weight.flatten(1).T), join.bias.contiguous(), join.kept)
    addresses = [each.data_ptr() for each in (extents, *ends)]
    numbers = (*work.numbers, *addresses, *(0 for _ in range(7 - len(addresses))))
    run(programs.convolve(*work.lanes, weight.shape[-1]), numbers, work.units)
    return result, extents


class _Gradients(NamedTuple):
    features: Tensor
    weight: Tensor
    bias: Tensor
    guide: Tensor  # (L + 1, M), the last row the bias's
    join: Tensor  # (D + 1, D), the last row the bias's; or nothing


def _backward(
    gradient: Tensor,
    features: Tensor,
    moves: _Moves,
    of_moves: tuple[Tensor, Tensor] | None,
    extents: Tensor,
    weight: Tensor,
    padding: int,
    join: _Join | None = None,
) -> _Gradients:
    """All gradients; those of given offsets and modulation are written to ``of_moves``."""
    outputs, length, moves_width = len(weight), weight[0].numel(), moves.numbers[4]
    gradient = channels_last(gradient)
    work = _Work(features, moves, gradient, weight, padding)
    totals = [
        torch.zeros(work.units, length + 1, outputs),
        torch.zeros(work.units, length + 1, moves_width),
        torch.zeros(work.units, outputs + 1, outputs if join else 0),
    ]
    of_features = like(features)
    if gradient.numel():
        windows = _windows(extents, features)
        wanted_width = programs.rounded(length)
        turned = _by_sample(weight, moves.groups).permute(3, 0, 1, 2).flatten(1)  # (D, L)
        kernel = _packed(_widened(turned))  # (L / V, D, V)
        zeros = torch.zeros(max(wanted_width, outputs))
        ends = (0, 0)
        if join is not None:
            join_turned = _packed(join.weight.flatten(1))
            ends = join_turned.data_ptr(), join.kept.data_ptr()
        numbers = (
            extents.data_ptr(), windows.addresses.data_ptr(), gradient.data_ptr(), kernel.data_ptr(), zeros.data_ptr(),
            wanted_width, *((each.data_ptr() for each in of_moves) if of_moves else (0, 0)),
            totals[0].data_ptr(), totals[1].data_ptr(), *ends, totals[2].data_ptr(),
        )  # fmt: skip
        run(programs.differentiate(*work.lanes, weight.shape[-1]), (*work.numbers, *numbers), work.units)
        height, width = features.shape[2:]
        numbers = (
            len(features) * height, work.bands, windows.addresses.data_ptr(), extents.data_ptr(),
            of_features.data_ptr(), gradient.data_ptr() if join else 0, height, width, features.shape[1],
        )  # fmt: skip
        run(programs.collect(work.lanes[0]), numbers, work.units)
    total, of_guide, of_join = (each.sum(dim=0) for each in totals)
    of_weight = total[:-1].view(moves.groups, weight.shape[-1] ** 2, work.width, outputs).permute(3, 0, 2, 1)
    of_weight = torch.empty_like(weight).copy_(of_weight.reshape(weight.shape))
    return _Gradients(of_features, of_weight, total[-1].clone(), of_guide, of_join)


class _Windows(NamedTuple):
    """Sums of the features' gradient, for each unit of the rows that it reads."""

    addresses: Tensor  # (units,), where the first row of the rim would be
    sums: Tensor


def _windows(extents: Tensor, features: Tensor) -> _Windows:
    line = (features.shape[3] + 2 * RIM) * features.shape[1]
    firsts, rows = [], 0
    for least, most in extents.tolist():
        firsts.append(rows - least - RIM)
        rows += most - least + 2
    sums = torch.empty(rows * line)
    return _Windows(torch.tensor([sums.data_ptr() + 4 * line * first for first in firsts]), sums)


class _Work:
    """What both programs are given first, and what it holds addresses of."""

    def __init__(self, features: Tensor, moves: _Moves, place: Tensor, weight: Tensor, padding: int) -> None:
        outputs, channels, size = weight.shape[:3]
        self.width = channels // moves.groups
        self.lanes = _lanes(self.width, outputs)
        self.bands, rows = _bands(place)
        self.units = len(features) * self.bands
        scratch_size = programs.scratch_floats(channels * size**2, outputs, moves.groups, size**2)
        self._scratch = torch.empty(min(torch.get_num_threads(), self.units), scratch_size)
        self._table, self._steps, self._moves = _framed(features, self.lanes[0]), _steps(size, padding), moves
        self.numbers = (
            self.units, self.bands, rows, self._scratch.data_ptr(), scratch_size, self._table.data_ptr(),
            *features.shape[2:], channels, moves.groups, *place.shape[2:], outputs, self._steps.data_ptr(),
            *moves.numbers,
        )  # fmt: skip


def _framed(features: Tensor, lanes: int) -> Tensor:
    """The features in a rim of zeros, ``(B, H + 4, W + 4, C)`` in one row; and zeros for blocks that jut out."""
    features = channels_last(features)
    batch, channels, height, breadth = features.shape
    rows = height + 2 * RIM
    count = rows * (breadth + 2 * RIM) * channels
    if count >= 2**31:
        raise ValueError(f"{tuple(features.shape)} features are more than int32 can count; pass smaller ones")
    table = features.new_empty(batch * count + 2 * BLOCK * channels)
    table[batch * count :] = 0
    numbers = (batch * rows, features.data_ptr(), table.data_ptr(), height, breadth, channels)
    run(programs.frame(lanes), numbers, -(-batch * count // 2**16))
    return table


@functools.cache
def _steps(size: int, padding: int) -> Tensor:
    """How far down and right of a pixel each tap is at rest: ``(2, K)``."""
    steps = torch.arange(size, dtype=torch.float32) - padding
    return torch.stack((steps.repeat_interleave(size), steps.repeat(size)))


def _by_sample(weight: Tensor, groups: int) -> Tensor:
    """``(D, C, k, k)`` -> ``(G, K, C / G, D)``, in the order of a pixel's samples."""
    outputs, channels = weight.shape[:2]
    return weight.reshape(outputs, groups, channels // groups, -1).permute(1, 3, 2, 0)


def _packed(matrix: Tensor) -> Tensor:
    """``(..., N)`` -> ``(N / V, ..., V)``: what is multiplied at once lies together."""
    split = matrix.reshape(*matrix.shape[:-1], -1, programs.lanes(matrix.shape[-1]))
    return split.movedim(-2, 0).contiguous()


def _widened(matrix: Tensor) -> Tensor:
    """``(..., N)`` with zeros behind, so that N is a multiple of ``WIDEST``."""
    missing = programs.rounded(matrix.shape[-1]) - matrix.shape[-1]
    return pad(matrix, (0, missing)) if missing else matrix


def _bands(place: Tensor) -> tuple[int, int]:
    """Into how many bands of how many rows each frame of a result is divided."""
    batch, _, height, width = place.shape
    wanted = min(-(-_UNITS // max(1, batch)), max(1, height * width // _UNIT_PIXELS), height)
    rows = -(-height // max(1, wanted))
    return -(-height // max(1, rows)), rows


def _extents(features: Tensor, place: Tensor) -> Tensor:
    """For the first row and the last but one that each unit reads, ``(units, 2)``."""
    bands, _ = _bands(place)
    return torch.empty(features.shape[0] * bands, 2, dtype=torch.int64, device=features.device)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    features, offset, modulation, weight, _, ctx.padding = inputs
    ctx.save_for_backward(features, offset, modulation, weight, output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # or zeros are made for what has no gradient


def _differentiate(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    gradients = _convolve_backward(gradient, *ctx.saved_tensors, ctx.padding)
    return *(each if need else None for each, need in zip(gradients, ctx.needs_input_grad, strict=False)), None


def _keep_layer(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    features, guide, _, weight, _, join, *_ = inputs
    ctx.save_for_backward(features, guide, weight, join, *output[1:])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _differentiate_layer(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    gradients = _layer_backward(gradient, *ctx.saved_tensors)
    return *(each if need else None for each, need in zip(gradients, ctx.needs_input_grad, strict=False)), None


_convolve.register_autograd(_differentiate, setup_context=_keep)
_layer.register_autograd(_differentiate_layer, setup_context=_keep_layer)
