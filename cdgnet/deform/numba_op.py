"""Modulated deformable convolution in one pass, by loops that numba compiles: for CPUs, float32, channels last.

``torch.ops.cdgnet.deform_conv2d_cpu`` is known to torch.library with its shapes and gradients, so that torch.compile
and torch.export take it as one operator. Importing this needs numba. The first call with new numbers of channels
compiles for seconds; later processes read the result from disk.

Legend: B batch, C channels in, D channels out, H and W the features' height and width, h and w the output's,
K = k * k taps of the kernel, G offset groups, L = CK samples of a pixel.
"""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from cdgnet.deform import numba_programs as programs
from cdgnet.deform.layout import channels_last, in_rows, like, new
from cdgnet.deform.threads import run

_UNITS = 16  # that a batch is divided into, for as many threads at most
_UNIT_PIXELS = 512  # of a unit at least


def fault(device: torch.device, kind: torch.dtype, width: int, outputs: int, groups: int, size: int) -> str:
    """Why features of so many channels a group cannot be convolved; empty where they can. Compiles what is missing."""
    if device.type != "cpu" or kind != torch.float32:
        return f"there are no loops for {kind} on {device.type}"
    return _fault_of(width, outputs, groups, size**2)


@functools.cache
def _fault_of(width: int, outputs: int, groups: int, taps: int) -> str:
    try:
        programs.convolve(width, outputs, taps)
        programs.differentiate(width, outputs, groups, taps)
        programs.reach(taps)
        programs.collect(width)
    except Exception as error:  # whatever a compiler or a cache on disk may raise
        return f"the loops were not compiled ({' '.join(str(error).split())[:120]})"
    return ""


