"""How long a run will take, before it begins."""

import torch
from lightning_fabric import Fabric

from cdgnet import CDGNet
from pipelines.packs import to_range
from pipelines.timing import times
from pipelines.train import runs
from pipelines.train.loop import compute_losses
from pipelines.train.runs import Run
from pipelines.train.samples import Sample
from pipelines.train.settings import TrainingConfig


def seconds_a_step(config: TrainingConfig, fabric: Fabric) -> float:
    """Measure what a step will take about, without loading: on a CPU from one window, which takes seconds itself."""
    device = fabric.device
    count = config.batch // fabric.world_size if device.type == "cuda" else 1
    network = CDGNet(runs.network_of(config)).to(device)
    batch = Sample(*(torch.zeros(count, depth, config.crop, config.crop, device=device) for depth in (3, 3, 1)))

    def step() -> None:
        with fabric.autocast():
            found = compute_losses(config, network(to_range(batch.blurry)), batch)
        found.total.backward()  # type: ignore[no-untyped-call]

    return min(times(step, device, 1)) * config.batch / fabric.world_size / count


def seconds_a_validation(run: Run, step: float) -> float:
    """What a validation will take about, from what a step takes: a third of it, restoring, on whole frames."""
    pixels = 0
    for frame, rows in run.split.held_out.items():
        height, width = run.crops[frame.pack]
        pixels += len(rows) * height * width
    return step / 3 * pixels / (run.config.batch * run.config.crop**2)


def validations_left(run: Run) -> int:
    """How many validations are to come."""
    if not run.split.held_out:
        return 0
    every = run.config.val_every * len(run.split.train)  # samples
    before, after = run.start * run.config.batch // every, run.steps * run.config.batch // every
    return after - before + (run.steps * run.config.batch % every > 0)
