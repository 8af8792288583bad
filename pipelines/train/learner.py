"""Everything that a run changes (network, optimiser, moving average, state), and how it is saved and restored."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cdgnet import CDGNet, load_weights, save_weights
from pipelines.restore.compilation import compile_for_training
from pipelines.train import checkpoints, run_folder, schedule
from pipelines.train.runs import Run, network_of
from pipelines.train.state import TrainingState


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A network in training, with everything that changes in the process."""

    run: Run
    fabric: Fabric
    network: CDGNet
    optimizer: torch.optim.Optimizer
    model: _FabricModule  # the network wrapped by fabric, compiled on request; called for the forward pass
    stepper: torch.optim.Optimizer  # the optimiser wrapped by fabric; called to make a step
    ema: AveragedModel | None  # exponential moving average of the network; None if the run has none
    state: TrainingState

    @property
    def result(self) -> CDGNet:
        """The network that is scored and saved: the EMA if the run has one."""
        if self.ema is None:
            return self.network
        network = self.ema.module
        assert isinstance(network, CDGNet)
        return network

    @property
    def learning_rate(self) -> float:
        """The learning rate of the current step."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def set_learning_rate(self) -> None:
        """Set the learning rate of the next step from the schedule and the past rollbacks."""
        run, state = self.run, self.state
        rate = schedule.learning_rate(run.config, state.step, state.plan, len(run.split.train))
        for group in self.optimizer.param_groups:
            group["lr"] = state.learning_rate_factor * rate

    def finish_step(self, *, is_finite: bool) -> None:
        """Update the network and its EMA from the gradients, or skip the step if its loss is not finite."""
        config = self.run.config
        if is_finite:
            if config.clip:
                self.fabric.clip_gradients(self.model, self.stepper, max_norm=config.clip, error_if_nonfinite=False)
            self.stepper.step()
            if self.ema is not None:
                self.ema.update_parameters(self.network)
        self.stepper.zero_grad()
        self.state.step += 1
        self.state.nonfinite_losses = 0 if is_finite else self.state.nonfinite_losses + 1

    def save(self) -> bool:
        """Write a checkpoint and the weights; if a weight is not finite, write neither and return False."""
        networks = (self.network, self.result)
        is_finite = all(bool(torch.isfinite(weight).all()) for each in networks for weight in each.parameters())
        if self.fabric.is_global_zero and is_finite:
            checkpoint = {
                **self.state.state_dict(),
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "averaged": self.ema and self.ema.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
            }
            checkpoints.save(self.run.folder, self.state.step, checkpoint, keep=self.run.config.keep)
            self.write_weights(run_folder.WEIGHTS, {})
        self.fabric.barrier()
        return is_finite

    def write_weights(self, name: str, metadata: dict[str, str]) -> None:
        """Write the weights of ``result`` into the run folder."""
        metadata = {
            "pack": ", ".join(path.name for path in self.run.pack_paths),
            "step": str(self.state.step),
            "training": json.dumps(asdict(self.run.config)),
            **metadata,
        }
        save_weights(self.run.folder / name, self.result, metadata, overwrite=True)

    def restore(self) -> None:
        """Load everything from the newest undamaged checkpoint; without checkpoints, leave everything as it is.

        Raises:
            TrainingError: If the checkpoint is of another network, or all checkpoints are damaged.
        """
        checkpoint = checkpoints.load(self.run.folder)
        if checkpoint is None:
            return
        try:
            self.network.load_state_dict(checkpoint["network"])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
            _check_moments(self.optimizer)
            if self.ema is not None:
                self.ema.load_state_dict(checkpoint["averaged"])
            self.fabric.strategy.precision.load_state_dict(checkpoint["precision"])
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise checkpoints.misfit(self.run.folder, checkpoint["step"], error) from error
        self.state.load_state_dict(checkpoint)
        if self.run.config.hours is None:
            self.state.plan = self.run.plan  # the resumed run may have more steps


def _check_moments(optimizer: torch.optim.Optimizer) -> None:
    """Refuse moments that do not fit their parameters: torch accepts them, but fails at the next step."""
    for parameter, moments in optimizer.state.items():
        sizes = {name: tuple(value.shape) for name, value in moments.items() if isinstance(value, Tensor)}
        wanted = {"step": (), **dict.fromkeys(("exp_avg", "exp_avg_sq"), tuple(parameter.shape))}
        if sizes != wanted:
            raise ValueError(f"the optimiser's moments are {sizes}; wanted {wanted}")


def set_up(run: Run, fabric: Fabric) -> Learner:
    """Create the network, optimiser, EMA and state of a run before its first step."""
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
    trained: nn.Module = compile_for_training(network, graphs=config.graphs) if config.compile else network
    model, stepper = fabric.setup(trained, optimizer)
    ema = None
    if config.average:
        ema = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.average))  # type: ignore[no-untyped-call]
    return Learner(
        run=run,
        fabric=fabric,
        network=network,
        optimizer=optimizer,
        model=model,
        stepper=stepper,
        ema=ema,
        # The first weights are validated, too: a few minutes of training can make good weights worse.
        state=TrainingState(plan=run.plan, is_validation_due=config.init is not None and bool(run.split.held_out)),
    )
