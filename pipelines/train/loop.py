"""One visible loop, one state dict: packs in, a run folder out (see ``runs``)."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from cdgnet import Components, deblurring_losses, measure_offsets
from cdgnet.deform import OffsetMeter
from cdgnet.losses import BLACK, LOSSES, Losses
from pipelines.errors import TrainingError
from pipelines.packs import to_range
from pipelines.train import checkpoints, loader, runs
from pipelines.train.runs import Run
from pipelines.train.samples import Sample
from pipelines.train.settings import TrainingConfig
from pipelines.train.state import Parts, over_devices, set_up
from pipelines.train.validation import Watch, validate, write_pictures
from prep import errors
from prep.io import files

STRIKES = 3  # losses in a row that are no numbers, before something is done
LEAST_FACTOR = 1 / 64  # of the learning rate: halved so often, a run is given up


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What the loop says after each step; ``rows`` is what it wrote into the log."""

    step: int
    rows: Sequence[Mapping[str, Any]] = ()


def train(
    run: Run, fabric: Fabric, stop: Callable[[], bool] = lambda: False, watch: Watch | None = None
) -> Iterator[Tick]:
    """Train from the last checkpoint to the last step, giving a tick a step.

    Of several processes each calls this, and takes its part of every batch; the first one writes.

    Args:
        run: From ``prepare``.
        fabric: Launched; decides devices and precision.
        stop: Asked after each step; when true the state is saved and the loop ends.
        watch: Is given the frames of a validation, their number and what it is, and passes the frames on.

    Raises:
        DataError: If a process that reads the packs was killed.
        TrainingError: If the loss is no number several times in a row, a batch cannot be divided by the devices,
            another process trains in the run folder, or the packs are gone.
    """
    check_division(run.config, fabric.world_size)
    with runs.held(run) if fabric.is_global_zero else nullcontext():
        yield from _train(run, fabric, stop, watch)


def _train(run: Run, fabric: Fabric, stop: Callable[[], bool], watch: Watch | None) -> Iterator[Tick]:
    config = run.config
    parts = set_up(run, fabric)
    parts.restore()
    state = parts.state
    if fabric.is_global_zero:
        if runs.weights_step(run.folder) != state["step"] > 0:
            parts.write_weights("weights.safetensors", {})  # a kill came between the checkpoint and its weights
        checkpoints.forget_after(run.folder, state["step"])
        _trim_log(run, state["step"], owes_validation=state["owes_validation"])
    batches = loader.batches(run, fabric, state["step"])
    if state["owes_validation"]:
        yield Tick(step=state["step"], rows=[_score(parts, watch)])
    meter = loader.Meter(config.batch, state["step"])
    saved = time.monotonic()
    while state["step"] < run.steps:
        step = state["step"] + 1
        is_logged = step % config.log_every == 0 or step in (1, run.steps)
        for group in parts.optimizer.param_groups:
            group["lr"] = state["factor"] * rate_at(config, state["step"], run.steps, len(run.split.train))

        losses, answers = [], []
        # Compiled code calls no hooks, which the meter needs: a step that is logged runs as it is written.
        with _measured(parts) if is_logged else nullcontext() as offsets:
            for part in range(config.accumulate):
                with meter:  # counts as waiting
                    batch: Sample = fabric.to_device(next(batches))
                if config.graphs:
                    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                with fabric.no_backward_sync(parts.model, enabled=part + 1 < config.accumulate):
                    found = compute_losses(config, parts.model(to_range(batch.blurry)), batch)
                    answers.append(_is_finite(found.total))
                    fabric.backward(found.total / config.accumulate)
                losses.append(torch.stack(found).detach())
        is_due = time.monotonic() - saved > 60 * config.checkpoint_minutes
        word = _agree(fabric, is_finite=all(answer() for answer in answers), is_stopped=stop(), is_due=is_due)
        if word.is_finite:
            if config.clip:
                fabric.clip_gradients(parts.model, parts.adam, max_norm=config.clip, error_if_nonfinite=False)
            parts.adam.step()
            if parts.averaged is not None:
                parts.averaged.update_parameters(parts.network)
        parts.adam.zero_grad()
        state["step"], state["strikes"] = step, 0 if word.is_finite else state["strikes"] + 1

        rows: list[dict[str, Any]] = []
        if not word.is_finite:
            rows.append({"step": step, "skipped": loader.keys(run, step)})
        elif offsets is not None:
            values = _named(losses, fabric) | {"learning_rate": parts.optimizer.param_groups[0]["lr"]}
            taps = {} if math.isnan(mean := offsets.mean()) else {"mean_offset": mean}  # where there are any
            rows.append({"step": step, **values, **taps, **meter.read(step)})
        if fabric.is_global_zero:
            files.append_rows(run.log, rows)
        # Whoever has trained for long shall not lose it to a validation that fails; and while losses are no numbers,
        # the checkpoints of better times are kept.
        state["owes_validation"] = bool(run.split.held_out) and (step == run.steps or _is_validation_due(run, step))
        is_last = step == run.steps or word.is_stopped
        if state["strikes"] >= STRIKES:
            rows.append(_go_back(parts))
            batches = loader.batches(run, fabric, state["step"])
        elif (is_last or word.is_due or state["owes_validation"]) and not state["strikes"]:
            parts.save()
            saved = time.monotonic()
        if state["owes_validation"] and (step == run.steps or not word.is_stopped):
            rows.append(_score(parts, watch))
        if any("loss" not in row for row in rows):
            meter.read(step)  # a validation is no step: the next reading begins after it
        yield Tick(step=step, rows=rows)
        if word.is_stopped:
            break


