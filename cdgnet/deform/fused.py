"""Modulated deformable convolution as one Triton kernel: channels last, also in half precision.

Samples stay in registers and are never stored in memory. ``torch.ops.cdgnet.deform_conv2d`` is registered with
torch.library, shapes and gradients included, so that torch.compile and torch.export treat it as one operator.
Importing this module needs Triton.

Legend: B batch, C input channels, D output channels, H and W height and width of the features, h and w those of the
output, K = k * k taps of the kernel, G offset groups.
"""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from cdgnet.deform import kernels
from cdgnet.deform.layout import channels_last, like, new
from cdgnet.deform.sample import by_sample

GROUP_WIDTH, OUTPUTS = 64, 128
"""Largest number of channels in an offset group, and of output channels, that fit into a program's registers."""

_KINDS = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}


def fault(device: torch.device, kind: torch.dtype, width: int, outputs: int) -> str:
    """Say why the kernels cannot run for ``width`` channels per group and ``outputs`` channels; empty if they can."""
    if width > GROUP_WIDTH or outputs > OUTPUTS:
        return f"{width} channels per group and {outputs} output channels; the limits are {GROUP_WIDTH} and {OUTPUTS}"
    name = str(kind).removeprefix("torch.")
    return _fault_of(device) if kind in _KINDS else f"there are no kernels for {name}"


@functools.cache
def _fault_of(device: torch.device) -> str:
    """Check the kernels on a small case, once per process, so that a fault shows before a long training."""
    if device.type == "cpu" and not _is_interpreted():
        return "Triton's kernels run on a CPU only under TRITON_INTERPRET=1"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        return f"{torch.cuda.get_device_name(device)} is older than compute capability 8.0"
    with ThreadPoolExecutor(1) as thread:  # modes are per thread; in one that traces, tensors have no values
        return thread.submit(_fault_in_trial, device).result()


def _fault_in_trial(device: torch.device) -> str:
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
            results = [each.cpu() for each in _trial(by_fused, device)]
            wanted = _trial(
                by_sample, torch.device("cpu")
            )  # on the CPU: on CUDA it is not deterministic, and may be refused
    except Exception as error:  # compilers, drivers and launches raise many types
        return f"the kernels failed ({' '.join(str(error).split())[:120]})"
    # TF32 products have about three digits.
    faults = [float((one - other).abs().max() / other.abs().max()) for one, other in zip(results, wanted, strict=True)]
    return "" if all(each < 0.01 for each in faults) else f"the kernels were wrong by {max(faults):.1%} on a test case"


def _is_interpreted() -> bool:
    return not isinstance(kernels.convolve, triton.JITFunction)


def _trial(convolve: Callable[..., Tensor], device: torch.device) -> tuple[Tensor, ...]:
    """Return the result of one small case, and its gradients."""
    chance = torch.Generator().manual_seed(0)
    shapes = ((1, 8, 4, 5), (1, 36, 4, 5), (1, 18, 4, 5), (4, 8, 3, 3), (4,))
    leaves = [torch.randn(shape, generator=chance).to(device).requires_grad_() for shape in shapes]
    result = convolve(*leaves, 1)
    return result.detach(), *torch.autograd.grad(result.square().sum(), leaves)


