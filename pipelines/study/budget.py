"""Forecast of how long each study takes, on this device and on one H100."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from lightning_fabric import Fabric

from cdgnet.cost import network_cost
from pipelines.study.definitions import FINE_TUNED, SECOND, STUDIES, Study
from pipelines.train import forecast, runs
from pipelines.train.schedule import total_steps
from pipelines.train.settings import TrainingConfig

FRAMES = 2103  # frames in GoPro's training split
# Seconds per step of ``paper`` with the paper's batch and crop, in bfloat16, fused, compiled, with CUDA graphs: see
# docs/gpu.md.
H100_STEP = 0.0316
MASKS = ("lbp", "lbp-matting", "hifst", "paired")  # for the study of masks


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Number of trainings of one study, and the time they take."""

    name: str
    study: Study
    trainings: int  # number of rows times number of seeds
    known: int  # number of these that an earlier study includes too
    seconds: float  # time of the others on this device
    h100_seconds: float | None  # the same on one H100; None for presets that were not measured there


def budgets(base: TrainingConfig, seeds: int, fabric: Fabric) -> list[Budget]:
    """Forecast how long each study takes with these settings, in the order of ``STUDIES``.

    One step is measured; for other networks the time is assumed proportional to their multiply-accumulates.
    """
    second = forecast.seconds_per_step(base, fabric) / _work(base)
    paper = TrainingConfig()
    h100 = H100_STEP / _work(paper)
    known: set[_TrainedRow] = set()
    budgets = []
    for name, study in STUDIES.items():
        rows = list(_rows(study, base))
        own = [row for row in rows if row not in known]
        known.update(rows)
        work = seeds * sum(_work(row.config) * total_steps(row.config, FRAMES) for row in own)
        budgets.append(
            Budget(
                name=name,
                study=study,
                trainings=seeds * len(rows),
                known=seeds * (len(rows) - len(own)),
                seconds=work * second,
                h100_seconds=work * h100 if base.preset == "paper" else None,
            )
        )
    return budgets


class _TrainedRow(NamedTuple):
    """What decides a training: rows that are equal in both fields are trained once."""

    config: TrainingConfig
    data: str  # masks or data set


def _rows(study: Study, base: TrainingConfig) -> Iterator[_TrainedRow]:
    for value in study.values:
        config = study.config(base, value)
        if runs.uses_variant_attention(config):
            config = replace(config, attention="variant")
        if study.is_transfer:
            data = {FINE_TUNED: "fine-tuned", SECOND: "VideoDeblurring"}.get(str(value), MASKS[0])
            yield _TrainedRow(config, data)
            continue
        is_of_masks = study is STUDIES["masks"] and runs.learns_from_masks(config)
        for masks in MASKS if is_of_masks else MASKS[:1]:
            yield _TrainedRow(config, masks)


def _work(config: TrainingConfig) -> float:
    """Return the multiply-accumulates of a step's forward passes."""
    return float(network_cost(runs.network_of(config), config.crop, config.crop)["total"].honest * config.batch)
