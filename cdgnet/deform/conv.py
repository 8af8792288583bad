"""Modulated deformable convolution (DCNv2): one interface, several backends.

Legend: B batch, C channels in, D channels out, H and W the features' height and width, h and w the output's,
K = k * k taps of the kernel, G offset groups: the C / G channels of a group move together.
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
_PREFERRED = os.environ.get("CDGNET_DEFORM")  # the way round a kernel that fails on somebody's GPU


def default_backend(device: torch.device) -> Backend:
    """The fastest backend on a device, as benchmarks/deform.py finds it.

    On CUDA ``fused``, on a CPU ``numba``: in both no buffer of samples is written. On meta, where only shapes are asked
    for, ``torchvision``, one operator. Elsewhere, and in exported programs, ``sample``: other runtimes have its
    operators. The environment variable CDGNET_DEFORM, read when this is imported, names another one.

    Raises:
        CDGNetError: If CDGNET_DEFORM names none.
    """
    if is_exporting():
        return "sample"
    for backend in BACKENDS:
        if backend == _PREFERRED:
            return backend
    if _PREFERRED:
        known = ", ".join(BACKENDS)
        raise CDGNetError(f"CDGNET_DEFORM is {_PREFERRED!r}, wanted one of {known}; set it to one of these or unset it")
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
    """Convolve with taps that each pixel moves and weighs; stride 1, no dilation.

    Outside the frame features are zero, and a tap between two pixels mixes them bilinearly, so that a tap
    less than one pixel outside still sees the edge. Positions are at least float32, also under autocast: in half
    precision one beyond column 512 is known to half a pixel. So is all else, but for the products of ``fused``.

    Args:
        features: ``(B, C, H, W)`` float.
        offset: ``(B, 2GK, h, w)`` in pixels: for each group, for each tap by rows, down and then right.
        modulation: ``(B, GK, h, w)``, the factor of each tap's sample.
        weight: ``(D, C, k, k)``, k odd.
        bias: ``(D,)``.
        padding: Zeros around the frame, in pixels; h = H + 2 padding - k + 1.
        backend: Which implementation; None chooses the fastest, see ``default_backend``. Where it cannot run, another
            takes its place; in that of ``fused``, the log says why, once.

    Returns:
        ``(B, D, h, w)``, of the features' type.

    Raises:
        ValueError: If the shapes do not fit, k is even, or ``backend`` is unknown.

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
    """Whether ``fused`` can run; a compiled program knows the answer and does not ask again."""
    try:
        from cdgnet.deform import fused
    except ImportError:
        fault = "Triton is not installed"
    else:
        fault = fused.fault(device, kind, width, outputs)
    if fault:
        _tell(f"deformable convolutions run without the fused kernel: {fault}")
    return not fault


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _can_loop(device: torch.device, kind: torch.dtype, width: int, weight: torch.Size) -> bool:
    """Whether ``numba`` can run; compiles its loops where that has not been done."""
    try:
        from cdgnet.deform import numba_op
    except ImportError:
        return False
    return bool(numba_op.can_run(device, kind, width, weight[0], weight[-1]))


@cache
def _tell(message: str) -> None:
    """Once a process."""
    logging.getLogger(__name__).warning(message)


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    # Where there is none, nothing is said of it: an exported program would hold a region for each.
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
        raise ValueError(f"the kernel is {weight.shape[-2]} x {size}, wanted square and odd; pass 3 x 3")
    groups, rest = divmod(offset.shape[1], 2 * size**2)
    if rest or not groups or features.shape[1] % groups:
        wanted = f"{2 * size**2} a group, in groups that divide {features.shape[1]} channels"
        raise ValueError(f"offset has {offset.shape[1]} channels, wanted {wanted}; pass (B, 2GK, h, w)")
    grown = 2 * padding - size + 1
    place = (features.shape[-2] + grown, features.shape[-1] + grown)
    shapes = {
        "offset": (offset, (features.shape[0], 2 * groups * size**2, *place)),
        "modulation": (modulation, (features.shape[0], groups * size**2, *place)),
        "bias": (bias, (weight.shape[0],)),
    }
    for name, (tensor, wanted_shape) in shapes.items():
        if tensor.shape != wanted_shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, wanted {wanted_shape}; pass that shape")


class _OffsetConv(nn.Conv2d):
    """A convolution that on CUDA computes channels of zeros up to a multiple of 8: else cuDNN pads and copies them."""

    def forward(self, features: Tensor) -> Tensor:
        missing = -self.out_channels % 8
        if features.device.type != "cuda" or not missing or self.bias is None:
            return super().forward(features)
        weight, bias = pad(self.weight, (0, 0, 0, 0, 0, 0, 0, missing)), pad(self.bias, (0, missing))
        moves: Tensor = self._conv_forward(features, weight, bias)
        return moves[:, : self.out_channels]


class DeformConv(nn.Module):
    """A 3x3 deformable convolution that finds its own offsets; same height and width in and out.

    One 3x3 convolution, started at zero, gives the offsets and the logits of the modulation, whose sigmoid is
    in (0, 1) as in DCNv2. Every tap therefore starts at rest and at 1/2. The kernel starts at twice the range
    of ``nn.Conv2d``, so that a new layer is an ordinary new 3x3 convolution and not half of one: DCNv2 could
    leave that to the normalisation behind it, here there is none.

    Args:
        inputs: C.
        outputs: D.
        offset_groups: G; C is a multiple of it.

    Source: Zhu et al. 2019 (Deformable ConvNets v2), section 3.2; that the offsets learn at the kernel's
    rate, not at a tenth of it, is ours.
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
        """``(B, C, H, W)`` -> ``(B, D, H, W)``."""
        if self.is_one_pass(features):
            return self.in_one_pass(features)
        # Half precision would move the taps by steps of its own.
        with _without_autocast(features.device):
            moves = self.offset_conv(features.to(self.weight.dtype))  # (B, 3GK, H, W)
        taps = self.offset_channels // 2
        offset, logits = moves.split((2 * taps, taps), dim=1)  # (B, 2GK, H, W), (B, GK, H, W)
        return deform_conv2d(features, offset, logits.sigmoid(), self.weight, self.bias, padding=self.SIZE // 2)

    def in_one_pass(self, features: Tensor, join: nn.Conv2d | None = None) -> Tensor:
        """``forward``, where ``is_one_pass``; with ``join``, a 1x1 convolution, features + join(ReLU(forward))."""
        from cdgnet.deform.numba_op import layer

        guide, joins = self.offset_conv, (None, None) if join is None else (join.weight, join.bias)
        assert guide.bias is not None
        with _without_autocast(features.device):
            result = layer(features.float(), guide.weight, guide.bias, self.weight, self.bias, *joins)
        return result.to(features.dtype)

    def is_one_pass(self, features: Tensor) -> bool:
        """Whether offsets may stay inside one operator: by ``numba``, and unless somebody watches them."""
        if default_backend(features.device) != "numba" or self.offset_conv._forward_hooks:
            return False
        exact = torch.promote_types(features.dtype, self.weight.dtype)
        width = 2 * self.weight.shape[1] * self.SIZE**2 // self.offset_channels
        return bool(_can_loop(features.device, exact, width, self.weight.shape))


def current_name(name: str) -> str:
    """What a tensor of a state dict is called today: files of the first release call ``offset_conv`` ``guide``."""
    return re.sub(r"(^|\.)guide\.(weight|bias)$", r"\1offset_conv.\2", name)