def check_division(config: TrainingConfig, processes: int) -> None:
    """Refuse a batch that cannot be divided.

    Raises:
        TrainingError: If so.
    """
    if config.graphs and processes > 1:
        raise TrainingError(f"--graphs is for one device, and there are {processes}; leave it out")
    parts = processes * config.accumulate
    if config.batch % parts:
        raise TrainingError(
            f"a batch of {config.batch} cannot be divided into {processes} (devices) x {config.accumulate} "
            f"(--accumulate) parts; pass --batch {parts * -(-config.batch // parts)}"
        )


@contextmanager
def _measured(parts: Parts) -> Iterator[OffsetMeter]:
    with torch.compiler.set_stance("force_eager"), measure_offsets(parts.network) as meter:
        yield meter


def compute_losses(config: TrainingConfig, components: Components, batch: Sample) -> Losses:
    return deblurring_losses(
        components,
        to_range(batch.sharp),
        batch.mask,
        lambda_small=config.lambda_small,
        lambda_large=config.lambda_large,
        masked_out=BLACK if config.masked_out == "black" else 0.0,
        compare=LOSSES[config.loss],
    )


def _is_finite(loss: Tensor) -> Callable[[], bool]:
    """Asked at once and answered later: a GPU computes the backward pass meanwhile."""
    flag = torch.isfinite(loss.detach())
    if flag.device.type != "cuda":
        return lambda: bool(flag)
    seen = torch.empty_like(flag, device="cpu", pin_memory=True)
    seen.copy_(flag, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record()

    def answer() -> bool:
        copied.synchronize()
        return bool(seen)

    return answer


class _Word(NamedTuple):
    """What all processes must do alike after a step."""

    is_finite: bool  # the loss, everywhere
    is_stopped: bool  # somebody was asked to stop
    is_due: bool  # it is time for a checkpoint


def _agree(fabric: Fabric, *, is_finite: bool, is_stopped: bool, is_due: bool) -> _Word:
    if fabric.world_size == 1:
        return _Word(is_finite, is_stopped, is_due)
    mine = torch.tensor([is_finite, is_stopped, is_due], dtype=torch.float32, device=fabric.device)
    finite, stopped, due = over_devices(mine, fabric).tolist()
    return _Word(finite == 1, stopped > 0, due > 0)


def _named(losses: Sequence[Tensor], fabric: Fabric) -> dict[str, float]:
    """The losses of a step as numbers, by their equations' names; waits for the device."""
    mean = over_devices(torch.stack(list(losses)).mean(dim=0), fabric)
    return dict(zip(("loss", "loss_restored", "loss_small", "loss_large"), mean.tolist(), strict=True))


def _go_back(parts: Parts) -> dict[str, Any]:
    """To the last checkpoint with half the rate, or give up, as asked."""
    run, state, fabric = parts.run, parts.state, parts.fabric
    step, factor = state["step"], state["factor"] / 2
    said = f"the loss was no number in {STRIKES} steps in a row, up to step {step} (log.jsonl names the frames)"
    held = checkpoints.steps(run.folder)
    if held and held[-1] == step - STRIKES == state["went_back_to"]:
        held.pop()  # it gave no number once more, with half the rate: its weights are bad
    anew = "begin a new run with a lower --learning-rate"
    kept = f"step {held[-1]} is saved in {run.folder}" if held else "nothing good was saved"
    if fabric.is_global_zero:
        files.append_rows(run.log, [{"step": step, "gave_up": said}])
    if run.config.divergence == "stop" or not held:
        cure = "pass --divergence halve to go on from it with half the rate" if held else anew
        raise TrainingError(f"{said}; {kept}; {cure}")
    if factor < LEAST_FACTOR:
        raise TrainingError(f"{said}, and the rate is {state['factor']:g} of what was asked; {kept}; {anew}")
    fabric.barrier()
    if fabric.is_global_zero:
        checkpoints.forget_after(run.folder, held[-1])
    fabric.barrier()
    parts.restore()
    state.update(factor=factor, strikes=0, went_back_to=state["step"])
    row = {"step": state["step"], "went_back_from": step, "factor": factor}
    if fabric.is_global_zero:
        _trim_log(run, state["step"])
        files.append_rows(run.log, [row])
    parts.save()  # so that a kill does not take the halving back
    return row


def _trim_log(run: Run, step: int, *, owes_validation: bool = False) -> None:
    """Drop the rows of what is to be done again."""
    rows = [row for row in runs.read_log(run.folder) if row["step"] <= step]
    if owes_validation:
        rows = [row for row in rows if row["step"] < step or "val_psnr" not in row]
    files.write_rows(run.log, rows)


def rate_at(config: TrainingConfig, step: int, steps: int, frames: int) -> float:
    """The learning rate of the step after ``step`` steps of ``steps``, with ``frames`` frames an epoch."""
    rise = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    if config.schedule == "cosine":
        return float(config.learning_rate * rise * (1 + math.cos(math.pi * step / steps)) / 2)
    epoch = step * config.batch // frames
    return float(config.learning_rate * rise * 0.5 ** (epoch // config.halve_every))


def _is_validation_due(run: Run, step: int) -> bool:
    every = run.config.val_every * len(run.split.train)  # samples
    before, after = (step - 1) * run.config.batch, step * run.config.batch
    return after // every > before // every


def _score(parts: Parts, watch: Watch | None) -> dict[str, Any]:
    """Validate what was just saved, keep the weights if they are the best so far, and log it."""
    run, state, fabric = parts.run, parts.state, parts.fabric
    try:
        scores = validate(parts.result, run.packs, run.split, fabric, watch)
        if fabric.is_global_zero:
            write_pictures(parts.result, run.packs, run.split, fabric, run.folder, run.config.mu)
    except (FileNotFoundError, errors.PackError) as error:
        raise TrainingError(
            f"validation failed: {error}; it was there when training began. Step {state['step']} is saved in "
            f"{run.folder}: put the pack back, and the same command goes on"
        ) from error
    if state["best"] is None or scores.restored > state["best"]:
        state["best"] = scores.restored
        if fabric.is_global_zero:
            parts.write_weights("best.safetensors", {"val_psnr": f"{scores.restored:.4f}"})
    row = {"step": state["step"], "val_psnr_blurry": scores.blurry, "val_psnr": scores.restored}
    row["val_frames"] = scores.frames
    if fabric.is_global_zero:
        files.append_rows(run.log, [row])
    state["owes_validation"] = False
    parts.save()
    return row
