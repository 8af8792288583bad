"""Agreement of the processes of a run: values reduced over all processes, and decisions that all take alike."""

from typing import NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor


def reduce_over_devices(values: Tensor, fabric: Fabric, how: str = "mean") -> Tensor:
    """Return the mean or sum of a tensor over all processes, on every process."""
    if fabric.world_size == 1:
        return values
    reduced = fabric.all_reduce(fabric.to_device(values), reduce_op=how)
    assert isinstance(reduced, Tensor)
    return reduced


class Agreement(NamedTuple):
    """What all processes do after a step."""

    is_finite: bool  # the loss is finite on every process
    is_stopped: bool  # at least one process was asked to stop
    is_save_due: bool  # a checkpoint is due on at least one process


def agree(fabric: Fabric, *, is_finite: bool, is_stopped: bool, is_save_due: bool) -> Agreement:
    """Combine what each process knows into what all processes do."""
    if fabric.world_size == 1:
        return Agreement(is_finite, is_stopped, is_save_due)
    own = torch.tensor([is_finite, is_stopped, is_save_due], dtype=torch.float32, device=fabric.device)
    finite, stopped, due = reduce_over_devices(own, fabric).tolist()
    return Agreement(finite == 1, stopped > 0, due > 0)
