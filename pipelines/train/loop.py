"""The training loop, in one function: packs -> a run folder (see ``run_folder``)."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from lightning_fabric import Fabric

from cdgnet.deform import OffsetMeter
from pipelines.errors import TrainingError
from pipelines.train import checkpoints, forecast, loader, run_folder, schedule
from pipelines.train.agreement import agree
from pipelines.train.clock import Clock
from pipelines.train.gradients import StepLosses, forward_backward, measured_offsets
from pipelines.train.learner import Learner, set_up
from pipelines.train.loader import ThroughputMeter
from pipelines.train.recovery import MAX_NONFINITE, recover
from pipelines.train.runs import Run, check_division
from pipelines.train.state import TrainingState
from pipelines.train.validation import Progress, validate, write_pictures
from prep import errors

_RECENT = 0.1  # weight of a logged loss in the running mean, which is the usual loss
DROWNING = 4  # largest ratio of a branch's weighted loss to the restored frame's loss without a warning


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What the loop reports after each step."""

    step: int
    steps: int | None  # of the whole run, as now planned; None before a run by the clock has measured its speed
    rows: Sequence[Mapping[str, Any]] = ()  # rows added to the log
    seconds_left: float | None = None  # estimate, with validations; None before the speed is measured


def train(
    run: Run, fabric: Fabric, stop: Callable[[], bool] = lambda: False, progress: Progress | None = None
) -> Iterator[StepReport]:
    """Train from the last checkpoint to the last step, and yield a report after each step.

    Each of several processes calls this and takes its part of every batch; the first one writes the files.

    Args:
        run: From ``prepare``.
        fabric: Launched; decides devices and precision.
        stop: Called after each step; if it returns true, the state is saved and the loop ends.
        progress: Shows the progress of a validation.

    Raises:
        DataError: If a process that reads the packs was killed.
        TrainingError: If the loss is not finite several times in a row, a batch cannot be divided by the devices,
            another process trains in the run folder, or the packs no longer exist.
    """
    check_division(run.config, fabric.world_size)
    with run_folder.locked(run.folder) if fabric.is_global_zero else nullcontext():
        yield from _train(run, fabric, stop, progress)


def _train(run: Run, fabric: Fabric, stop: Callable[[], bool], progress: Progress | None) -> Iterator[StepReport]:
    learner = _resume(run, fabric)
    config, state = run.config, learner.state
    clock = Clock(config, state, fabric, steps_per_validation=forecast.steps_per_validation(run))
    if state.is_validation_due:
        rows = [_validate(learner, progress)]
        clock.count_validation()
        yield StepReport(step=state.step, steps=_planned_steps(state), rows=rows)
    batches = loader.batches(run, fabric, state.step)
    meter = ThroughputMeter(config.batch, state.step)
    while state.step < state.plan.steps:
        # Gradients, accumulated over the parts of the batch.
        step, is_end = state.step + 1, state.step + 1 == state.plan.steps
        learner.set_learning_rate()
        with measured_offsets(learner) if _is_logged(learner, step) else nullcontext() as offsets:
            losses = forward_backward(learner, batches, meter)

        # Agreement of all processes, and the update.
        is_save_due = is_end or _is_validation_due(learner, step) or clock.is_checkpoint_due
        agreed = agree(fabric, is_finite=losses.are_finite(), is_stopped=stop(), is_save_due=is_save_due)
        learner.finish_step(is_finite=agreed.is_finite)
        clock.tick()

        # The log.
        rows = _log(learner, losses, offsets, meter)

        # A checkpoint: before a validation, which may fail, and not while losses are not finite, so that the good
        # checkpoints are kept. Or recovery, after several such losses, or if the last step could not be saved.
        is_saved = False
        state.is_validation_due = _is_validation_due(learner, step)
        if not state.nonfinite_losses and (agreed.is_save_due or agreed.is_stopped):
            if agreed.is_save_due and not is_end:
                clock.plan()
            is_saved = learner.save()
        if state.nonfinite_losses >= MAX_NONFINITE or (is_end and not is_saved):
            rows.append(recover(learner))
            batches = loader.batches(run, fabric, state.step)

        # Validation.
        if state.is_validation_due and is_saved and (is_end or not agreed.is_stopped):
            rows.append(_validate(learner, progress))
            clock.count_validation()
        if any("loss" not in row for row in rows):
            meter.restart(state.step)  # the time went into something other than steps
        steps = _planned_steps(state)
        left = clock.seconds_left(forecast.validations_left(run, state.step, steps) if steps else 0)
        yield StepReport(step=step, steps=steps, rows=rows, seconds_left=left)
        if agreed.is_stopped and state.step == step:  # after a rollback, stop after the next step
            break


