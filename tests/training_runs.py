"""Short training runs of tests, and what they wrote."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from cdgnet import load_weights
from pipelines.train import loop, runs
from pipelines.train.settings import TrainingConfig

# One branch: a step and a checkpoint take a quarter of the time of CDGNet's two
CONFIG = TrainingConfig(variant="dmphn-1", preset="tiny", steps=6, batch=2, crop=32, workers=0, log_every=2, val=())
TWO_BRANCHES = replace(CONFIG, variant="cdgnet")


def cpu() -> Fabric:
    """One process on the CPU."""
    return Fabric(accelerator="cpu", devices=1)


def train(
    pack: Path,
    folder: Path,
    config: TrainingConfig = CONFIG,
    stop_after: int | None = None,
    fabric: Fabric | None = None,
) -> list[loop.StepReport]:
    """Train to the end, or stop after so many steps as a signal would; gives the loop's reports."""
    run = runs.prepare(config, [pack], folder)
    reports: list[loop.StepReport] = []
    for report in loop.train(run, fabric or cpu(), lambda: stop_after is not None and len(reports) + 1 >= stop_after):
        reports.append(report)
    return reports


def log_rows(folder: Path) -> list[dict[str, Any]]:
    """The log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def curve(folder: Path) -> list[Mapping[str, Any]]:
    """The log without what depends on the machine's speed."""
    times = ("images_per_second", "steps_per_second", "data_wait_share")
    return [{name: value for name, value in row.items() if name not in times} for row in log_rows(folder)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the last checkpoint."""
    return load_weights(folder / "weights.safetensors").state_dict()
