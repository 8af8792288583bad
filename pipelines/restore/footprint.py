"""What one frame takes of any network: memory and multiply-accumulates, found without computing anything."""

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
    """Of one pass of a network, in float32."""

    bytes: int  # the most that intermediate results take at once
    multiply_accumulates: int  # of convolutions and matrix products


def measure(network: nn.Module, height: int, width: int) -> Footprint:
    """Run a network's shapes on torch's meta device, where tensors have shapes and no values.

    One that looks at values is run on a small frame instead, and the frame's pixels are counted up.

    Args:
        network: Takes ``(1, 3, height, width)`` float.
        height: Of the frame, in pixels.
        width: Of the frame, in pixels.
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
    shapes = deepcopy(network, values)  # which copies what holds the weights, and none of them
    return _run(shapes, torch.zeros(1, 3, height, width, device="meta"))


def _run(network: nn.Module, frame: torch.Tensor) -> Footprint:
    with torch.no_grad(), _Memory() as memory, FlopCounterMode(display=False) as counter:
        network(frame)
    return Footprint(bytes=memory.peak, multiply_accumulates=counter.get_total_flops() // 2)


class _Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the memory of all tensors that operations make, for as long as each lives."""

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
