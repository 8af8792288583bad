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

    from pipelines.train.loop import StepReport
    from pipelines.train.runs import Run
    from pipelines.train.tensorboard import TensorBoardLog
    from prep.packs.reader import PackInfo

path_type = click.Path(path_type=Path)
_LARGE_OFFSET = 8.0  # pixels; blur of real frames is seldom longer
_SMALL_SHARE = 0.05  # of M: a component that few windows hold


def setting_options(*without: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One option a field of ``TrainingConfig``, but for some fields."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for setting in reversed(fields(TrainingConfig)):
            command = command if setting.name in without else _option(setting)(command)
        return command

    return decorate


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
    elif isinstance(setting.default, float) or setting.name in ("mu", "hours"):
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
@setting_options()
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

    Of several packs, every frame is shown once an epoch. The same command resumes the run from its last checkpoint.
    Ctrl-C saves first; a second Ctrl-C stops at once.
    """
    from pipelines.train import loop, runs
    from pipelines.train import page as run_page

    packs = (first, *others)
    folder = out or Path("runs", "+".join(pack.stem for pack in packs))
    if page:
        click.echo(f"wrote {run_page.write(folder)}")
        return
    config = config_of(settings, val)
    _refuse_launch(devices, nodes)
    loop.check_division(config, devices * nodes)
    is_first = all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
    fabric = make_fabric(config.precision, devices, nodes)
    plan = runs.prepare(config, packs, folder, keep=is_first and not dry_run)
    if is_first:
        _say_plan(plan, fabric)
    if dry_run or plan.is_done:
        more = "pass another --out for a longer run" if config.hours else "ask for more to go on"
        click.echo("nothing done: --dry-run" if dry_run else f"already at step {plan.start}; {more}")
        return
    tensorboard_log = _open_tensorboard(folder, plan.start) if tensorboard and is_first else None
    fabric.launch()
    _train(plan, fabric, tensorboard_log, is_first=is_first)


def _train(plan: "Run", fabric: "Fabric", tensorboard: "TensorBoardLog | None", *, is_first: bool) -> None:
    """Train to the end or until a signal; the first process says how far it is."""
    from pipelines.train import loop, run_folder
    from pipelines.train import page as run_page

    stopped = StopOnSignal()
    reports: Iterable[StepReport] = loop.train(plan, fabric, stopped, narrate if is_first else None)
    report = None

    def steps_to_go() -> int | None:
        return report and report.steps and report.steps - plan.start

    for report in track(reports, steps_to_go, "train") if is_first else reports:
        for row in report.rows if is_first else ():
            _say_row(row, report.steps)
            if tensorboard:
                tensorboard.add(row)
            if "val_psnr" in row:
                run_page.write(plan.folder)
    if report is not None and report.step != report.steps:
        raise stopped.stopped(f"stopped at step {report.step}, saved in {plan.folder}; the same command goes on")
    if is_first:
        click.echo(f"wrote {plan.folder / run_folder.WEIGHTS} and {run_page.write(plan.folder)}")


def config_of(settings: Mapping[str, Any], val: Sequence[str]) -> TrainingConfig:
    """The settings that the options of a command give; says which of them have no effect."""
    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if len(lengths := [f"--{name}" for name in ("epochs", "steps", "hours") if name in given]) > 1:
        raise click.UsageError(f"{' and '.join(lengths)} say how long; pass one of them")
    if settings.get("hours") and "schedule" not in given:
        settings = {**settings, "schedule": "cosine"}
    if "none" in val and len(val) > 1:
        raise click.UsageError("--val none holds nothing out; leave it, or the names, out")
    init = settings["init"] and str(settings["init"])
    if settings["component_loss"] != "target":  # whose losses are of the restored frame's size
        settings = {**settings, **{name: 1.0 for name in ("lambda_small", "lambda_large") if name not in given}}
    held_out = None if not val else tuple(name for name in val if name != "none")
    try:
        config = TrainingConfig(**{**settings, "init": init, "val": held_out})
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    branch = f"on {config.variant}" if config.variant in ONE_BRANCH else ""
    reasons = {
        "halve_every": "with --schedule cosine" if config.schedule == "cosine" else "",
        "val_every": "with --val none" if held_out == () else "",
        "masked_out": f"with --component-loss {config.component_loss}" * (config.component_loss != "target"),
        "mu": "with --component-loss whole" * (config.component_loss == "whole"),
    }
    if branch:
        reasons |= dict.fromkeys(
            ("component_loss", "fusion", "lambda_small", "lambda_large", "mu", "masked_out"), branch
        )
    for name, reason in reasons.items():
        if reason and name in given:
            click.echo(f"--{name.replace('_', '-')} has no effect {reason}", err=True)
    return config


def _refuse_launch(devices: int, nodes: int) -> None:
    """Refuse a number of processes that were not started, and say how to start them."""
    started = int(os.environ.get("LOCAL_WORLD_SIZE", "0"))
    if nodes > 1 and not started and "SLURM_NTASKS" not in os.environ:
        raise click.UsageError(f"--nodes {nodes} needs the command to be started by torchrun on each machine")
    if started and started != devices:
        raise click.UsageError(f"torchrun started {started} processes here, --devices is {devices}; pass {started}")


def _open_tensorboard(folder: Path, start: int) -> "TensorBoardLog":
    try:
        from pipelines.train.tensorboard import TensorBoardLog
    except ImportError as error:
        raise click.ClickException(f"{error.name or error} is missing; pip install 'cdgnet[tensorboard]'") from error
    return TensorBoardLog(folder, start)


def _say_plan(plan: "Run", fabric: "Fabric") -> None:
    _say_data(plan)
    _say_network(plan.config, fabric)
    _say_recipe(plan)
    if not plan.is_done:
        _say_duration(plan, fabric)
    for problem in plan.damaged_checkpoints:
        click.echo(f"{problem}; going on from the one before it", err=True)
    click.echo(f"{plan.folder}: goes on after step {plan.start:,}" if plan.start else f"{plan.folder}: a new run")


def _say_data(plan: "Run") -> None:
    config, frames, held_out = plan.config, len(plan.split.train), len(plan.split.held_out)
    why_none = "; all are of one video" if config.val is None else ""
    sources = f" ({', '.join(plan.split.sources)})" if held_out else why_none
    click.echo(f"{' and '.join(map(str, plan.pack_paths))}: {frames} frames to train on, {held_out} held out{sources}")
    for pack in plan.packs:
        header = pack.header
        if header.split == "test":
            click.echo(f"{pack.path} holds the test split: scores on it will say nothing about this network", err=True)
        if config.learns_from_masks:
            _say_masks(pack, config)


def _say_masks(pack: "PackInfo", config: TrainingConfig) -> None:
    header, share = pack.header, pack.mask_share
    none = f"{pack.empty_masks} of {len(pack.keys)} crops have none"
    is_other = config.mu not in (None, header.mu)
    other_mu = f", thresholded again at mu {config.mu:g}" if is_other else ""
    click.echo(f"masks by {header.method}, mu {header.mu:g}: share {share:.1%}, {none}{other_mu}")
    if not is_other and not _SMALL_SHARE < share < 1 - _SMALL_SHARE:
        branch, value, way = ("small", 1, "lower") if share < 0.5 else ("large", 0, "higher")
        click.echo(
            f"M = {value} in {min(share, 1 - share):.1%} of the pixels: most windows hold nothing for the {branch} "
            f"branch to learn from; a {way} --mu marks more, from the S in the pack",
            err=True,
        )


def _say_network(config: TrainingConfig, fabric: "Fabric") -> None:
    import torch

    from cdgnet import CDGNet
    from pipelines.timing import device_name
    from pipelines.train.runs import network_of

    with torch.device("meta"):
        network = CDGNet(network_of(config))
    parameters = sum(weight.numel() for weight in network.parameters())
    start = f", starting from {config.init}" if config.init else ""
    click.echo(f"{config.variant} in {config.preset}: {parameters:,} parameters{start}")
    device = fabric.device
    tf32 = ", TF32 in convolutions" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else ""
    click.echo(f"on {fabric.world_size} x {device_name(device)}, precision {config.precision}{tf32}")


def _say_recipe(plan: "Run") -> None:
    from pipelines.train.runs import STABLE_RATE

    config = plan.config
    windows = f"{config.batch} windows of {config.crop} x {config.crop}"
    if config.hours is None:
        epochs = plan.steps * config.batch / len(plan.split.train)
        times = f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.2g}"
        length = f"{plan.steps:,} steps of {windows}: every frame {times} times"
    else:
        length = f"{duration(3600 * config.hours)} of steps of {windows}"
    click.echo(f"{length}; {_recipe(plan)}{_component_loss(config)}")
    if config.learning_rate > STABLE_RATE and config.variant != "dmphn-1":  # which has no offsets
        click.echo(f"learning rate above {STABLE_RATE:g}: offsets may diverge; watch mean_offset in the log", err=True)


def _component_loss(config: TrainingConfig) -> str:
    """How the branches learn, to end a line; empty where they learn nothing of their own."""
    if config.variant in ONE_BRANCH or config.lambda_small + config.lambda_large == 0:
        return ""
    colour = f", masked-out pixels {config.masked_out}" if config.component_loss == "target" else ""
    weights = f"weights {config.lambda_small:g} and {config.lambda_large:g}"
    fusion = "; divided fusion" if config.fusion == "divided" else ""
    return f"; component loss: {config.component_loss}{colour}, {weights}{fusion}"


def _say_duration(plan: "Run", fabric: "Fabric") -> None:
    from pipelines.train import forecast

    seconds = forecast.seconds_per_step(plan.config, fabric)
    validation = forecast.seconds_per_validation(plan, seconds)
    and_validation = f" and {validation:.2g} s a validation" if validation else ""
    pace = f"{seconds:.2g} s a step{and_validation}, measured just now"
    if plan.config.hours is not None:
        left = 3600 * plan.config.hours - plan.seconds
        click.echo(f"{duration(left)} to go, until {_when(left)}: about {left / seconds:,.0f} steps; {pace}")
        return
    left = (plan.steps - plan.start) * seconds + forecast.validations_left(plan) * validation
    click.echo(f"about {duration(left)} to go, until {_when(left)}: {pace}")


def _when(seconds: float) -> str:
    """The day and hour so many seconds from now."""
    return f"{datetime.now() + timedelta(seconds=seconds):%a %d %b %Y, %H:%M}"


def _recipe(plan: "Run") -> str:
    """How the network is trained, in a line: what differs from the paper, optimiser, schedule, loss."""
    config, paper = plan.config, TrainingConfig()
    names = (
        *("learning_rate", "schedule", "halve_every", "warm_up", "weight_decay", "clip", "average", "loss", "batch"),
        *("crop", "fusion", "component_loss", "lambda_small", "lambda_large", "epochs", "mu", "masked_out", "turn"),
    )
    differences = [name.replace("_", " ") for name in names if getattr(config, name) != getattr(paper, name)]
    differences += [name for name in ("steps", "hours") if getattr(config, name) is not None]
    differences += ["a held-out video"] if plan.split.held_out else []
    optimizer = "AdamW" if config.weight_decay else "Adam"
    schedule = f"halved every {config.halve_every} epochs" if config.schedule == "halving" else "down a cosine"
    recipe = f"the paper's recipe but for {', '.join(differences)}" if differences else "the paper's recipe"
    return f"{recipe}: {optimizer} {config.learning_rate:g}, {schedule}, {config.loss.upper()} loss"


def _say_row(row: Mapping[str, Any], steps: int | None) -> None:
    """Say one row of the log; ``steps`` of the whole run are None while they are not known."""
    if "skipped" in row:
        frames = ", ".join(sorted(set(row["skipped"])))
        click.echo(f"step {row['step']}: non-finite or exploded loss, the step is skipped; frames {frames}", err=True)
    elif "went_back_from" in row:
        rollback = f"back from step {row['went_back_from']} to step {row['step']}"
        click.echo(f"{rollback}, learning rate times {row['factor']:g}", err=True)
    elif "val_psnr" in row:
        click.echo(
            f"{_place(row, steps)}  validation: {row['val_frames']} whole frames, PSNR blurry "
            f"{row['val_psnr_blurry']:.2f} dB, restored {row['val_psnr']:.2f} dB"
        )
    else:
        _say_losses(row, steps)


def _place(row: Mapping[str, Any], steps: int | None) -> str:
    return f"step {row['step']}" + (f"/{steps}" if steps else "")


def _say_losses(row: Mapping[str, Any], steps: int | None) -> None:
    from pipelines.train.page import drowned_text

    pace = f"{row['images_per_second']:.1f} images/s, {row['data_wait_share']:.0%} waiting for data"
    left = f", {duration((steps - row['step']) / row['steps_per_second'])} left" if steps else ""
    offset = row.get("mean_offset")  # a network without deformable layers has none
    offset_text = f", |offset| {offset:.3f} px" if offset is not None else ""
    parts = f"restored {row['loss_restored']:.5f}"
    if "share_small" in row:
        parts += "".join(
            f", {name} {row[f'loss_{name}']:.5f}: {row[f'share_{name}']:.0%}" for name in ("small", "large")
        )
    click.echo(f"{_place(row, steps)}  loss {row['loss']:.5f} ({parts})  {pace}{offset_text}{left}")
    if "drowned_by" in row:
        click.echo(drowned_text(row), err=True)
    if offset is not None and offset > _LARGE_OFFSET:
        click.echo(f"offsets of {offset:.0f} px: they diverge; start a new run with a lower learning rate", err=True)


def main() -> None:
    """Entry point."""
    run(command)
