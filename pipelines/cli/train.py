"""``cdg-train``: packs in, a run folder with weights out."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli.dataset import hint, next_step, typed_by_a_person
from pipelines.cli.devices import make_fabric
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import (
    PACK_FILE,
    WEIGHTS_FILE,
    ExistingFile,
    FiniteRange,
    output_type,
    path_type,
    typed_weights,
)
from pipelines.cli.progress import narrate, track
from pipelines.cli.signals import StopOnSignal
from pipelines.cli.train_report import say_plan, say_row, warn_of_loss
from pipelines.cli.usage import usage_text
from pipelines.errors import TrainingError
from pipelines.train.settings import NOTHING, ONE_BRANCH, TrainingConfig, held_out, structure_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.train.loop import StepReport
    from pipelines.train.runs import Run
    from pipelines.train.tensorboard import TensorBoardLog


def setting_options(*without: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for each field of ``TrainingConfig``, except for the fields in ``without``."""

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
    elif setting.type in (float, float | None):
        below = about.get("below")
        kind = FiniteRange(about["least"], about.get("most", below), max_open=below is not None)
    else:
        kind = click.IntRange(about["least"])
    return click.option(f"--{name}", type=kind, default=setting.default, show_default=True, **words)


_CONFIG_FILE = ExistingFile("every run folder has a config.yaml")
_PACKS = "cdgnet.packs"  # of --config or --resume, in the context


