"""Modulated deformable convolution (DCNv2): one interface, several backends.

Legend: B batch, C input channels, D output channels, H and W height and width of the features, h and w those of the
output, K = k * k taps of the kernel, G offset groups, whose C / G channels share their offsets.
"""

import logging
import os
import re
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.ops import deform_conv2d as torchvision_deform_conv2d

from cdgnet.deform.sample import by_sample
from cdgnet.errors import CDGNetError
from cdgnet.tracing import is_exporting

Backend = Literal["torchvision", "sample", "numba", "fused"]
BACKENDS: tuple[Backend, ...] = ("torchvision", "sample", "numba", "fused")
_PREFERRED = os.environ.get("CDGNET_DEFORM")  # backend that the user prefers, if kernels fail on some GPU


def default_backend(device: torch.device) -> Backend:
    """Return the fastest backend on a device, as measured by benchmarks/deform.py.

    On CUDA it is ``fused`` and on CPUs ``numba``, neither of which stores the samples in memory. On the meta device it
    is ``torchvision``, a single operator. On other devices, and while a network is exported, it is ``sample``, whose
    operators other runtimes support. The environment variable CDGNET_DEFORM overrides the choice, except during
    export; it is read when the module is imported.

    Raises:
        CDGNetError: If CDGNET_DEFORM is not one of ``BACKENDS``.
    """
    if is_exporting():
        return "sample"
    for backend in BACKENDS:
        if backend == _PREFERRED:
            return backend
    if _PREFERRED:
        known = ", ".join(BACKENDS)
        raise CDGNetError(f"CDGNET_DEFORM is {_PREFERRED!r}; set it to one of {known}, or unset it")
    by_device: dict[str, Backend] = {"cuda": "fused", "cpu": "numba", "meta": "torchvision"}
    return by_device.get(device.type, "sample")


def deform_conv2d(
    features: Tensor,
    offset: Tensor,
    modulation: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    padding: int,
    backend: Backend | None = None,
) -> Tensor:
    """Compute a modulated deformable convolution (DCNv2) with stride 1 and no dilation.

    At each pixel every tap of the kernel reads the features at its own position plus an offset, by bilinear
    interpolation, and multiplies the sample by a factor. Features outside the frame are zero; a tap less than one pixel
    outside therefore still sees the edge.

    Positions are computed in float32 or better, also under autocast: float16 resolves columns beyond 512 to half a
    pixel. The products are float32 too, except in the backend ``fused``, which multiplies in the features' type.

    Args:
        features: ``(B, C, H, W)`` float.
        offset: ``(B, 2GK, h, w)`` in pixels. The order is groups, then taps row by row, then (down, right).
        modulation: ``(B, GK, h, w)``, the factor of each tap.
        weight: ``(D, C, k, k)`` with odd k.
        bias: ``(D,)``.
        padding: Zeros around the frame, in pixels; h = H + 2 padding - k + 1, and w accordingly.
        backend: One of ``BACKENDS``, or None for ``default_backend``. A backend that cannot run here is replaced by
            another; if it is ``fused``, the reason is logged once.

    Returns:
        ``(B, D, h, w)`` in the features' type.

    Raises:
        ValueError: If the shapes do not match, k is even, or ``backend`` is unknown.

    Source: Zhu et al. 2019 (Deformable ConvNets v2), equation 1.
    """
    _check(features, offset, modulation, weight, bias, padding)
    backend = backend or default_backend(features.device)
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} does not exist; pass one of {', '.join(BACKENDS)}")
    width, outputs = weight.shape[1] * weight.shape[-1] ** 2 // modulation.shape[1], len(weight)
    exact = torch.promote_types(features.dtype, torch.float32)
    if backend == "fused" and not _can_fuse(features.device, features.dtype, width, outputs):
        backend = "torchvision" if features.device.type == "cuda" else "numba"
    if backend == "numba" and not _can_loop(features.device, exact, width, weight.shape):
        backend = "sample"
    with _without_autocast(features.device):
        if backend == "fused":
            from cdgnet.deform.fused import by_fused

            return by_fused(features, offset, modulation, weight, bias, padding)
        if backend == "numba":
            from cdgnet.deform.numba_op import by_numba as convolve
        else:
            convolve = {"torchvision": _by_torchvision, "sample": by_sample}[backend]
        result = convolve(
            features.to(exact),
            offset.to(exact),
            modulation.to(exact),
            weight.to(exact),
            bias.to(exact),
            padding,
        )
    return result.to(features.dtype)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _can_fuse(device: torch.device, kind: torch.dtype, width: int, outputs: int) -> bool:
    """Return whether ``fused`` can run; ``torch.compile`` treats the answer as a constant."""
    try:
        from cdgnet.deform import fused
    except ImportError:
        fault = "Triton is not installed"
    else:
        fault = fused.fault(device, kind, width, outputs)
    if fault:
        _warn_once(f"deformable convolutions run without the fused kernel: {fault}")
    return not fault


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _can_loop(device: torch.device, kind: torch.dtype, width: int, weight: torch.Size) -> bool:
    """Return whether ``numba`` can run; compiles its loops on the first call."""
    try:
        from cdgnet.deform import numba_op
    except ImportError:
        return False
    return bool(numba_op.can_run(device, kind, width, weight[0], weight[-1]))


@cache
def _warn_once(message: str) -> None:
    """Log a message once per process."""
    logging.getLogger(__name__).warning(message)


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    # Only if autocast is on, because an exported program would otherwise contain a region for each call.
    is_on = device.type != "meta" and torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if is_on else nullcontext()


