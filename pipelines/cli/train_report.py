"""What ``cdg-train`` says: its plan beforehand, then each row of the log."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.progress import announce_if_slow
from pipelines.train.settings import DMPHN, ONE_BRANCH, TrainingConfig
from prep.units import duration

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.train.runs import Run
    from prep.packs.reader import PackInfo

_LARGE_OFFSET = 8.0  # pixels; blur of real frames is seldom longer
_SMALL_SHARE = 0.05  # of M: a component that few windows hold


def say_plan(plan: "Run", fabric: "Fabric") -> None:
    """Say what is trained, on what, how, and for how long; warn of what looks wrong."""
    _say_data(plan)
    _say_network(plan.config, fabric)
    _say_recipe(plan)
    for problem in plan.damaged_checkpoints:
        click.echo(f"{problem}; going on from the one before it", err=True)
    if not plan.is_done:
        _say_duration(plan, fabric)
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
    from pipelines.timing import device_name, has_amx
    from pipelines.train.runs import network_of

    with torch.device("meta"):
        network = CDGNet(network_of(config))
    parameters = sum(weight.numel() for weight in network.parameters())
    start = f", starting from {config.init}" if config.init else ""
    click.echo(f"{config.variant} in {config.preset}: {parameters:,} parameters{start}")
    device = fabric.device
    tf32 = ", TF32 in convolutions" if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else ""
    click.echo(f"on {fabric.world_size} x {device_name(device)}, precision {config.precision}{tf32}")
    if device.type != "cpu":
        return
    if config.precision == "32-true" and has_amx():
        click.echo("this CPU multiplies bfloat16 (AMX): --precision bf16-mixed is 1.2 to 4.5 times as fast")
    elif config.precision == "bf16-mixed" and not has_amx():
        click.echo("this CPU has no AMX: bf16-mixed takes up to twice as long as --precision 32-true", err=True)


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
    has_offsets = config.variant not in ("dmphn-1", *DMPHN)
    if config.learning_rate > STABLE_RATE and has_offsets:
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

    with announce_if_slow("measuring how long a step takes; the first may compile for half a minute"):
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
    if seconds > 100 * 365 * 86400:
        return "a day that is more than a hundred years away"
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


def say_row(row: Mapping[str, Any], steps: int | None) -> None:
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
