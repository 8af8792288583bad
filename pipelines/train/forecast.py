"""Forecast of how long a run will take, before it begins."""

import torch
from lightning_fabric import Fabric

from cdgnet import CDGNet
from pipelines.packs import to_range
from pipelines.timing import times
from pipelines.train import runs, schedule
from pipelines.train.gradients import compute_losses
from pipelines.train.runs import Run
from pipelines.train.samples import Sample
from pipelines.train.settings import TrainingConfig


def seconds_per_step(config: TrainingConfig, fabric: Fabric) -> float:
    """Measure the approximate time of a step, without loading data.

    On a CPU one window is timed and scaled to the batch, because a whole batch would take long.
    """
    device = fabric.device
    count = config.batch // fabric.world_size if device.type == "cuda" else 1
    network = CDGNet(runs.network_of(config)).to(device)
    batch = Sample(*(torch.zeros(count, depth, config.crop, config.crop, device=device) for depth in (3, 3, 1)))

    def step() -> None:
        with fabric.autocast():
            losses = compute_losses(config, network(to_range(batch.blurry)), batch)
        losses.total.backward()  # type: ignore[no-untyped-call]

    return min(times(step, device, 1)) * config.batch / fabric.world_size / count


def steps_per_validation(run: Run) -> float:
    """Estimate how many steps take as long as a validation; 0 if no frames are held out.

    A validation restores whole frames, at a third of a training step's cost per pixel.
    """
    pixels = 0
    for frame, rows in run.split.held_out.items():
        height, width = run.packs[frame.pack].header.crop
        pixels += len(rows) * height * width
    return pixels / 3 / (run.config.batch * run.config.crop**2)


def validations_left(run: Run, step: int, steps: int) -> int:
    """Return how many validations are still to come after ``step`` of ``steps`` steps."""
    if not run.split.held_out:
        return 0
    config, frames = run.config, len(run.split.train)
    before, after = (schedule.validations(config, each, frames) for each in (step, steps))
    is_last_extra = not schedule.is_validation_due(config, steps, frames)
    return after - before + is_last_extra
