"""Forward and backward pass of one step: this process's part of the batch -> its gradients and losses."""

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

EXPLODED = 100  # ratio to the usual loss from which a step does harm, and is skipped like one whose loss is NaN


@dataclass(frozen=True, kw_only=True)
class StepLosses:
    """The losses of one step on this process."""

    parts: Sequence[Tensor]  # for each accumulated part of the batch, the fields of Losses, shape (4,)
    finite_flags: Sequence[Callable[[], bool]]  # for each part, whether its total is finite and has not exploded

    def are_finite(self) -> bool:
        """Return whether the totals of all parts are finite; waits for the forward passes."""
        return all(is_finite() for is_finite in self.finite_flags)

    def means(self, config: TrainingConfig, fabric: Fabric) -> dict[str, float]:
        """Return the mean losses over the batch and all processes, and each branch's weighted share of the total.

        The keys are the log's names. Waits for the device.
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
    """Accumulate the gradients of a step's batch, part by part.

    Args:
        learner: Holds the network that accumulates the gradients.
        batches: From ``loader.batches``; one is taken for each part of the batch.
        meter: Counts how long the step waited for each.
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
    """Return the smallest loss that counts as exploded; for a loss in decibels, the ratio is converted to decibels."""
    if usual is None:
        return math.inf
    if config.loss != "psnr":
        return EXPLODED * usual
    weights = 1 + (config.lambda_small + config.lambda_large if runs.learns_from_branches(config) else 0)
    return usual + weights * 10 * math.log10(EXPLODED)


def compute_losses(config: TrainingConfig, components: Components, batch: Sample) -> Losses:
    """Compute the losses that a run's settings select."""
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
    """Measure the offsets of the steps inside the context, which run uncompiled: compiled code calls no hooks."""
    with torch.compiler.set_stance("force_eager"), measure_offsets(learner.network) as offsets:
        yield offsets


def _start_finite_check(loss: Tensor, limit: float) -> Callable[[], bool]:
    """Start checking whether a loss is finite and below a limit; the returned function waits for the answer.

    Meanwhile a GPU continues with the backward pass.
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
