"""What the processes of a run must do alike: values reduced over all of them, decisions taken by all of them."""

from typing import NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor


def reduce_over_devices(values: Tensor, fabric: Fabric, how: str = "mean") -> Tensor:
    """The mean or sum of a tensor over all processes; every process gets it."""
    if fabric.world_size == 1:
        return values
    reduced = fabric.all_reduce(fabric.to_device(values), reduce_op=how)
    assert isinstance(reduced, Tensor)
    return reduced


class Agreement(NamedTuple):
    """What all processes do after a step."""

    is_finite: bool  # the loss, on every process
    is_stopped: bool  # any process was asked to stop
    is_save_due: bool  # on any process it is time for a checkpoint


def agree(fabric: Fabric, *, is_finite: bool, is_stopped: bool, is_save_due: bool) -> Agreement:
    """Bring together what each process knows by itself."""
    if fabric.world_size == 1:
        return Agreement(is_finite, is_stopped, is_save_due)
    own = torch.tensor([is_finite, is_stopped, is_save_due], dtype=torch.float32, device=fabric.device)
    finite, stopped, due = reduce_over_devices(own, fabric).tolist()
    return Agreement(finite == 1, stopped > 0, due > 0)
