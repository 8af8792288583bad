"""Arguments, scratch memory and results of the compiled CPU programs for deformable convolution.

Weights are packed in the order in which they are read, features are padded with a rim of zeros, and a batch is divided
into units of work.

Legend: B batch, C input channels, D output channels, H and W height and width of the features, h and w those of the
output, K = k * k taps of the kernel, G offset groups, L = CK samples per pixel, M = 3GK offsets and logits per pixel,
rounded up, V lanes of a vector.
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

_UNITS = 16  # units of work in a batch; limits the number of threads
_UNIT_PIXELS = 512  # pixels of the smallest unit
_SAMPLE_LANES = 16  # lanes of the widest vector: four samples and their weights must fit into the registers


@functools.cache
def is_compiled(width: int, outputs: int, size: int) -> bool:
    """Compile the forward programs for ``width`` channels per group; return whether that worked.

    The programs for gradients are compiled on their first call.
    """
    of_samples, is_one, of_products = _lanes(width, outputs)
    try:
        programs.frame(of_samples)
        programs.convolve(of_samples, is_one, of_products, size)
    except Exception:  # compilers and the cache on disk raise many types
        return False
    return True


def _lanes(width: int, outputs: int) -> tuple[int, bool, int]:
    """Return vector lanes for samples, whether one holds a whole group, and vector lanes for products with weights."""
    lanes = programs.lanes(width, _SAMPLE_LANES)
    return lanes, lanes == width, programs.lanes(outputs)


class Moves(NamedTuple):
    """Source of offsets and modulation: given tensors, or a convolution of the features (the guide)."""

    groups: int
    numbers: tuple[int, ...]  # offset, modulation and their strides; M, weight and bias of the guide; stored results
    kept: tuple[Tensor, ...]  # the tensors whose addresses are in ``numbers``


def given_moves(offset: Tensor, modulation: Tensor, size: int) -> Moves:
    """Build moves from offsets ``(B, 2GK, h, w)`` and factors ``(B, GK, h, w)``, for a ``size`` x ``size`` kernel."""
    offset, modulation = channels_last(offset), channels_last(modulation)
    numbers = (offset.data_ptr(), offset.shape[1], modulation.data_ptr(), modulation.shape[1], 0, 0, 0, 0)
    return Moves(modulation.shape[1] // size**2, numbers, (offset, modulation))


def found_moves(guide: Tensor, guide_bias: Tensor, kept: Tensor) -> Moves:
    """Build moves computed by a convolution of the features, with weight ``(3GK, C, k, k)`` and bias ``(3GK,)``.

    The program stores them in ``kept`` unless that is empty.
    """
    moves = programs.rounded(len(guide))
    packed = _packed(_widened(guide.permute(2, 3, 1, 0)))  # (M / V, L, V)
    bias = _widened(guide_bias.contiguous())  # (M,)
    numbers = (0, moves, 0, moves, moves, packed.data_ptr(), bias.data_ptr(), kept.data_ptr())
    return Moves(len(guide) // (3 * guide.shape[-1] ** 2), numbers, (packed, bias, kept))


def moves_before(guide: Tensor, kept: Tensor) -> Moves:
    """Build ``found_moves`` for the backward pass, from the moves stored in ``kept``; the weight is transposed."""
    moves = programs.rounded(len(guide))
    rows = guide.permute(0, 2, 3, 1).flatten(1)  # (3GK, L)
    turned = _packed(_widened(pad(rows, (0, 0, 0, moves - len(rows)))))  # (L / V, M, V)
    numbers = (0, moves, 0, moves, moves, turned.data_ptr(), 0, kept.data_ptr())
    return Moves(len(guide) // (3 * guide.shape[-1] ** 2), numbers, (turned, kept))


class Join(NamedTuple):
    """The 1x1 convolution at the end of a layer; ``kept`` stores its input, ``(B H W + 8, D)``, or is empty."""

    weight: Tensor  # (D, D, 1, 1)
    bias: Tensor | None  # (D,)
    kept: Tensor


def empty_rows(features: Tensor, channels: int, keeps: bool) -> Tensor:
    """Allocate ``channels`` floats per pixel, plus a block for the last block to overrun; nothing unless ``keeps``."""
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
    """Compute the result, with the height and width of ``place``, and the range of rows that each unit reads."""
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
    guide: Tensor  # (L + 1, M); the last row belongs to the bias
    join: Tensor  # (D + 1, D); the last row belongs to the bias; empty without a join


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
    """Compute all gradients; those of given offsets and modulation are written to ``of_moves``."""
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
    """Partial sums of the features' gradient: each unit has its own, for the rows that it reads."""

    addresses: Tensor  # (units,), address that the rim's first row would have in each unit's sums
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
    """The leading arguments of both programs, and the tensors whose addresses they contain."""

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
    """Copy features with a rim of zeros, ``(B, H + 4, W + 4, C)`` flattened, and zeros for overrunning blocks."""
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
    """Return each tap's displacement without offset, down and right, ``(2, K)`` in pixels."""
    steps = torch.arange(size, dtype=torch.float32) - padding
    return torch.stack((steps.repeat_interleave(size), steps.repeat(size)))


def _by_sample(weight: Tensor, groups: int) -> Tensor:
    """Reorder ``(D, C, k, k)`` to ``(G, K, C / G, D)``, the order of a pixel's samples."""
    outputs, channels = weight.shape[:2]
    return weight.reshape(outputs, groups, channels // groups, -1).permute(1, 3, 2, 0)


def _packed(matrix: Tensor) -> Tensor:
    """Reorder ``(..., N)`` to ``(N / V, ..., V)``: the lanes of each vector become contiguous."""
    split = matrix.reshape(*matrix.shape[:-1], -1, programs.lanes(matrix.shape[-1]))
    return split.movedim(-2, 0).contiguous()


def _widened(matrix: Tensor) -> Tensor:
    """Pad ``(..., N)`` with zeros until N is a multiple of ``WIDEST``."""
    missing = programs.rounded(matrix.shape[-1]) - matrix.shape[-1]
    return pad(matrix, (0, missing)) if missing else matrix


def _bands(place: Tensor) -> tuple[int, int]:
    """Return the number of bands in each frame of the result, and rows per band."""
    batch, _, height, width = place.shape
    wanted = min(-(-_UNITS // max(1, batch)), max(1, height * width // _UNIT_PIXELS), height)
    rows = -(-height // max(1, wanted))
    return -(-height // max(1, rows)), rows


def empty_extents(features: Tensor, place: Tensor) -> Tensor:
    """Allocate space for the first and the second to last row that each unit reads, ``(units, 2)``."""
    bands, _ = _bands(place)
    return torch.empty(features.shape[0] * bands, 2, dtype=torch.int64, device=features.device)