def by_fused(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    """Compute ``deform.deform_conv2d`` for float32, float16 or bfloat16 features.

    Products are computed in the features' type and summed in float32. With float32, a product uses TF32 if
    ``torch.set_float32_matmul_precision`` allows it, otherwise three TF32 products that reach float32 except for the
    last digit.

    The gradient of the features is summed by atomic additions in varying order, so its last digits vary. Under
    ``torch.use_deterministic_algorithms`` fixed-point integers are added instead, scaled so that the largest possible
    term is 2**36 at most; the result is then reproducible.
    """
    result: Tensor = _convolve(features, offset.float(), modulation.float(), weight.float(), bias.float(), padding)
    return result


@torch.library.custom_op("cdgnet::deform_conv2d", mutates_args=())
def _convolve(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    features = channels_last(features)
    (offset, offset_stride), (modulation, modulation_stride) = _in_rows(offset), _in_rows(modulation)
    result = new(features, len(weight), offset)
    if not result.numel():
        return result
    pixels = result.numel() // len(weight)
    block, warps = _block(features, modulation, weight, is_backward=False, capability=_capability(features.device))
    with torch.cuda.device_of(features):  # type: ignore[no-untyped-call]
        kernels.convolve[(triton.cdiv(pixels, block),)](
            features,
            offset,
            modulation,
            _packed(weight, features.dtype),
            bias,
            result,
            offset_stride,
            modulation_stride,
            *_sizes(features, offset),
            **_constants(features, modulation, weight, padding, block),
            num_warps=warps,
        )
    return result


@_convolve.register_fake
def _(features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    return new(features, len(weight), offset)


@torch.library.custom_op("cdgnet::deform_conv2d_backward", mutates_args=())
def _differentiate(
    gradient: Tensor,
    features: Tensor,
    offset: Tensor,
    modulation: Tensor,
    weight: Tensor,
    padding: int,
    needs_features: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    gradient, features = channels_last(gradient), channels_last(features)
    (offset, offset_stride), (modulation, modulation_stride) = _in_rows(offset), _in_rows(modulation)
    of_offset, of_modulation = (like(each) for each in (offset, modulation))
    pixels = offset.numel() // offset.shape[1]
    block, warps = _block(features, modulation, weight, is_backward=True, capability=_capability(features.device))
    parts = _parts(pixels, block, weight)
    sums = weight.new_empty(parts, weight[0, 0].numel(), weight.shape[1], len(weight))  # (parts, K, C, D)
    is_exact = torch.are_deterministic_algorithms_enabled()
    scale = _scale(gradient, weight, modulation) if is_exact and pixels else weight.new_ones(())
    of_features = torch.zeros_like(features, dtype=torch.int64 if is_exact else torch.float32)
    if not pixels:
        return of_features.to(features.dtype), of_offset, of_modulation, torch.zeros_like(weight)
    with torch.cuda.device_of(features):  # type: ignore[no-untyped-call]
        kernels.differentiate[(modulation.shape[1], parts)](
            gradient,
            features,
            offset,
            modulation,
            _packed(weight, features.dtype),
            of_features,
            of_offset,
            of_modulation,
            sums,
            scale,
            offset_stride,
            modulation_stride,
            *_sizes(features, offset),
            **_constants(features, modulation, weight, padding, block),
            IS_EXACT=is_exact,
            NEEDS_FEATURES=needs_features,
            num_warps=warps,
        )
    if is_exact:
        of_features = of_features / scale.double()
    of_weight = sums.sum(dim=0).permute(2, 1, 0).reshape(weight.shape)  # (D, C, k, k)
    return of_features.to(features.dtype), of_offset, of_modulation, torch.empty_like(weight).copy_(of_weight)


@_differentiate.register_fake
def _(
    gradient: Tensor,
    features: Tensor,
    offset: Tensor,
    modulation: Tensor,
    weight: Tensor,
    padding: int,
    needs_features: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return like(features), like(offset), like(modulation), torch.empty_like(weight)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    features, offset, modulation, weight, _, ctx.padding = inputs
    ctx.save_for_backward(features, offset, modulation, weight)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    features, offset, modulation, weight = ctx.saved_tensors
    needs = ctx.needs_input_grad
    of_bias = gradient.float().sum(dim=(0, 2, 3)) if needs[4] else None
    if not any(needs[:4]):
        return None, None, None, None, of_bias, None
    gradients = _differentiate(gradient, features, offset, modulation, weight, ctx.padding, needs[0])
    return *(each if need else None for each, need in zip(gradients, needs[:4], strict=True)), of_bias, None


_convolve.register_autograd(_backward, setup_context=_keep)


def _in_rows(maps: Tensor) -> tuple[Tensor, int]:
    """Return ``maps`` with adjacent channels and evenly spaced pixels, and the distance between pixels.

    A slice of a channels_last tensor's channels already has this layout and is not copied.
    """
    item, channel, row, column = maps.stride()
    if channel == 1 and row == column * maps.shape[3] and item == row * maps.shape[2]:
        return maps, column
    return channels_last(maps), maps.shape[1]


def _packed(weight: Tensor, kind: torch.dtype) -> Tensor:
    """Reorder a weight, ``(D, C, k, k)`` -> ``(K, C, D)``."""
    return weight.flatten(2).permute(2, 1, 0).contiguous().to(kind)


def _sizes(features: Tensor, offset: Tensor) -> tuple[int, ...]:
    return (offset.numel() // offset.shape[1], *features.shape[2:], *offset.shape[2:])


def _constants(features: Tensor, modulation: Tensor, weight: Tensor, padding: int, block: int) -> dict[str, Any]:
    outputs, channels, size = weight.shape[:3]
    groups = modulation.shape[1] // size**2
    is_strict = torch.get_float32_matmul_precision() == "highest"
    return {
        "PADDING": padding,
        "SIZE": size,
        "GROUPS": groups,
        "CHANNELS": channels,
        "OUTPUTS": outputs,
        "BLOCK_P": block,
        "BLOCK_E": max(16, triton.next_power_of_2(channels // groups)),
        "BLOCK_D": max(16, triton.next_power_of_2(outputs)),
        "KIND": _KINDS[torch.float32 if _is_interpreted() else features.dtype],
        "PRECISION": "tf32x3" if is_strict else "tf32",
    }


def _block(
    features: Tensor, modulation: Tensor, weight: Tensor, *, is_backward: bool, capability: tuple[int, int]
) -> tuple[int, int]:
    """Return pixels per block and warps per program that fit into the registers and into 99 kB of shared memory.

    99 kB is the smallest shared memory of the supported GPUs. For half precision on compute capability 9.0 these are
    the fastest settings on an H100; the others were found by compiling (benchmarks/kernels.py). See docs/gpu.md.
    """
    outputs, channels, size = weight.shape[:3]
    widest = max(channels * size**2 // modulation.shape[1], outputs // 2)
    if capability[0] == 9 and features.element_size() == 2:
        return 64, 4 if widest <= 32 else 8
    row = features.element_size() * widest
    bounds = ((32, 64), (128, 32), (256, 16)) if is_backward else ((128, 64), (256, 16))
    return next(block for bytes_, block in bounds if row <= bytes_), 4 if widest <= 16 else 8


def _capability(device: torch.device) -> tuple[int, int]:
    """Return the compute capability of a device; (0, 0) for a CPU, where the kernels are interpreted."""
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)


def _parts(pixels: int, block: int, weight: Tensor) -> int:
    """Return how many programs share a step's pixels in the backward pass: enough for a GPU, up to 40 MB of sums."""
    fitting = min(256, 2**20 // (weight.shape[0] * weight.shape[1]))
    return max(1, min(max(64, fitting), -(-pixels // block)))


def _scale(gradient: Tensor, weight: Tensor, modulation: Tensor) -> Tensor:
    """Return the power of two that scales terms of the features' gradient to integers, ``()`` float32.

    The largest possible term becomes 2**36 at most, so that 2**26 terms can add up in one pixel without overflow.
    """
    largest = gradient.abs().amax().float() * weight.abs().sum(dim=0).amax() * modulation.abs().amax()
    _, exponent = torch.frexp(largest)
    return torch.ldexp(torch.ones_like(largest), 36 - exponent) + 0 * largest  # propagates NaN and infinity