def _by_torchvision(
    features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int
) -> Tensor:
    result: Tensor = torchvision_deform_conv2d(features, offset, weight, bias, padding=padding, mask=modulation)
    return result


def _check(features: Tensor, offset: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor, padding: int) -> None:
    if features.ndim != 4 or weight.ndim != 4 or weight.shape[1] != features.shape[1]:
        found = f"features {tuple(features.shape)} and weight {tuple(weight.shape)}"
        raise ValueError(f"{found} do not fit; pass (B, C, H, W) and (D, C, k, k)")
    size = weight.shape[-1]
    if weight.shape[-2] != size or size % 2 == 0:
        raise ValueError(
            f"the kernel is {weight.shape[-2]} x {size}; it must be square with an odd side, such as 3 x 3"
        )
    groups, rest = divmod(offset.shape[1], 2 * size**2)
    if rest or not groups or features.shape[1] % groups:
        wanted = f"{2 * size**2} channels per group, in groups that divide {features.shape[1]} channels"
        raise ValueError(f"offset has {offset.shape[1]} channels; it must be (B, 2GK, h, w): {wanted}")
    grown = 2 * padding - size + 1
    place = (features.shape[-2] + grown, features.shape[-1] + grown)
    shapes = {
        "offset": (offset, (features.shape[0], 2 * groups * size**2, *place)),
        "modulation": (modulation, (features.shape[0], groups * size**2, *place)),
        "bias": (bias, (weight.shape[0],)),
    }
    for name, (tensor, wanted_shape) in shapes.items():
        if tensor.shape != wanted_shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}; it must be {wanted_shape}")


class _OffsetConv(nn.Conv2d):
    """A convolution that on CUDA computes a multiple of 8 channels; otherwise cuDNN pads and copies."""

    def forward(self, features: Tensor) -> Tensor:
        missing = -self.out_channels % 8
        if features.device.type != "cuda" or not missing or self.bias is None:
            return super().forward(features)
        weight, bias = pad(self.weight, (0, 0, 0, 0, 0, 0, 0, missing)), pad(self.bias, (0, missing))
        moves: Tensor = self._conv_forward(features, weight, bias)
        return moves[:, : self.out_channels]


class DeformConv(nn.Module):
    """A 3x3 modulated deformable convolution (DCNv2) that predicts its own offsets.

    A 3x3 convolution predicts the offsets and the logits of the modulation. It starts at zero: all taps begin at
    their regular positions with a modulation of sigmoid(0) = 1/2. The kernel is initialised in twice the range of
    ``nn.Conv2d`` to compensate, so that a new layer acts like a new 3x3 convolution. DCNv2 does not need this, since
    normalisation follows its layers.

    Args:
        inputs: C, input channels.
        outputs: D, output channels.
        offset_groups: G, groups of channels that share their offsets; C must be a multiple of it.

    Source: Zhu et al. 2019 (Deformable ConvNets v2), section 3.2. Unlike there, the offsets have the same learning
    rate as the kernel, not a tenth of it.
    """

    SIZE = 3

    def __init__(self, inputs: int, outputs: int, *, offset_groups: int) -> None:
        super().__init__()
        self.offset_channels = 2 * offset_groups * self.SIZE**2
        self.offset_conv = _OffsetConv(inputs, 3 * offset_groups * self.SIZE**2, self.SIZE, padding=self.SIZE // 2)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, self.SIZE, self.SIZE))
        self.bias = nn.Parameter(torch.empty(outputs))
        for parameter in self.offset_conv.parameters():
            nn.init.zeros_(parameter)
        bound = (inputs * self.SIZE**2) ** -0.5
        nn.init.uniform_(self.weight, -2 * bound, 2 * bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        for name in [name for name in state_dict if name.startswith(prefix)]:
            state_dict[current_name(name)] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve features, ``(B, C, H, W)`` -> ``(B, D, H, W)``."""
        if self.is_one_pass(features):
            return self.in_one_pass(features)
        # Offsets in half precision would be too coarse.
        with _without_autocast(features.device):
            moves = self.offset_conv(features.to(self.weight.dtype))  # (B, 3GK, H, W)
        taps = self.offset_channels // 2
        offset, logits = moves.split((2 * taps, taps), dim=1)  # (B, 2GK, H, W), (B, GK, H, W)
        return deform_conv2d(features, offset, logits.sigmoid(), self.weight, self.bias, padding=self.SIZE // 2)

    def in_one_pass(self, features: Tensor, join: nn.Conv2d | None = None) -> Tensor:
        """Run ``forward`` as a single operator, for use if ``is_one_pass``.

        With ``join``, a 1x1 convolution, the result is features + join(ReLU(forward(features))).
        """
        from cdgnet.deform.numba_op import layer

        guide, joins = self.offset_conv, (None, None) if join is None else (join.weight, join.bias)
        assert guide.bias is not None
        with _without_autocast(features.device):
            result = layer(features.float(), guide.weight, guide.bias, self.weight, self.bias, *joins)
        return result.to(features.dtype)

    def is_one_pass(self, features: Tensor) -> bool:
        """Return whether one operator can run the whole layer: with ``numba``, unless a hook needs the offsets."""
        if default_backend(features.device) != "numba" or self.offset_conv._forward_hooks:
            return False
        exact = torch.promote_types(features.dtype, self.weight.dtype)
        width = 2 * self.weight.shape[1] * self.SIZE**2 // self.offset_channels
        return bool(_can_loop(features.device, exact, width, self.weight.shape))


def current_name(name: str) -> str:
    """Return a tensor's current name in a state dict; files of the first release call ``offset_conv`` ``guide``."""
    return re.sub(r"(^|\.)guide\.(weight|bias)$", r"\1offset_conv.\2", name)
