"""Forward and backward of one step: this process's part of the batch -> gradients, and the losses they came from."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from cdgnet import Components, deblurring_losses, measure_offsets
from cdgnet.deform import OffsetMeter
from cdgnet.losses import BLACK, LOSSES, Losses
from pipelines.packs import to_range
from pipelines.train import runs
from pipelines.train.agreement import reduce_over_devices
from pipelines.train.learner import Learner
from pipelines.train.loader import ThroughputMeter
from pipelines.train.samples import Sample
from pipelines.train.settings import TrainingConfig
from prep.masks.equations import SOFT_LEVELS

EXPLODED = 100  # times the usual loss: from there on a step does harm, and is skipped like one whose loss is NaN


@dataclass(frozen=True, kw_only=True)
class StepLosses:
    """The losses of one step on this process."""

    parts: Sequence[Tensor]  # (4,) each: the fields of Losses, of each accumulated part of the batch
    finite_flags: Sequence[Callable[[], bool]]  # whether the total of each part is finite and has not exploded

    def are_finite(self) -> bool:
        """Whether all are; waits for the forward passes."""
        return all(is_finite() for is_finite in self.finite_flags)

    def means(self, config: TrainingConfig, fabric: Fabric) -> dict[str, float]:
        """Means over the batch and all processes, by the log's names, and each branch's share of the total, weighted;
        waits for the device.
        """
        means = reduce_over_devices(torch.stack(list(self.parts)).mean(dim=0), fabric).tolist()
        row = dict(zip(("loss", "loss_restored", "loss_small", "loss_large"), means, strict=True))
        total, _, small, large = means
        if total > 0 and runs.learns_from_branches(config):
            row |= {
                "share_small": config.lambda_small * small / total,
                "share_large": config.lambda_large * large / total,
            }
        return row


def forward_backward(learner: Learner, batches: Iterator[Sample], meter: ThroughputMeter) -> StepLosses:
    """Add the gradients of a step's batch, part by part.

    Args:
        learner: Its network's gradients are added to.
        batches: From ``loader.batches``; as many are taken as the batch has parts.
        meter: Counts how long each was waited for.
    """
    config, fabric = learner.run.config, learner.fabric
    limit = _exploded_from(config, learner.state.usual_loss)
    parts, finite_flags = [], []
    for part in range(config.accumulate):
        with meter.waiting():
            batch: Sample = fabric.to_device(next(batches))
        if config.graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with fabric.no_backward_sync(learner.model, enabled=part + 1 < config.accumulate):
            losses = compute_losses(config, learner.model(to_range(batch.blurry)), batch)
            finite_flags.append(_start_finite_check(losses.total, limit))
            fabric.backward(losses.total / config.accumulate)
        parts.append(torch.stack(losses).detach())
    return StepLosses(parts=parts, finite_flags=finite_flags)


def _exploded_from(config: TrainingConfig, usual: float | None) -> float:
    """The smallest loss that counts as exploded; a loss in decibels is converted to the ratio of the errors."""
    if usual is None:
        return math.inf
    if config.loss != "psnr":
        return EXPLODED * usual
    weights = 1 + (config.lambda_small + config.lambda_large if runs.learns_from_branches(config) else 0)
    return usual + weights * 10 * math.log10(EXPLODED)


def compute_losses(config: TrainingConfig, components: Components, batch: Sample) -> Losses:
    """The losses that a run's settings ask for."""
    is_soft = config.component_loss == "soft"
    return deblurring_losses(
        components,
        to_range(batch.sharp),
        batch.mask / SOFT_LEVELS if is_soft else batch.mask,
        lambda_small=config.lambda_small,
        lambda_large=config.lambda_large,
        component_loss="region" if is_soft else config.component_loss,
        masked_out=BLACK if config.masked_out == "black" else 0.0,
        compare=LOSSES[config.loss],
    )


@contextmanager
def measured_offsets(learner: Learner) -> Iterator[OffsetMeter]:
    """Measure the offsets of the steps within. They run uncompiled: compiled code calls no hooks."""
    with torch.compiler.set_stance("force_eager"), measure_offsets(learner.network) as offsets:
        yield offsets


def _start_finite_check(loss: Tensor, limit: float) -> Callable[[], bool]:
    """Begin to find out whether a loss is finite and below a limit; the function given waits for the answer.

    So a GPU continues with the backward pass meanwhile.
    """
    flag = loss.detach() < limit  # false for NaN, and for infinity without a limit
    if flag.device.type != "cuda":
        return lambda: bool(flag)
    copy = torch.empty_like(flag, device="cpu", pin_memory=True)
    copy.copy_(flag, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()

    def answer() -> bool:
        copied.synchronize()
        return bool(copy)

    return answer
