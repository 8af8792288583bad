"""``cdg-train``: packs in, a run folder with weights out."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.shell import SETTINGS, duration, example, run, track
from pipelines.settings import TrainingConfig

if TYPE_CHECKING:
    from pipelines.training import Run

path_type = click.Path(path_type=Path)


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
    elif isinstance(setting.default, float):
        kind = click.FloatRange(about["least"])
    else:
        kind = click.IntRange(about["least"])
    return click.option(f"--{name}", type=kind, default=setting.default, show_default=True, **words)


@click.command("cdg-train", context_settings=SETTINGS, epilog=example("cdg-train --h5 gopro.h5 --out runs/first"))
@click.version_option(package_name="cdgnet")
@click.option(
    "--h5", "first", type=path_type, required=True, metavar="FILE [FILE]...", help="Packs made by cdg-prep pack."
)
@click.argument("others", type=path_type, nargs=-1, metavar="")
@click.option("--out", type=path_type, metavar="DIR", help="Run folder.  [default: runs/PACK]")
@setting_options
@click.option("--dry-run", is_flag=True, help="Say what would happen, and stop.")
def command(
    first: Path,
    others: tuple[Path, ...],
    out: Path | None,
    val: tuple[str, ...],
    dry_run: bool,
    **settings: Any,
) -> None:
    """Train CDGNet on packs, with the paper's settings by default.

    Of several packs, every frame is shown once an epoch. The same command goes on from the last checkpoint. Ctrl-C
    saves first; twice stops at once.
    """
    from lightning_fabric import Fabric

    from pipelines import training

    held_out = None if not val else tuple(name for name in val if name != "none")
    config = TrainingConfig(val=held_out, **settings)
    packs = (first, *others)
    folder = out or Path("runs", "+".join(pack.stem for pack in packs))
    fabric = Fabric(accelerator="auto", devices=1, precision=settings["precision"])
    plan = training.prepare(config, packs, folder, keep=not dry_run)
    _say_plan(plan, fabric.device.type)
    if dry_run or plan.start >= plan.steps:
        click.echo("nothing done: --dry-run" if dry_run else f"already at step {plan.start}; ask for more to go on")
        return
    stopped = _StopOnSignal()
    tick = None
    for tick in track(training.train(plan, fabric, stopped), plan.steps - plan.start, "train"):
        if tick.row is not None:
            _say_row(tick.row, plan.steps)
    if tick is not None and tick.step < plan.steps:
        raise click.ClickException(f"stopped at step {tick.step}, saved in {folder}; the same command goes on")
    click.echo(f"wrote {folder / 'weights.safetensors'} and {folder / 'log.jsonl'}")


class _StopOnSignal:
    """Asks the loop to end after the step at hand; a second signal ends the process as usual."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        for caught in (signal.SIGINT, signal.SIGTERM):
            signal.signal(caught, signal.SIG_DFL)

    def __call__(self) -> bool:
        return self.asked


def _say_plan(plan: "Run", device: str) -> None:
    from cdgnet import CDGNet, ModelConfig
    from pipelines.training import STABLE_RATE
    from prep import store

    config = plan.config
    network = CDGNet(ModelConfig.preset(config.preset, config.variant))
    parameters = sum(weight.numel() for weight in network.parameters())
    frames, held = len(plan.split.train), len(plan.split.held_out)
    sources = f" ({', '.join(plan.split.sources)})" if held else ""
    click.echo(f"{' and '.join(map(str, plan.packs))}: {frames} frames to train on, {held} held out{sources}")
    for pack in plan.packs:
        if store.describe(pack)["split"] == "test":
            click.echo(f"{pack} holds the test split: scores on it will say nothing about this network", err=True)
    click.echo(
        f"{config.variant} in {config.preset}: {parameters:,} parameters, on {device}, precision {config.precision}"
    )
    epochs = plan.steps * config.batch / frames
    click.echo(
        f"{plan.steps:,} steps of {config.batch} windows of {config.crop} x {config.crop}: {epochs:,.1f} epochs;"
        f" Adam {config.learning_rate:g}, halved every {config.halve_every} epochs; masked-out target pixels are black"
    )
    if config.learning_rate > STABLE_RATE:
        click.echo(f"learning rate above {STABLE_RATE:g}: offsets may run away; watch mean_offset in the log", err=True)
    click.echo(f"{plan.folder}: goes on after step {plan.start:,}" if plan.start else f"{plan.folder}: a new run")


def _say_row(row: Mapping[str, Any], steps: int) -> None:
    left = (steps - row["step"]) / row["steps_per_second"]
    click.echo(
        f"step {row['step']}/{steps}  loss {row['loss']:.5f} (restored {row['loss_restored']:.5f}, small"
        f" {row['loss_small']:.5f}, large {row['loss_large']:.5f})  {row['images_per_second']:.1f} images/s,"
        f" {row['data_wait_share']:.0%} waiting for data, |offset| {row['mean_offset']:.3f} px, {duration(left)} left"
    )


def mistakes() -> tuple[type[Exception], ...]:
    from pipelines.data import DataError
    from pipelines.training import TrainingError
    from prep.store import PackError

    return DataError, PackError, TrainingError


def main() -> None:
    """Entry point."""
    run(command, mistakes)
