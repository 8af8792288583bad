"""Memory and multiply-accumulates that any network needs for one frame, found without computing values."""

import weakref
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

_SMALL_SIDE = 128  # pixels


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The cost of one forward pass of a network in float32."""

    bytes: int  # peak memory of intermediate results
    multiply_accumulates: int  # in convolutions and matrix products


def measure(network: nn.Module, height: int, width: int) -> Footprint:
    """Measure a network on torch's meta device, where tensors have shapes and no values.

    A network that reads values runs on a small frame instead, and its cost is scaled up by the number of pixels.

    Args:
        network: Takes ``(1, 3, height, width)`` float.
        height: Frame height in pixels.
        width: Frame width in pixels.
    """
    try:
        return _of_shapes(network, height, width)
    except (NotImplementedError, RuntimeError):
        device = next(network.parameters()).device
        small = _run(network, torch.zeros(1, 3, _SMALL_SIDE, _SMALL_SIDE, device=device))
        scale = height * width / _SMALL_SIDE**2
        return Footprint(
            bytes=round(small.bytes * scale), multiply_accumulates=round(small.multiply_accumulates * scale)
        )


def _of_shapes(network: nn.Module, height: int, width: int) -> Footprint:
    values: dict[int, Any] = {id(value): value.detach().to("meta") for value in network.buffers()}
    values |= {id(value): nn.Parameter(value.detach().to("meta")) for value in network.parameters()}
    shapes = deepcopy(network, values)  # copies the modules, but not the weights in them
    return _run(shapes, torch.zeros(1, 3, height, width, device="meta"))


def _run(network: nn.Module, frame: torch.Tensor) -> Footprint:
    with torch.no_grad(), _Memory() as memory, FlopCounterMode(display=False) as counter:
        network(frame)
    return Footprint(bytes=memory.peak, multiply_accumulates=counter.get_total_flops() // 2)


class _Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tracks the memory of all living tensors that operations created, and its peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        name, size = storage._cdata, storage.nbytes()
        if name in self._known:
            return
        self._known.add(name)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._remove, name, size)

    def _remove(self, name: int, size: int) -> None:
        self._known.discard(name)
        self._now -= size
