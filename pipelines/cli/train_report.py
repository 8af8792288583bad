"""What ``cdg-train`` prints: the plan before it starts, then each row of the log."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.parameters import typed_weights
from pipelines.cli.progress import announce_if_slow
from pipelines.train.settings import DMPHN, ONE_BRANCH, TrainingConfig
from prep.units import about, counted, duration, percent

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.train.runs import Run
    from prep.packs.reader import PackInfo

_LARGE_OFFSET = 8.0  # pixels; blur of real frames is seldom longer
_SMALL_SHARE = 0.05  # share of M = 1 or M = 0: below it, few random crops contain the component
_MOST_HELD_OUT = 0.2  # share of the frames; a larger one is reported
_LONG = 2 * 86400  # seconds; for longer runs on a CPU smaller settings are suggested


def say_plan(plan: "Run", fabric: "Fabric") -> None:
    """Print what is trained, on what, how, and for how long; warn of what looks wrong."""
    _say_data(plan)
    _say_network(plan.config, fabric)
    _say_recipe(plan)
    for problem in plan.damaged_checkpoints:
        click.echo(f"{problem}; continuing from the one before it", err=True)
    if not plan.is_done:
        _say_duration(plan, fabric)
        is_new = "a new run" if not plan.start else f"continues after step {plan.start:,}"
        click.echo(f"run folder: {plan.folder}, {is_new}")


def _say_data(plan: "Run") -> None:
    config, frames, held_out = plan.config, len(plan.split.train), len(plan.split.held_out)
    why_none = "; all frames are of one video, so there is no validation" if config.val is None else ""
    sources = f" for validation ({', '.join(plan.split.sources)})" if held_out else why_none
    packs = " and ".join(map(str, plan.pack_paths))
    click.echo(f"data: {packs}; {counted(frames, 'frame')} to train on, {held_out} held out{sources}")
    if config.val is None and held_out > _MOST_HELD_OUT * (frames + held_out):
        share = held_out / (frames + held_out)
        click.echo(
            f"{share:.0%} of the frames are held out, because videos are held out whole; choose others by --val "
            "SOURCE, or train on all by --val none",
            err=True,
        )
    for pack in plan.packs:
        header = pack.header
        if header.split == "test":
            click.echo(f"{pack.path} is a test split; after training on it, scores on it mean nothing", err=True)
        if config.learns_from_masks:
            _say_masks(pack, config)


def _say_masks(pack: "PackInfo", config: TrainingConfig) -> None:
    header, share = pack.header, pack.mask_share
    none = f"{pack.empty_masks:,} of {counted(len(pack.keys), 'crop')} without any"
    is_other = config.mu not in (None, header.mu)
    other_mu = f"; thresholded again at mu = {config.mu:g}" if is_other else ""
    click.echo(
        f"masks: {header.method}, mu = {header.mu:g}; small blur in {percent(share)} of the pixels, {none}{other_mu}"
    )
    if not is_other and not _SMALL_SHARE < share < 1 - _SMALL_SHARE:
        branch, value, way = ("small", 1, "lower") if share < 0.5 else ("large", 0, "higher")
        click.echo(
            f"M = {value} in {percent(min(share, 1 - share))} of the pixels: most random crops have nothing for the "
            f"{branch} branch to learn from; a {way} --mu marks more",
            err=True,
        )


def _say_network(config: TrainingConfig, fabric: "Fabric") -> None:
    import torch

    from cdgnet import CDGNet
    from pipelines.timing import device_name, has_amx
    from pipelines.train.runs import network_of

    with torch.device("meta"):
        network = CDGNet(network_of(config))
    parameters = sum(weight.numel() for weight in network.parameters())
    start = f", starting from {typed_weights(config.init)}" if config.init else ""
    click.echo(f"network: {config.variant}, preset {config.preset}, {parameters:,} parameters{start}")
    device = fabric.device
    tf32 = ", TF32 in convolutions" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else ""
    click.echo(f"device: {fabric.world_size} x {device_name(device)}, precision {config.precision}{tf32}")
    if device.type != "cpu":
        return
    if config.precision == "32-true" and has_amx():
        click.echo("this CPU has AMX: --precision bf16-mixed is 1.2 to 4.5 times as fast")
    elif config.precision == "bf16-mixed" and not has_amx():
        click.echo("this CPU has no AMX: bf16-mixed takes up to twice as long as --precision 32-true", err=True)


def _say_recipe(plan: "Run") -> None:
    from pipelines.train.runs import STABLE_RATE

    config = plan.config
    crops = f"{counted(config.batch, 'random crop')} of {config.crop} x {config.crop}"
    if config.hours is None:
        epochs = plan.steps * config.batch / len(plan.split.train)
        times = f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.2g}"
        length = f"{counted(plan.steps, 'step')} of {crops}, {times} epochs"
    else:
        length = f"{duration(3600 * config.hours)} of steps of {crops}"
    click.echo(f"length: {length}")
    click.echo(f"optimiser: {_optimiser(config)}")
    click.echo(f"losses: {config.loss.upper()}{_component_loss(config)}")
    click.echo(f"different from the paper: {', '.join(_differences(plan)) or 'nothing'}")
    has_offsets = config.variant not in ("dmphn-1", *DMPHN)
    if config.learning_rate > STABLE_RATE and has_offsets:
        click.echo(f"the learning rate is above {STABLE_RATE:g}: offsets may diverge; watch them in the log", err=True)


def _component_loss(config: TrainingConfig) -> str:
    """How the branches learn, to end a line; empty if they have no losses of their own."""
    if config.variant in ONE_BRANCH or config.lambda_small + config.lambda_large == 0:
        return ""
    colour = f", masked-out pixels {config.masked_out}" if config.component_loss == "target" else ""
    weights = f"weights {config.lambda_small:g} and {config.lambda_large:g}"
    fusion = "; divided fusion" if config.fusion == "divided" else ""
    return f"; component loss {config.component_loss}{colour}, {weights}{fusion}"


def _say_duration(plan: "Run", fabric: "Fabric") -> None:
    from pipelines.train import forecast

    with announce_if_slow("measuring the time of a step; the first may compile for half a minute"):
        seconds = forecast.seconds_per_step(plan.config, fabric)
    validation = forecast.steps_per_validation(plan) * seconds
    and_validation = f", {about(validation)} per validation" if validation else ""
    pace = f"{seconds:.3g} s per step{and_validation}"
    if plan.config.hours is not None:
        left = 3600 * plan.config.hours - plan.seconds
        click.echo(f"time: {duration(left)} left, until {_when(left)}; about {left / seconds:,.0f} steps; {pace}")
        if validation > 0.2 * left:
            click.echo(
                f"one validation takes {about(validation)} of the {duration(left)}; --val none leaves it out",
                err=True,
            )
        _warn_of_warm_up(plan, plan.start + left / seconds)
        return
    _warn_of_warm_up(plan, plan.steps)
    validations = forecast.validations_left(plan, plan.start, plan.steps)
    left = (plan.steps - plan.start) * seconds + validations * validation
    click.echo(f"time: {about(left)} left, until {_when(left)}; {pace}")
    if left > _LONG and fabric.device.type == "cpu":
        click.echo(
            "that is long on a CPU; try --preset tiny or small, a smaller --batch or --crop, or --hours 8", err=True
        )


def _warn_of_warm_up(plan: "Run", steps: float) -> None:
    """Warn if a run of ``steps`` steps ends before its learning rate is reached."""
    config = plan.config
    if config.warm_up > steps:
        click.echo(
            f"warning: the warm-up of {config.warm_up:,} steps is longer than the run of {steps:,.0f}, so the learning "
            f"rate {config.learning_rate:g} is never reached; use a shorter --warm-up, or train longer",
            err=True,
        )


def _when(seconds: float) -> str:
    """The day and time that is this many seconds away."""
    if seconds > 100 * 365 * 86400:
        return "more than a hundred years from now"
    return f"{datetime.now() + timedelta(seconds=seconds):%a %d %b %Y, %H:%M}"


def _differences(plan: "Run") -> list[str]:
    """The settings that differ from the paper's, with their values."""
    config, paper = plan.config, TrainingConfig()
    names = (
        *(
            "preset",
            "learning_rate",
            "schedule",
            "halve_every",
            "warm_up",
            "weight_decay",
            "clip",
            "average",
            "loss",
            "batch",
        ),
        *("crop", "fusion", "component_loss", "lambda_small", "lambda_large", "epochs", "mu", "masked_out", "turn"),
    )
    values = {name: getattr(config, name) for name in names if getattr(config, name) != getattr(paper, name)}
    values |= {name: value for name in ("steps", "hours", "shrinkage") if (value := getattr(config, name))}
    differences = [_setting_text(name.replace("_", "-"), value) for name, value in values.items()]
    return [*differences, *(["held-out frames"] if plan.split.held_out else [])]


