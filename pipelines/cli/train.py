"""``cdg-train``: packs in, a run folder with weights out."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli.devices import make_fabric
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE, WEIGHTS_FILE, FiniteRange
from pipelines.cli.progress import duration, narrate, track
from pipelines.cli.signals import StopOnSignal
from pipelines.train.settings import ONE_BRANCH, TrainingConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.train.loop import Tick
    from pipelines.train.runs import Run
    from pipelines.train.tensorboard import Board

path_type = click.Path(path_type=Path)
_FAR = 8.0  # pixels; blur of real frames seldom reaches further


def setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option a field of ``TrainingConfig``."""
    for setting in reversed(fields(TrainingConfig)):
        command = _option(setting)(command)
    return command


def _option(setting: Field[Any]) -> Callable[..., Any]:
    name, about = setting.name.replace("_", "-"), setting.metadata
    words = {"help": about["help"], "metavar": about.get("unit")}
    if setting.name == "val":
        return click.option(f"--{name}", multiple=True, **words)
    if isinstance(setting.default, bool):
        return click.option(f"--{name}/--no-{name}", default=setting.default, show_default=True, **words)
    kind: click.ParamType[Any]
    if "choices" in about:
        kind = click.Choice(about["choices"])
    elif setting.name == "init":
        kind = WEIGHTS_FILE
    elif isinstance(setting.default, float) or setting.name == "mu":
        below = about.get("below")
        kind = FiniteRange(about["least"], about.get("most", below), max_open=below is not None)
    else:
        kind = click.IntRange(about["least"])
    return click.option(f"--{name}", type=kind, default=setting.default, show_default=True, **words)


@click.command("cdg-train", context_settings=SETTINGS, epilog=example("cdg-train --h5 gopro.h5 --out runs/first"))
@click.version_option(package_name="cdgnet")
@click.option(
    "--h5", "first", type=PACK_FILE, required=True, metavar="FILE [FILE]...", help="Packs made by cdg-prep pack."
)
@click.argument("others", type=PACK_FILE, nargs=-1, metavar="")
@click.option("--out", type=path_type, metavar="DIR", help="Run folder.  [default: runs/PACK]")
@setting_options
@click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="GPUs, or processes on a CPU.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines, started by torchrun.")
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard, into the run folder.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and stop.")
@click.option("--page", is_flag=True, help="Only write run.html of what is there, and stop.")
def command(
    first: Path,
    others: tuple[Path, ...],
    out: Path | None,
    val: tuple[str, ...],
    devices: int,
    nodes: int,
    tensorboard: bool,
    dry_run: bool,
    page: bool,
    **settings: Any,
) -> None:
    """Train CDGNet on packs, with the paper's settings by default.

    Of several packs, every frame is shown once an epoch. The same command goes on from the last checkpoint. Ctrl-C
    saves first; twice stops at once.
    """
    from pipelines.train import loop, runs
    from pipelines.train import page as run_page

    folder = out or Path("runs", "+".join(pack.stem for pack in (first, *others)))
    if page:
        click.echo(f"wrote {run_page.write(folder)}")
        return
    config = config_of(settings, val)
    packs = (first, *others)
    _refuse_launch(devices, nodes)
    loop.check_division(config, devices * nodes)
    is_first = all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
    fabric = make_fabric(config.precision, devices, nodes)
    plan = runs.prepare(config, packs, folder, keep=is_first and not dry_run)
    if is_first:
        _say_plan(plan, fabric)
    if dry_run or plan.is_done:
        click.echo("nothing done: --dry-run" if dry_run else f"already at step {plan.start}; ask for more to go on")
        return
    board = _open_board(folder, plan.start) if tensorboard and is_first else None
    fabric.launch()
    stopped = StopOnSignal()
    ticks: Iterable[Tick] = loop.train(plan, fabric, stopped, narrate if is_first else None)
    tick = None
    for tick in track(ticks, plan.steps - plan.start, "train") if is_first else ticks:
        for row in tick.rows if is_first else ():
            _say_row(row, plan.steps)
            if board:
                board.add(row)
            if "val_psnr" in row:
                run_page.write(folder)
    if tick is not None and tick.step < plan.steps:
        raise stopped.stopped(f"stopped at step {tick.step}, saved in {folder}; the same command goes on")
    if is_first:
        click.echo(f"wrote {folder / 'weights.safetensors'} and {run_page.write(folder)}")


