"""What the studies would take before anything is trained: on the device at hand, and on one H100."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lightning_fabric import Fabric

from cdgnet.cost import network_cost
from pipelines.study.definitions import FINE_TUNED, SECOND, STUDIES, Study
from pipelines.train import forecast, runs
from pipelines.train.settings import TrainingConfig

FRAMES = 2103  # of GoPro's training split
# Seconds of a step of ``paper`` at the paper's batch and window, in bfloat16, fused, compiled, graphed: what
# docs/gpu.md predicts. No H100 has run it yet.
H100_STEP = 0.020
MASKS = ("lbp", "lbp-matting", "hifst", "paired")  # that the study of masks is counted with


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one study takes."""

    name: str
    study: Study
    trainings: int  # rows by seeds
    known: int  # of them, those that a study named before it trains too
    seconds: float  # of those that are its own, on the device at hand
    h100_seconds: float | None  # likewise, predicted; None of widths that no prediction was made for


def budgets(base: TrainingConfig, seeds: int, fabric: Fabric) -> list[Budget]:
    """What every study takes at the settings given, in their order; one step is measured.

    Other networks than the one measured are taken to need time by their multiply-accumulates.
    """
    second = forecast.seconds_a_step(base, fabric) / _work(base)
    paper = TrainingConfig()
    h100 = H100_STEP / _work(paper)
    seen: set[_Row] = set()
    found = []
    for name, study in STUDIES.items():
        rows = list(_rows(study, base))
        own = [row for row in rows if row not in seen]
        seen.update(rows)
        work = seeds * sum(_work(config) * _steps(config) for config, _ in own)
        found.append(
            Budget(
                name=name,
                study=study,
                trainings=seeds * len(rows),
                known=seeds * (len(rows) - len(own)),
                seconds=work * second,
                h100_seconds=work * h100 if base.preset == "paper" else None,
            )
        )
    return found


_Row = tuple[TrainingConfig, str]  # settings and data: rows alike in both are one training


def _rows(study: Study, base: TrainingConfig) -> Iterator[_Row]:
    for value in study.values:
        config = study.config(base, value)
        if runs.has_own_attention(config):
            config = replace(config, attention="variant")
        if study.is_transfer:
            data = {FINE_TUNED: "fine-tuned", SECOND: "VideoDeblurring"}.get(str(value), MASKS[0])
            yield config, data
            continue
        for masks in _kinds(study) if runs.learns_from_masks(config) else MASKS[:1]:
            yield config, masks


def _kinds(study: Study) -> Sequence[str]:
    return MASKS if study is STUDIES["masks"] else MASKS[:1]


def _steps(config: TrainingConfig) -> int:
    return config.steps if config.steps is not None else -(-config.epochs * FRAMES // config.batch)


def _work(config: TrainingConfig) -> float:
    """Multiply-accumulates of a step's forward passes."""
    return float(network_cost(runs.network_of(config), config.crop, config.crop)["total"].honest * config.batch)
