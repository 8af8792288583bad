"""Modulated deformable convolution for CPUs in one pass, by loops compiled with numba: float32, channels last.

``torch.ops.cdgnet.deform_conv2d_cpu`` and ``deform_layer_cpu`` are registered with torch.library, shapes and gradients
included, so that torch.compile and torch.export treat each as one operator. Importing this module needs numba. The
first call with new numbers of channels compiles for some seconds; later processes load the result from disk.

Legend: B batch, C input channels, D output channels, H and W height and width of the features, h and w those of the
output, K = k * k taps of the kernel, G offset groups, L = CK samples per pixel, M = 3GK offsets and logits per pixel,
rounded up.
"""

from typing import Any

import torch
from torch import Tensor

from cdgnet.deform.layout import like, new
from cdgnet.deform.numba_calls import (
    Join,
    backward,
    empty_extents,
    empty_rows,
    forward,
    found_moves,
    given_moves,
    is_compiled,
    moves_before,
)
from cdgnet.deform.numba_programs import rounded
from cdgnet.deform.numba_samples import RIM


def can_run(device: torch.device, kind: torch.dtype, width: int, outputs: int, size: int) -> bool:
    """Return whether this backend supports the convolution; compiles its loops on the first call.

    Args:
        device: Device of the features.
        kind: Type of the features.
        width: Channels per offset group.
        outputs: Output channels.
        size: Side of the kernel.
    """
    is_known = device.type == "cpu" and kind == torch.float32 and size // 2 <= RIM
    return is_known and is_compiled(width, outputs, size)


def by_numba(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    """Compute ``deform.deform_conv2d`` for float32 tensors; the result is channels_last and reproducible."""
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
    """Run a deformable layer in one operator: predict offsets and modulation, convolve, and optionally add a skip.

    Offsets and logits are stored only if gradients are needed; their own gradients are never stored.

    Args:
        features: ``(B, C, H, W)`` float32.
        guide: ``(3GK, C, k, k)``, weight of the convolution that predicts the offsets of all groups (two per tap), then
            the logits of the modulation.
        guide_bias: ``(3GK,)``.
        weight: ``(D, C, k, k)`` with odd k.
        bias: ``(D,)``.
        join: ``(C, C, 1, 1)`` with D = C, or None. With it the result is features + join(ReLU(convolution)).
        join_bias: ``(C,)``, or None.

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
    moves = given_moves(offset, modulation, weight.shape[-1])
    return forward(features, moves, offset, weight, bias, padding)


@_convolve.register_fake
def _(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> tuple[Tensor, Tensor]:
    return new(features, len(weight), offset), empty_extents(features, offset)


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
    moves = given_moves(offset, modulation, weight.shape[-1])
    of_moves = like(offset), like(modulation)
    found = backward(gradient, features, moves, of_moves, extents, weight, padding)
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
    kept = empty_rows(features, rounded(len(guide)), keeps)
    kept_joined = empty_rows(features, len(weight), keeps and join is not None)
    moves = found_moves(guide, guide_bias, kept)
    joined = None if join is None else Join(join, join_bias, kept_joined)
    return *forward(features, moves, features, weight, bias, weight.shape[-1] // 2, joined), kept, kept_joined


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
    kept = empty_rows(features, rounded(len(guide)), keeps)
    kept_joined = empty_rows(features, len(weight), keeps and join is not None)
    return new(features, len(weight), features), empty_extents(features, features), kept, kept_joined


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
    moves = moves_before(guide, kept)
    joined = None if join is None else Join(join, None, kept_joined)
    padding = weight.shape[-1] // 2
    found = backward(gradient, features, moves, None, extents, weight, padding, joined)
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


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    features, offset, modulation, weight, _, ctx.padding = inputs
    ctx.save_for_backward(features, offset, modulation, weight, output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # otherwise torch allocates zeros for outputs without gradient


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