def _resume(run: Run, fabric: Fabric) -> Learner:
    """Restore the learner and the run folder to the last checkpoint."""
    learner = set_up(run, fabric)
    learner.restore()
    state = learner.state
    if fabric.is_global_zero:
        if run_folder.weights_step(run.folder) != state.step > 0:
            learner.write_weights(run_folder.WEIGHTS, {})  # killed after the checkpoint, before its weights
        checkpoints.forget_after(run.folder, state.step)
        run_folder.trim_log(run.folder, state.step, is_validation_due=state.is_validation_due)
    return learner


def _planned_steps(state: TrainingState) -> int | None:
    return state.plan.steps if state.plan.is_measured else None


def _is_logged(learner: Learner, step: int) -> bool:
    return schedule.is_log_due(learner.run.config, step, learner.state.plan)


def _is_validation_due(learner: Learner, step: int) -> bool:
    """Return true at the end and after every ``val_every`` epochs, if frames are held out."""
    run = learner.run
    is_end = step == learner.state.plan.steps
    is_due = is_end or schedule.is_validation_due(run.config, step, len(run.split.train))
    return is_due and bool(run.split.held_out)


def _log(
    learner: Learner, losses: StepLosses, offsets: OffsetMeter | None, meter: ThroughputMeter
) -> list[dict[str, Any]]:
    """Write the finished step into the log, and return the rows written.

    Args:
        learner: The learner after the step.
        losses: The losses of the step.
        offsets: The offsets measured in the step; None if it is not due to be logged. A skipped step is always logged.
        meter: The throughput since the last row.
    """
    run, state = learner.run, learner.state
    rows: list[dict[str, Any]] = []
    if state.nonfinite_losses:
        rows.append({"step": state.step, "skipped": loader.frame_keys(run, state.step)})
    elif offsets is not None:
        row: dict[str, Any] = {"step": state.step, **losses.means(run.config, learner.fabric)}
        usual = row["loss"] if state.usual_loss is None else state.usual_loss
        state.usual_loss = usual + _RECENT * (row["loss"] - usual)
        row["learning_rate"] = learner.learning_rate
        if not math.isnan(mean := offsets.mean()):  # NaN without deformable layers
            row["mean_offset"] = mean
        if (drowned := _drowned(row)) and not state.has_warned:
            row["drowned_by"], state.has_warned = drowned, True
        rows.append({**row, **meter.read(state.step)})
    if learner.fabric.is_global_zero:
        run_folder.append_to_log(run.folder, rows)
    return rows


def _drowned(row: Mapping[str, Any]) -> str:
    """Return the branch whose weighted loss drowns the restored frame's loss; empty if neither does."""
    shares = {name: row.get(f"share_{name}", 0.0) for name in ("small", "large")}
    name = max(shares, key=lambda name: shares[name])
    return name if shares[name] > DROWNING * (1 - sum(shares.values())) else ""


def _validate(learner: Learner, progress: Progress | None) -> dict[str, Any]:
    """Validate the saved network, keep its weights if they are the best so far, and return the row that was logged."""
    run, state, fabric = learner.run, learner.state, learner.fabric
    try:
        scores = validate(learner.result, run.packs, run.split, fabric, progress)
        if fabric.is_global_zero:
            write_pictures(learner.result, run.packs, run.split, fabric, run.folder, run.config.mu)
    except (FileNotFoundError, errors.PackError) as error:
        raise TrainingError(
            f"validation failed: {error}; it was there when training began. Step {state.step} is saved in "
            f"{run.folder}: put the pack back and run the same command again"
        ) from error
    if state.best_psnr is None or scores.restored > state.best_psnr:
        state.best_psnr = scores.restored
        if fabric.is_global_zero:
            learner.write_weights(run_folder.BEST_WEIGHTS, {"val_psnr": f"{scores.restored:.4f}"})
    row = {"step": state.step, "val_psnr_blurry": scores.blurry, "val_psnr": scores.restored}
    row["val_frames"] = scores.frames
    if fabric.is_global_zero:
        run_folder.append_to_log(run.folder, [row])
    state.is_validation_due = False
    learner.save()
    return row