def by_numba(
    features: Tensor, offset: Tensor, modulation: Tensor | None, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    """As ``deform.deform_conv2d``, of float32 tensors; the result is channels_last, and the same every time.

    Where ``modulation`` is None, ``offset`` is ``(B, 3GK, h, w)``: offsets, and the logits of the modulation.
    """
    result: Tensor = _convolve(features, offset, modulation, weight, bias, padding)
    return result


@torch.library.custom_op("cdgnet::deform_conv2d_cpu", mutates_args=(), device_types="cpu")
def _convolve(
    features: Tensor, offset: Tensor, modulation: Tensor | None, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    result = new(features, len(weight), offset)
    if not result.numel():
        return result
    outputs, channels, size = weight.shape[:3]
    groups = _groups(offset, modulation, size)
    table, places, kept = _inputs(features, offset, modulation, size, padding)
    pixels = result.numel() // outputs
    unit_pixels = -(-max(_UNIT_PIXELS, -(-pixels // _UNITS)) // programs.BLOCK) * programs.BLOCK
    units = -(-pixels // unit_pixels)
    lanes = programs.lanes(outputs)
    packed = _by_sample(weight, groups).view(-1, outputs // lanes, lanes).transpose(0, 1).contiguous()  # (D/V, L, V)
    scratch, scratch_size = _scratch(units, size**2 * channels, outputs, groups, size**2)
    bias = bias.contiguous()
    run(
        programs.convolve(channels // groups, outputs, size**2),
        (
            units, unit_pixels, pixels, scratch.data_ptr(), scratch_size, table.data_ptr(), *places,
            packed.data_ptr(), bias.data_ptr(), result.data_ptr(), *features.shape[2:], *offset.shape[2:],
            channels, outputs, groups,
        ),
        units,
    )  # fmt: skip
    del kept
    return result


@_convolve.register_fake
def _(
    features: Tensor, offset: Tensor, modulation: Tensor | None, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    return new(features, len(weight), offset)


@torch.library.custom_op("cdgnet::deform_conv2d_cpu_backward", mutates_args=(), device_types="cpu")
def _differentiate(
    gradient: Tensor, features: Tensor, offset: Tensor, modulation: Tensor | None, weight: Tensor, padding: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    outputs, channels, size = weight.shape[:3]
    of_features, of_offset = like(features), like(offset)
    of_modulation = offset.new_empty(0) if modulation is None else like(modulation)
    if not gradient.numel():
        return of_features.zero_(), of_offset, of_modulation, torch.zeros_like(weight), weight.new_zeros(outputs)
    groups, taps = _groups(offset, modulation, size), size**2
    length = taps * channels
    gradient = channels_last(gradient)
    table, places, kept = _inputs(features, offset, modulation, size, padding)
    steps = places[-1]
    height, width = features.shape[2:]
    result_height, result_width = offset.shape[2:]
    bands, band_rows = _bands(*offset.shape[::2], result_width)
    units = len(features) * bands
    scratch, scratch_size = _scratch(units, length, outputs, groups, taps)
    begun = (units, bands, band_rows, scratch.data_ptr(), scratch_size)

    rows = torch.empty(units, 2, dtype=torch.int64)
    run(
        programs.reach(taps),
        (*begun, *places[:2], steps, height, result_height, result_width, groups, rows.data_ptr()),
        units,
    )
    line = (width + 2 * programs.RIM) * channels
    heights = rows[:, 1] - rows[:, 0] + 2
    ends = heights.cumsum(0) * line
    sums = torch.zeros(int(ends[-1]))
    windows = sums.data_ptr() + 4 * (ends - heights * line - (rows[:, 0] + programs.RIM) * line)

    lanes = programs.lanes(length)
    packed = (
        _by_sample(weight, groups).view(length // lanes, lanes, outputs).transpose(1, 2).contiguous()
    )  # (L/U, D, U)
    zeros = torch.zeros(length)
    products = torch.zeros(units, length + 1, outputs)
    if modulation is None:
        to = (of_offset.data_ptr(), offset.shape[1], of_offset.data_ptr() + 8 * groups * taps, offset.shape[1])
    else:
        to = (of_offset.data_ptr(), offset.shape[1], of_modulation.data_ptr(), modulation.shape[1])
    run(
        programs.differentiate(channels // groups, outputs, groups, taps),
        (
            *begun, gradient.data_ptr(), table.data_ptr(), *places, packed.data_ptr(), zeros.data_ptr(),
            windows.data_ptr(), *to, products.data_ptr(), height, width, result_height, result_width, channels, outputs,
            groups,
        ),
        units,
    )  # fmt: skip
    run(
        programs.collect(channels // groups),
        (
            len(features) * height, bands, windows.data_ptr(), rows.data_ptr(), of_features.data_ptr(), height, width,
            channels,
        ),
        units,
    )  # fmt: skip
    del kept
    total = products.sum(dim=0)  # (L + 1, D)
    of_weight = total[:-1].view(groups, taps, channels // groups, outputs).permute(3, 0, 2, 1)  # (D, G, E, K)
    return (
        of_features,
        of_offset,
        of_modulation,
        torch.empty_like(weight).copy_(of_weight.reshape(weight.shape)),
        total[-1].clone(),
    )


@_differentiate.register_fake
def _(
    gradient: Tensor, features: Tensor, offset: Tensor, modulation: Tensor | None, weight: Tensor, padding: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    of_modulation = offset.new_empty(0) if modulation is None else like(modulation)
    return like(features), like(offset), of_modulation, torch.empty_like(weight), weight.new_empty(len(weight))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.padding = inputs
    ctx.save_for_backward(*tensors[:4])


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    gradients = _differentiate(gradient, *ctx.saved_tensors, ctx.padding)
    return *(each if need else None for each, need in zip(gradients, ctx.needs_input_grad, strict=False)), None


_convolve.register_autograd(_backward, setup_context=_keep)


def _groups(offset: Tensor, modulation: Tensor | None, size: int) -> int:
    return offset.shape[1] // (size**2 * (3 if modulation is None else 2))


def _inputs(
    features: Tensor, offset: Tensor, modulation: Tensor | None, size: int, padding: int
) -> tuple[Tensor, tuple[int, ...], list[Tensor]]:
    """The features in a rim of zeros; where offsets, modulation and the taps' places at rest lie; what must live."""
    rim = programs.RIM
    height, width = (side + 2 * rim for side in features.shape[2:])
    if height * width * features.shape[1] >= 2**31:
        found = f"{tuple(features.shape)} features are more than int32 can count"
        raise ValueError(f"{found}; pass smaller ones, or backend='sample'")
    table = channels_last(pad(channels_last(features), (rim, rim, rim, rim)))  # (B, C, H + 4, W + 4)
    offset, stride = in_rows(offset)
    steps = _steps(size, padding)
    if modulation is None:
        factors, factor_stride, is_logit = offset, stride, 1
        address = offset.data_ptr() + 8 * _groups(offset, None, size) * size**2
    else:
        (factors, factor_stride), is_logit = in_rows(modulation), 0
        address = factors.data_ptr()
    return (
        table,
        (offset.data_ptr(), stride, address, factor_stride, is_logit, steps.data_ptr()),
        [offset, factors, steps],
    )


@functools.cache
def _steps(size: int, padding: int) -> Tensor:
    """How far down and right of a pixel each tap is at rest: ``(2, K)``."""
    steps = torch.arange(size, dtype=torch.float32) - padding
    return torch.stack((steps.repeat_interleave(size), steps.repeat(size)))


def _by_sample(weight: Tensor, groups: int) -> Tensor:
    """``(D, C, k, k)`` -> ``(L, D)``, in the order of a pixel's samples: groups, taps, channels."""
    outputs, channels = weight.shape[:2]
    split = weight.reshape(outputs, groups, channels // groups, -1).permute(1, 3, 2, 0)  # (G, K, C/G, D)
    return split.reshape(-1, outputs)


def _bands(batch: int, height: int, width: int) -> tuple[int, int]:
    """Into how many bands of how many rows a frame is divided."""
    wanted = min(-(-_UNITS // batch), max(1, height * width // _UNIT_PIXELS), height)
    rows = -(-height // wanted)
    return -(-height // rows), rows


def _scratch(units: int, length: int, outputs: int, groups: int, taps: int) -> tuple[Tensor, int]:
    size = programs.scratch_floats(length, outputs, groups, taps)
    return torch.empty(min(torch.get_num_threads(), units), size), size