def _setting_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no-{name}"
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"


def _optimiser(config: TrainingConfig) -> str:
    name = "AdamW" if config.weight_decay else "Adam"
    schedule = f"halved every {config.halve_every} epochs" if config.schedule == "halving" else "cosine to 0"
    return f"{name}, learning rate {config.learning_rate:g}, {schedule}"


def say_row(row: Mapping[str, Any], steps: int | None, seconds_left: float | None = None) -> None:
    """Print one row of the log; ``steps``, those of the whole run, and the time left are None while unknown."""
    if "skipped" in row:
        frames = ", ".join(sorted(set(row["skipped"])))
        click.echo(
            f"step {row['step']}: the loss is not finite or exploded; the step was skipped; frames {frames}", err=True
        )
    elif "went_back_from" in row:
        rollback = f"went back from step {row['went_back_from']} to step {row['step']}"
        click.echo(f"{rollback}; learning rate multiplied by {row['factor']:g}", err=True)
    elif "val_psnr" in row:
        of_what = "validation" if row["step"] else "validation of the first weights"
        click.echo(
            f"{_place(row, steps)}  {of_what}: PSNR of {counted(row['val_frames'], 'whole frame')}: blurry "
            f"{row['val_psnr_blurry']:.2f} dB, restored {row['val_psnr']:.2f} dB "
            f"({row['val_psnr'] - row['val_psnr_blurry']:+.2f} dB)"
        )
    else:
        _say_losses(row, steps, seconds_left)


