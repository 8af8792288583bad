"""What a run holds in memory: network, optimiser, average, and where it is; to disk and back."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cdgnet import CDGNet, load_weights, save_weights
from pipelines.restore.compilation import compile_for_training
from pipelines.train import checkpoints
from pipelines.train.runs import Run, network_of


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that a run changes."""

    run: Run
    fabric: Fabric
    network: CDGNet
    model: _FabricModule  # the network as fabric wraps it
    optimizer: torch.optim.Optimizer
    adam: torch.optim.Optimizer  # the optimiser as fabric wraps it
    averaged: AveragedModel | None
    state: dict[str, Any] = field(
        default_factory=lambda: {
            "step": 0,
            "strikes": 0,  # losses in a row that were no numbers
            "factor": 1.0,  # of the learning rate
            "went_back_to": -1,  # the step that a divergence was last undone to
            "best": None,  # validation PSNR in dB
            "owes_validation": False,  # of the step that it is at
        }
    )

    @property
    def result(self) -> CDGNet:
        """The network that is scored and kept."""
        if self.averaged is None:
            return self.network
        network = self.averaged.module
        assert isinstance(network, CDGNet)
        return network

    def save(self) -> None:
        """Write a checkpoint and the weights; but nothing where a weight is no number."""
        is_finite = all(bool(torch.isfinite(weight).all()) for weight in self.network.parameters())
        if self.fabric.is_global_zero and is_finite:
            held = {
                **self.state,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "averaged": self.averaged and self.averaged.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
            }
            checkpoints.save(self.run.folder, self.state["step"], held, keep=self.run.config.keep)
            self.write_weights("weights.safetensors", {})
        self.fabric.barrier()

    def write_weights(self, name: str, about: dict[str, str]) -> None:
        """Write the network that is kept into the run folder."""
        about = {
            "pack": ", ".join(pack.name for pack in self.run.packs),
            "step": str(self.state["step"]),
            "training": json.dumps(asdict(self.run.config)),
            **about,
        }
        save_weights(self.run.folder / name, self.result, about, overwrite=True)

    def restore(self) -> bool:
        """Bring everything to the last checkpoint that is whole; False where there is none."""
        held, _ = checkpoints.load(self.run.folder)
        if held is None:
            return False
        self.network.load_state_dict(held["network"])
        self.optimizer.load_state_dict(held["optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(held["averaged"])
        self.fabric.strategy.precision.load_state_dict(held["precision"])
        self.state.update({name: held[name] for name in self.state if name in held})
        return True


def over_devices(values: Tensor, fabric: Fabric, how: str = "mean") -> Tensor:
    """The mean or sum of a tensor over all processes, everywhere."""
    if fabric.world_size == 1:
        return values
    reduced = fabric.all_reduce(fabric.to_device(values), reduce_op=how)
    assert isinstance(reduced, Tensor)
    return reduced


def set_up(run: Run, fabric: Fabric) -> Parts:
    """Everything as it is before the first step."""
    config = run.config
    fabric.seed_everything(config.seed, verbose=False)
    network = CDGNet(network_of(config))
    if config.init is not None:
        network.load_state_dict(load_weights(Path(config.init)).state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=fabric.device.type == "cuda",
    )
    callee: nn.Module = compile_for_training(network, graphs=config.graphs) if config.compile else network
    model, adam = fabric.setup(callee, optimizer)
    averaged = None
    if config.average:
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.average))  # type: ignore[no-untyped-call]
    return Parts(
        run=run, fabric=fabric, network=network, model=model, optimizer=optimizer, adam=adam, averaged=averaged
    )
