"""One visible loop, one state dict: packs in, a run folder out.

A run folder holds ``run.json`` (what was asked), ``checkpoint.pt`` (the state), ``log.jsonl`` (a row a logging step)
and ``weights.safetensors`` (the network as of the last checkpoint).
"""

import itertools
import json
import math
import signal
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from cdgnet import CDGNet, ModelConfig, deblurring_losses, measure_offsets, psnr, save_weights, to_bytes
from cdgnet.losses import Losses
from pipelines.data import Sample, Split, TrainingSamples, read_crops, split_by_source, to_range
from pipelines.settings import FREE, TrainingConfig
from prep import files, store

STABLE_RATE = 5e-4  # above it the offsets were seen to run away to 16-40 pixels


class TrainingError(ValueError):
    """A run that cannot go on as asked."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run about to start or to go on: all that the loop needs but its state."""

    config: TrainingConfig
    packs: Sequence[Path]
    folder: Path
    split: Split
    steps: int  # to reach in all
    start: int  # steps done before


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What the loop says after each step; ``row`` is what it wrote into the log, if anything."""

    step: int
    row: Mapping[str, Any] | None = None


def prepare(config: TrainingConfig, packs: Sequence[Path], folder: Path, *, keep: bool = True) -> Run:
    """Check what is asked against the packs and the run folder.

    Args:
        config: What is asked.
        packs: Their paths.
        folder: The run's; need not exist.
        keep: Begin the run, by writing ``run.json``; else write nothing.

    Raises:
        TrainingError: If the folder holds another run, or something else.
        DataError: If the packs cannot be divided as asked, or do not go together.
        PackError: If one cannot be read.
    """
    split = split_by_source(packs, config.val)
    frames = len(split.train)
    steps = config.steps if config.steps is not None else -(-config.epochs * frames // config.batch)
    TrainingSamples(packs, split.train, config.crop, config.seed)  # refuses a window that does not fit
    asked = _identity(config, packs)
    path = folder / "run.json"
    if path.exists():
        _refuse_other(json.loads(path.read_text(encoding="utf-8")), asked, folder)
    elif folder.exists() and any(folder.iterdir()):
        raise TrainingError(f"{folder} holds files but no run of ours; pass another --out")
    elif keep:
        files.write_text(path, json.dumps(asked, indent=2) + "\n")
    done = _load(folder)["step"] if (folder / "checkpoint.pt").exists() else 0
    return Run(config=config, packs=packs, folder=folder, split=split, steps=steps, start=done)


def _identity(config: TrainingConfig, packs: Sequence[Path]) -> dict[str, Any]:
    """What must be equal for two commands to mean one run, as JSON gives it back."""
    content = 0
    for pack in packs:
        with store.open_pack(pack) as file:
            content = zlib.crc32(file["crc32"][:].tobytes(), content)
    chosen = {name: value for name, value in asdict(config).items() if name not in FREE}
    network = ModelConfig.preset(config.preset, config.variant).to_dict()
    identity: dict[str, Any] = json.loads(json.dumps({**chosen, "network": network, "pack_crc32": content}))
    return identity


def _refuse_other(held: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> None:
    differing = [name for name in asked if held.get(name) != asked[name]]
    if differing:
        said = ", ".join(f"{name} {held.get(name)} (now {asked[name]})" for name in differing)
        raise TrainingError(f"{folder} holds a run with {said}; pass another --out, or the same settings to go on")


def train(run: Run, fabric: Fabric, stop: Callable[[], bool] = lambda: False) -> Iterator[Tick]:
    """Train from the last checkpoint to the last step, giving a tick a step.

    Args:
        run: From ``prepare``.
        fabric: Launched; decides device and precision.
        stop: Asked after each step; when true the state is saved and the loop ends.

    Raises:
        TrainingError: If the loss is no longer finite; the last checkpoint is left as it was.
    """
    config = run.config
    fabric.seed_everything(config.seed, verbose=False)
    network = CDGNet(ModelConfig.preset(config.preset, config.variant))
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    model, adam = fabric.setup(network, optimizer)
    state: dict[str, Any] = {"step": run.start, "network": network, "optimizer": optimizer}
    if run.start:
        _restore(state, run.folder)
    log = run.folder / "log.jsonl"
    _trim_log(log, run.start)
    batches = _batches(run, fabric)
    meter = _Meter(config.batch, run.start)
    saved = time.monotonic()
    while state["step"] < run.steps:
        with meter:  # counts as waiting
            batch: Sample = fabric.to_device(next(batches))
        step = state["step"] + 1
        is_logged = step % config.log_every == 0 or step in (1, run.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(config, state["step"], len(run.split.train))

        with measure_offsets(network) if is_logged else nullcontext() as offsets:
            components = model(to_range(batch.blurry))
        losses = deblurring_losses(
            components,
            to_range(batch.sharp),
            batch.mask,
            lambda_small=config.lambda_small,
            lambda_large=config.lambda_large,
        )
        fabric.backward(losses.total)
        adam.step()
        adam.zero_grad()
        state["step"] = step

        row = None
        if offsets is not None:
            row = {"step": step, **_values(losses, run), "learning_rate": optimizer.param_groups[0]["lr"]}
            row |= {"mean_offset": offsets.mean(), **meter.read(step)}
            files.append_row(log, row)
        is_last = step == run.steps or stop()
        if run.split.held_out and (step == run.steps or _is_validation_due(run, step)):
            files.append_row(log, validate(run, network, fabric, step))
        if is_last or time.monotonic() - saved > 60 * config.checkpoint_minutes:
            _values(losses, run)  # a network that is no longer finite is not saved
            _save(state, run)
            saved = time.monotonic()
        yield Tick(step=step, row=row)
        if is_last:
            break


def rate_at(config: TrainingConfig, step: int, frames: int) -> float:
    """The learning rate of the step after ``step`` steps: halved every ``halve_every`` epochs of ``frames`` frames."""
    epoch = step * config.batch // frames
    return float(config.learning_rate * 0.5 ** (epoch // config.halve_every))


def _batches(run: Run, fabric: Fabric) -> Iterator[Sample]:
    """Batches from the step after ``run.start`` on; step s holds samples (s - 1) * batch to s * batch."""
    config = run.config
    samples = TrainingSamples(run.packs, run.split.train, config.crop, config.seed, turn=config.turn)
    numbers = range(run.start * config.batch, run.steps * config.batch)
    loader = DataLoader(
        samples,
        batch_size=config.batch,
        sampler=numbers,
        num_workers=config.workers,
        pin_memory=fabric.device.type == "cuda",
        worker_init_fn=_ignore_interrupt,
    )
    return iter(loader)


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the loop ends by itself after its step and still needs its batch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _values(losses: Losses, run: Run) -> dict[str, float]:
    """The losses as numbers, by their equations' names; waits for the device."""
    values = dict(zip(("loss", "loss_restored", "loss_small", "loss_large"), torch.stack(losses).tolist(), strict=True))
    if not math.isfinite(values["loss"]):
        raise TrainingError(
            f"the loss became {values['loss']}; the last checkpoint in {run.folder} is whole; "
            "begin a new run with a lower --learning-rate"
        )
    return values


