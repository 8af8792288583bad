"""What the compiled programs of the deformable convolution for CPUs are called with, and where they write.

Weights are packed in the order in which they are read, features get a rim of zeros, a batch is divided into units.

Legend: B batch, C channels in, D channels out, H and W the features' height and width, h and w the output's,
K = k * k taps of the kernel, G offset groups, L = CK samples of a pixel, M = 3GK offsets and logits, rounded up, V
values of a row that are multiplied at once.
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from cdgnet.deform import numba_programs as programs
from cdgnet.deform.layout import channels_last, like, new
from cdgnet.deform.numba_rows import BLOCK
from cdgnet.deform.numba_samples import RIM
from cdgnet.deform.threads import run

_UNITS = 16  # that a batch is divided into, for as many threads at most
_UNIT_PIXELS = 512  # of a unit at least
_SAMPLE_LANES = 16  # of four samples at most, that fit into the registers with their shares


@functools.cache
def is_compiled(width: int, outputs: int, size: int) -> bool:
    """Whether the programs for ``width`` channels a group are compiled, which this tries; those for the gradients
    follow when they are first called.
    """
    of_samples, is_one, of_products = _lanes(width, outputs)
    try:
        programs.frame(of_samples)
        programs.convolve(of_samples, is_one, of_products, size)
    except Exception:  # whatever a compiler or a cache on disk may raise
        return False
    return True


def _lanes(width: int, outputs: int) -> tuple[int, bool, int]:
    """Of samples; whether those are all channels of a group; of products with the weight."""
    lanes = programs.lanes(width, _SAMPLE_LANES)
    return lanes, lanes == width, programs.lanes(outputs)


class Moves(NamedTuple):
    """Where offsets and modulation come from."""

    groups: int
    numbers: tuple[int, ...]  # offset, modulation and their strides; M, weight and bias of the guide; what is kept
    kept: tuple[Tensor, ...]  # what these are addresses in


def given_moves(offset: Tensor, modulation: Tensor, size: int) -> Moves:
    """Those of ``(B, 2GK, h, w)`` offsets and ``(B, GK, h, w)`` factors, for a kernel of ``size``."""
    offset, modulation = channels_last(offset), channels_last(modulation)
    numbers = (offset.data_ptr(), offset.shape[1], modulation.data_ptr(), modulation.shape[1], 0, 0, 0, 0)
    return Moves(modulation.shape[1] // size**2, numbers, (offset, modulation))


def found_moves(guide: Tensor, guide_bias: Tensor, kept: Tensor) -> Moves:
    """Those that a convolution of the features gives, ``(3GK, C, k, k)`` and ``(3GK,)``, written to ``kept`` if that is
    not empty.
    """
    moves = programs.rounded(len(guide))
    packed = _packed(_widened(guide.permute(2, 3, 1, 0)))  # (M / V, L, V)
    bias = _widened(guide_bias.contiguous())  # (M,)
    numbers = (0, moves, 0, moves, moves, packed.data_ptr(), bias.data_ptr(), kept.data_ptr())
    return Moves(len(guide) // (3 * guide.shape[-1] ** 2), numbers, (packed, bias, kept))


def moves_before(guide: Tensor, kept: Tensor) -> Moves:
    """As ``found_moves``, for the gradients: what was found is in ``kept``, and the weight is turned."""
    moves = programs.rounded(len(guide))
    rows = guide.permute(0, 2, 3, 1).flatten(1)  # (3GK, L)
    turned = _packed(_widened(pad(rows, (0, 0, 0, moves - len(rows)))))  # (L / V, M, V)
    numbers = (0, moves, 0, moves, moves, turned.data_ptr(), 0, kept.data_ptr())
    return Moves(len(guide) // (3 * guide.shape[-1] ** 2), numbers, (turned, kept))


class Join(NamedTuple):
    """The 1x1 convolution that ends a layer, and what it convolves: ``(B H W + 8, D)``, or none of it."""

    weight: Tensor  # (D, D, 1, 1)
    bias: Tensor | None  # (D,)
    kept: Tensor


def empty_rows(features: Tensor, channels: int, keeps: bool) -> Tensor:
    """Empty, for ``channels`` of each pixel, and a block more, since one may jut out; or none of it."""
    batch, _, height, width = features.shape
    kept = features.new_empty((batch * height * width + BLOCK, channels) if keeps else 0)
    kept[-BLOCK:] = 0
    return kept


def forward(
    features: Tensor,
    moves: Moves,
    place: Tensor,
    weight: Tensor,
    bias: Tensor,
    padding: int,
    join: Join | None = None,
) -> tuple[Tensor, Tensor]:
    """The result, as high and wide as ``place``, and the rows that each unit reads."""
    result, extents = new(features, len(weight), place), empty_extents(features, place)
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


class Gradients(NamedTuple):
    features: Tensor
    weight: Tensor
    bias: Tensor
    guide: Tensor  # (L + 1, M), the last row the bias's
    join: Tensor  # (D + 1, D), the last row the bias's; or nothing


def backward(
    gradient: Tensor,
    features: Tensor,
    moves: Moves,
    of_moves: tuple[Tensor, Tensor] | None,
    extents: Tensor,
    weight: Tensor,
    padding: int,
    join: Join | None = None,
) -> Gradients:
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
    return Gradients(of_features, of_weight, total[-1].clone(), of_guide, of_join)


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

    def __init__(self, features: Tensor, moves: Moves, place: Tensor, weight: Tensor, padding: int) -> None:
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


def empty_extents(features: Tensor, place: Tensor) -> Tensor:
    """For the first row and the last but one that each unit reads, ``(units, 2)``."""
    bands, _ = _bands(place)
    return torch.empty(features.shape[0] * bands, 2, dtype=torch.int64, device=features.device)