def warn_of_loss(plan: "Run") -> None:
    """Warn if the run began from weights that restored the held-out frames better than it does at its end."""
    from pipelines.train import run_folder

    scores = [row for row in run_folder.read_log(plan.folder) if "val_psnr" in row]
    if scores and scores[0]["step"] == 0 and scores[-1]["val_psnr"] < scores[0]["val_psnr"]:
        first, last = scores[0]["val_psnr"], scores[-1]["val_psnr"]
        began_from = typed_weights(str(plan.config.init))
        click.echo(
            f"warning: {began_from} restores the held-out frames better: {first:.2f} dB before the training, "
            f"{last:.2f} dB after it; train longer, or with a lower --learning-rate",
            err=True,
        )


def _place(row: Mapping[str, Any], steps: int | None) -> str:
    return f"step {row['step']}" + (f"/{steps}" if steps else "")


def _say_losses(row: Mapping[str, Any], steps: int | None, seconds_left: float | None) -> None:
    from pipelines.train.page import drowned_text

    pace = f"{row['images_per_second']:.1f} crops/s, {row['data_wait_share']:.0%} of the time waiting for data"
    left = f", {duration(seconds_left)} left" if seconds_left else ""
    offset = row.get("mean_offset")  # a network without deformable layers has none
    offset_text = f", mean offset {offset:.3f} px" if offset is not None else ""
    parts = ""
    if "share_small" in row:
        small, large = row["share_small"], row["share_large"]
        parts = f" ({1 - small - large:.0%} restored frame, {small:.0%} small branch, {large:.0%} large branch)"
    click.echo(f"{_place(row, steps)}  loss {row['loss']:.5f}{parts}  {pace}{offset_text}{left}")
    if "drowned_by" in row:
        click.echo(drowned_text(row), err=True)
    if offset is not None and offset > _LARGE_OFFSET:
        click.echo(f"the mean offset is {offset:.0f} px: offsets diverge; start a new run with a lower rate", err=True)