def config_of(settings: Mapping[str, Any], val: Sequence[str]) -> TrainingConfig:
    """The settings that the options of a command give; says which of them have no effect."""
    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if {"steps", "epochs"} <= given:
        raise click.UsageError("--steps and --epochs both say how long; leave one out")
    if "none" in val and len(val) > 1:
        raise click.UsageError("--val none holds nothing out; leave it, or the names, out")
    init = settings["init"] and str(settings["init"])
    held_out = None if not val else tuple(name for name in val if name != "none")
    config = TrainingConfig(**{**settings, "init": init, "val": held_out})
    branch = f"on {config.variant}" if config.variant in ONE_BRANCH else ""
    reasons = {
        "halve_every": "with --schedule cosine" if config.schedule == "cosine" else "",
        "val_every": "with --val none" if held_out == () else "",
        **dict.fromkeys(("lambda_small", "lambda_large", "mu", "masked_out"), branch),
    }
    for name, reason in reasons.items():
        if reason and name in given:
            click.echo(f"--{name.replace('_', '-')} has no effect {reason}", err=True)
    return config


def _refuse_launch(devices: int, nodes: int) -> None:
    """Say how processes are started that were not, or otherwise."""
    started = int(os.environ.get("LOCAL_WORLD_SIZE", "0"))
    if nodes > 1 and not started and "SLURM_NTASKS" not in os.environ:
        raise click.UsageError(f"--nodes {nodes} wants the command started by torchrun on each machine")
    if started and started != devices:
        raise click.UsageError(f"torchrun started {started} processes here, --devices is {devices}; pass {started}")


def _open_board(folder: Path, start: int) -> "Board":
    try:
        from pipelines.train.tensorboard import Board
    except ImportError as error:
        raise click.ClickException(f"{error.name or error} is missing; pip install 'cdgnet[tensorboard]'") from error
    return Board(folder, start)


def _say_plan(plan: "Run", fabric: "Fabric") -> None:
    import torch

    from cdgnet import CDGNet
    from pipelines.train import forecast
    from pipelines.train.runs import STABLE_RATE, network_of
    from prep.packs import store

    config, device = plan.config, fabric.device
    with torch.device("meta"):
        network = CDGNet(network_of(config))
    parameters = sum(weight.numel() for weight in network.parameters())
    frames, held = len(plan.split.train), len(plan.split.held_out)
    why = "; all are of one video" if config.val is None else ""
    sources = f" ({', '.join(plan.split.sources)})" if held else why
    click.echo(f"{' and '.join(map(str, plan.packs))}: {frames} frames to train on, {held} held out{sources}")
    for pack in plan.packs:
        about = store.describe(pack)
        if about["split"] == "test":
            click.echo(f"{pack} holds the test split: scores on it will say nothing about this network", err=True)
        share = f"share {about['mask_share']:.1%}, {about['empty_masks']} of {about['crops']} crops have none"
        taken = f", thresholded anew at mu {config.mu:g}" if config.mu not in (None, about["mu"]) else ""
        click.echo(f"masks by {about['method']}, mu {about['mu']:g}: {share}{taken}")
    begun = f", begun with {config.init}" if config.init else ""
    click.echo(f"{config.variant} in {config.preset}: {parameters:,} parameters{begun}")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    tf32 = ", TF32 in convolutions" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else ""
    click.echo(f"on {fabric.world_size} x {name}, precision {config.precision}{tf32}")
    epochs = plan.steps * config.batch / frames
    many = f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.2g}"
    click.echo(
        f"{plan.steps:,} steps of {config.batch} windows of {config.crop} x {config.crop}: every frame {many} times;"
        f" {_recipe(config)}; masked-out target pixels are {config.masked_out}"
    )
    if config.learning_rate > STABLE_RATE:
        click.echo(f"learning rate above {STABLE_RATE:g}: offsets may run away; watch mean_offset in the log", err=True)
    if not plan.is_done:
        seconds = forecast.seconds_a_step(config, fabric)
        validation = forecast.seconds_a_validation(plan, seconds)
        left = (plan.steps - plan.start) * seconds + forecast.validations_left(plan) * validation
        also = f" and {validation:.2g} s a validation" if validation else ""
        click.echo(
            f"about {duration(left)} to go, until {_when(left)}: {seconds:.2g} s a step{also}, measured just now"
        )
    for fault in plan.faults:
        click.echo(f"{fault}; going on from the one before it", err=True)
    click.echo(f"{plan.folder}: goes on after step {plan.start:,}" if plan.start else f"{plan.folder}: a new run")