class _Meter:
    """Images a second and the share of time spent waiting for data, between two readings."""

    def __init__(self, batch: int, step: int) -> None:
        self.batch, self.waited, self.since, self.step = batch, 0.0, time.perf_counter(), step

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.waited += time.perf_counter() - self.began

    def read(self, step: int) -> dict[str, float]:
        now = time.perf_counter()
        seconds = max(now - self.since, 1e-9)
        values = {
            "steps_per_second": (step - self.step) / seconds,
            "images_per_second": (step - self.step) * self.batch / seconds,
            "data_wait_share": self.waited / seconds,
        }
        self.waited, self.since, self.step = 0.0, now, step
        return values


def _is_validation_due(run: Run, step: int) -> bool:
    every = run.config.val_every * len(run.split.train)  # samples
    before, after = (step - 1) * run.config.batch, step * run.config.batch
    return after // every > before // every


@torch.no_grad()
def validate(run: Run, network: CDGNet, fabric: Fabric, step: int) -> dict[str, Any]:
    """Score the held-out crops: mean RGB 8-bit PSNR, blurry beside restored."""
    rows: list[list[int]] = [[] for _ in run.packs]
    for frame, found in run.split.held_out.items():
        rows[frame.pack] += found
    network.eval()
    scores = []
    for crop in itertools.chain.from_iterable(map(read_crops, run.packs, rows)):
        blurry, sharp = (fabric.to_device(picture[None]) for picture in (crop.blurry, crop.sharp))
        restored = to_bytes(network(to_range(blurry)).restored)
        scores.append(torch.cat([psnr(blurry, sharp), psnr(restored, sharp)]))
    network.train()
    blurry_mean, restored_mean = torch.stack(scores).mean(dim=0).tolist()
    return {"step": step, "val_psnr_blurry": blurry_mean, "val_psnr": restored_mean, "val_crops": len(scores)}


def _trim_log(path: Path, step: int) -> None:
    """Drop the rows that a killed run wrote after its last checkpoint."""
    files.write_rows(path, [row for row in files.read_rows(path) if row["step"] <= step])


def _save(state: Mapping[str, Any], run: Run) -> None:
    held = {
        "step": state["step"],
        "network": state["network"].state_dict(),
        "optimizer": state["optimizer"].state_dict(),
    }
    with files.replacing(run.folder / "checkpoint.pt") as part:
        torch.save(held, part)
    about = {
        "pack": ", ".join(pack.name for pack in run.packs),
        "step": str(state["step"]),
        "training": json.dumps(asdict(run.config)),
    }
    save_weights(run.folder / "weights.safetensors", state["network"], about, overwrite=True)


def _load(folder: Path) -> dict[str, Any]:
    path = folder / "checkpoint.pt"
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(f"{path} cannot be read ({error}); move the run folder away to begin anew") from error
    return held


def _restore(state: Mapping[str, Any], folder: Path) -> None:
    held = _load(folder)
    state["network"].load_state_dict(held["network"])
    state["optimizer"].load_state_dict(held["optimizer"])