def _take_settings(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Make the settings of ``--config FILE`` or ``--resume RUN_DIR`` the defaults of all other options."""
    from pipelines.train import config_file

    if path is None:
        return None
    if _PACKS in context.meta:
        raise click.UsageError("--config and --resume exclude each other; pass one of them")
    settings = config_file.of_run(path) if option.name == "resume" else config_file.read(path)
    file = path / config_file.NAME if option.name == "resume" else path
    context.meta[_PACKS] = settings.pop(config_file.PACKS, [])
    for parameter in context.command.params:
        if parameter.name not in settings:
            continue
        value = settings[parameter.name]
        values = value if isinstance(value, list) else [value]
        settings[parameter.name] = value = values if parameter.multiple else value
        try:
            parameter.type_cast_value(context, value)
        except click.BadParameter as error:
            raise TrainingError(f"{file}: {usage_text(error)}") from error
    context.default_map = settings
    return path


def _packs(first: Path | None, others: tuple[Path, ...]) -> tuple[Path, ...]:
    """The packs of ``--h5``, or else those of ``--config`` and ``--resume``."""
    if first is not None:
        return (first, *others)
    packs: list[Path] = click.get_current_context().meta.get(_PACKS, [])
    if not packs:
        raise click.UsageError("--h5 is missing; pass --h5 FILE, a pack made by cdg-prep pack")
    if missing := [str(pack) for pack in packs if not pack.is_file()]:
        raise click.UsageError(f"{', '.join(missing)}: this pack of the run does not exist; pass all its packs by --h5")
    return tuple(packs)


@click.command("cdg-train", context_settings=SETTINGS, epilog=example("cdg-train --h5 gopro.h5 --out runs/first"))
@click.version_option(package_name="cdgnet")
@click.option("--h5", "first", type=PACK_FILE, metavar="FILE [FILE]...", help="Packs made by cdg-prep pack.")
@click.argument("others", type=PACK_FILE, nargs=-1, metavar="")
@click.option("--out", type=output_type, metavar="DIR", help="Run folder.  [default: runs/PACK]")
@click.option(
    "--resume",
    type=path_type,
    is_eager=True,
    callback=_take_settings,
    metavar="RUN_DIR",
    help="Continue this run; no other option is needed.",
)
@click.option(
    "--config",
    type=_CONFIG_FILE,
    is_eager=True,
    expose_value=False,
    callback=_take_settings,
    metavar="FILE",
    help="Take packs and settings from this file, such as runs/first/config.yaml. Other options override it.",
)
@setting_options()
@click.option(
    "--devices", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="GPUs, or processes on a CPU."
)
@click.option(
    "--nodes", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Machines, started by torchrun."
)
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard, into the run folder.")
@click.option("--dry-run", is_flag=True, help="Show what would be trained and for how long, and exit.")
@click.option("--page", type=path_type, metavar="RUN_DIR", help="Only write run.html of this run, and exit.")
def command(
    first: Path | None,
    others: tuple[Path, ...],
    out: Path | None,
    resume: Path | None,
    val: tuple[str, ...],
    devices: int,
    nodes: int,
    tensorboard: bool,
    dry_run: bool,
    page: Path | None,
    **settings: Any,
) -> None:
    """Train CDGNet on packs, with the paper's settings by default.

    With several packs, every frame is shown once per epoch. To continue after an interruption, run the same command
    again, or cdg-train --resume RUN_DIR. Ctrl-C saves first; a second Ctrl-C stops at once.
    """
    if page is not None:
        from pipelines.train import page as run_page

        click.echo(f"wrote {run_page.write(page)}")
        return
    if resume is not None and out is not None:
        raise click.UsageError("--resume and --out exclude each other; a run continues in its own folder")
    packs = _packs(first, others)
    folder = resume or out or Path("runs", "+".join(pack.stem for pack in packs))
    config = config_of(settings, val)
    _refuse_launch(devices, nodes)
    from pipelines.train import runs

    runs.check_division(config, devices * nodes)
    plan = runs.prepare(config, packs, folder, keep=False)
    from pipelines.pages import page_file
    from pipelines.restore.compilation import refuse_without_compiler
    from pipelines.train import page as run_page

    page_file.refuse_foreign(folder / run_page.NAME)
    is_first = all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
    fabric = make_fabric(config.precision, devices, nodes)
    if config.compile:
        refuse_without_compiler(fabric.device)
    if is_first and not dry_run:
        runs.begin(plan)
    if is_first:
        say_plan(plan, fabric)
    if dry_run or plan.is_done:
        longer = "" if config.hours else ", or pass a larger --steps to continue"
        at_end = f"{folder} is finished, at step {plan.start:,}; choose another --out to train again{longer}"
        click.echo("nothing was trained (--dry-run)" if dry_run else at_end)
        if plan.is_done and is_first:
            _print_next(plan)
        return
    tensorboard_log = _open_tensorboard(folder, plan.start) if tensorboard and is_first else None
    fabric.launch()
    _train(plan, fabric, tensorboard_log, is_first=is_first)


def _train(plan: "Run", fabric: "Fabric", tensorboard: "TensorBoardLog | None", *, is_first: bool) -> None:
    """Train to the end or until a signal; the first process shows the progress."""
    from pipelines.train import checkpoints, loop, run_folder
    from pipelines.train import page as run_page

    stopped = StopOnSignal()
    reports: Iterable[StepReport] = loop.train(plan, fabric, stopped, narrate if is_first else None)
    report = None

    if is_first:
        reports = track(
            reports,
            lambda: report and report.steps,
            "train",
            unit="steps",
            seconds_left=lambda: report and report.seconds_left,
            start=plan.start,
            position=lambda each: each.step,  # a validation before the first step is no step
        )
    for report in reports:
        for row in report.rows if is_first else ():
            say_row(row, report.steps, report.seconds_left)
            if tensorboard:
                tensorboard.add(row)
            if "val_psnr" in row:
                run_page.write(plan.folder)
    if report is not None and report.step != report.steps:
        saved = checkpoints.saved_steps(plan.folder)  # steps whose loss was not finite are not saved
        what = "saved" if report.step in saved else f"step {saved[-1]} is saved" if saved else "no step is saved"
        raise stopped.stopped(
            f"stopped at step {report.step}, {what} in {plan.folder}; run the same command again to continue"
        )
    if is_first:
        warn_of_loss(plan)
        click.echo(f"wrote {plan.folder / run_folder.WEIGHTS} and {run_page.write(plan.folder)}")
        _print_next(plan)


def _print_next(plan: "Run") -> None:
    """Print the command that scores the weights of a finished run, beside those that it started from."""
    from pipelines.train import run_folder

    started_from = [typed_weights(plan.config.init)] if plan.config.init else []
    next_step("cdg-eval", "--weights", *started_from, plan.folder / run_folder.WEIGHTS, "--root", "DATA_SET")
    hint("  DATA_SET: the folder or zip of a data set; its test frames are scored")


def config_of(settings: Mapping[str, Any], val: Sequence[str]) -> TrainingConfig:
    """The settings that a command's options give; prints which options have no effect."""
    context = click.get_current_context()
    sources = {name: context.get_parameter_source(name) for name in context.params}
    typed = {name for name, source in sources.items() if source is ParameterSource.COMMANDLINE}
    given = typed | {name for name, source in sources.items() if source is ParameterSource.DEFAULT_MAP}  # of --config
    if len(lengths := [name for name in ("epochs", "steps", "hours") if name in typed]) > 1:
        raise click.UsageError(f"{' and '.join(f'--{name}' for name in lengths)} say how long; pass one of them")
    if lengths:  # replaces the length in the file
        settings = {**settings, **{name: None for name in ("steps", "hours") if name not in lengths}}
    if settings.get("hours") and "schedule" not in (typed if lengths else given):
        settings = {**settings, "schedule": "cosine"}
    if NOTHING in val and len(val) > 1:
        raise click.UsageError("--val none holds nothing out; leave it, or the names, out")
    init = settings["init"] and str(settings["init"])
    if init and not given & {"preset", "variant", "attention", "fusion"}:
        settings = {**settings, **_structure_of(Path(init))}
    if settings["component_loss"] != "target":  # these losses are as large as the restored frame's
        settings = {**settings, **{name: 1.0 for name in ("lambda_small", "lambda_large") if name not in given}}
    try:
        config = TrainingConfig(**{**settings, "init": init, "val": held_out(val)})
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    branch = f"on {config.variant}" if config.variant in ONE_BRANCH else ""
    reasons = {
        "halve_every": "with --schedule cosine" if config.schedule == "cosine" else "",
        "val_every": "with --val none" if config.val == () else "",
        "masked_out": f"with --component-loss {config.component_loss}" * (config.component_loss != "target"),
        "mu": "with --component-loss whole" * (config.component_loss == "whole"),
    }
    if branch:
        reasons |= dict.fromkeys(
            ("component_loss", "fusion", "lambda_small", "lambda_large", "mu", "masked_out"), branch
        )
    for name, reason in reasons.items():
        if reason and name in typed:
            click.echo(f"--{name.replace('_', '-')} has no effect {reason}", err=True)
    return config


def _structure_of(weights: Path) -> dict[str, str]:
    """The settings of the network in a file of weights; none for a file of another project."""
    from cdgnet import WeightsError, header

    try:
        return structure_of(header.config_of(weights, header.read_metadata(weights)))
    except WeightsError:  # refused later, with a message
        return {}


def _refuse_launch(devices: int, nodes: int) -> None:
    """Refuse --devices and --nodes that do not match the started processes, and say how to start them."""
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


def main() -> None:
    """Entry point."""
    with typed_by_a_person():
        run(command)