def _when(seconds: float) -> str:
    """The day and hour so many seconds from now."""
    return f"{datetime.now() + timedelta(seconds=seconds):%a %d %b %Y, %H:%M}"


def _recipe(config: TrainingConfig) -> str:
    """The rules of learning in a line; those of the paper are called so."""
    paper = TrainingConfig()
    names = (
        *("learning_rate", "schedule", "halve_every", "warm_up", "weight_decay", "clip", "average", "loss", "batch"),
        *("crop", "lambda_small", "lambda_large", "epochs", "mu", "masked_out", "turn"),
    )
    kind = "AdamW" if config.weight_decay else "Adam"
    rate = f"halved every {config.halve_every} epochs" if config.schedule == "halving" else "down a cosine"
    other = [name.replace("_", " ") for name in names if getattr(config, name) != getattr(paper, name)]
    other += ["steps"] if config.steps is not None else []
    other += ["a held-out video"] if config.val != () else []
    said = f"the paper's recipe but for {', '.join(other)}" if other else "the paper's recipe"
    return f"{said}: {kind} {config.learning_rate:g}, {rate}, {config.loss.upper()} loss"


def _say_row(row: Mapping[str, Any], steps: int) -> None:
    if "skipped" in row:
        frames = ", ".join(sorted(set(row["skipped"])))
        click.echo(f"step {row['step']}: the loss is no number, the step is skipped; frames {frames}", err=True)
    elif "went_back_from" in row:
        back = f"gone back from step {row['went_back_from']} to {row['step']}"
        click.echo(f"{back}, with {row['factor']:g} of the rate", err=True)
    elif "val_psnr" in row:
        click.echo(
            f"step {row['step']}/{steps}  validation: {row['val_frames']} whole frames, PSNR blurry "
            f"{row['val_psnr_blurry']:.2f} dB, restored {row['val_psnr']:.2f} dB"
        )
    else:
        pace = f"{row['images_per_second']:.1f} images/s, {row['data_wait_share']:.0%} waiting for data"
        left = duration((steps - row["step"]) / row["steps_per_second"])
        offset = row.get("mean_offset")  # a network without deformable layers has none
        far = f", |offset| {offset:.3f} px" if offset is not None else ""
        click.echo(
            f"step {row['step']}/{steps}  loss {row['loss']:.5f} (restored {row['loss_restored']:.5f}, small"
            f" {row['loss_small']:.5f}, large {row['loss_large']:.5f})  {pace}{far}, {left} left"
        )
        if offset is not None and offset > _FAR:
            click.echo(f"offsets of {offset:.0f} px: they run away; begin anew with a lower rate", err=True)


def main() -> None:
    """Entry point."""
    run(command)
