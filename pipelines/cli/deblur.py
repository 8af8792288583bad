"""``cdg-deblur``: pictures and folders in, the same out, sharper."""

from pathlib import Path

import click

from pipelines.cli.shell import SETTINGS, WEIGHTS_FILE, example, run, track

path_type = click.Path(path_type=Path)


@click.command(
    "cdg-deblur",
    context_settings=SETTINGS,
    epilog=example("cdg-deblur photo.jpg holiday/ --weights runs/gopro/weights.safetensors --out restored"),
)
@click.version_option(package_name="cdgnet")
@click.argument("inputs", nargs=-1, required=True, type=path_type)
@click.option("--weights", type=WEIGHTS_FILE, required=True, metavar="FILE", help="Written by cdg-train.")
@click.option("--out", type=path_type, default="restored", metavar="DIR", help="Results.  [default: restored]")
@click.option("--force", is_flag=True, help="Replace results that are there.")
@click.option(
    "--tile",
    type=click.IntRange(64),
    default=1024,
    show_default=True,
    metavar="PIXELS",
    help="Cut larger pictures into tiles of this side: less memory, the same result.",
)
def command(inputs: tuple[Path, ...], weights: Path, out: Path, force: bool, tile: int) -> int:
    """Deblur pictures of any size; names, sizes, bit depth and alpha stay.

    Folders are searched to the bottom and their structure is kept. Results that are there are passed over.
    """
    from lightning_fabric import Fabric

    from cdgnet import load_weights
    from pipelines import deblurring
    from prep.layouts import counted

    jobs = deblurring.plan(inputs, out)
    left = [job for job in jobs if force or not job.target.exists()]
    there = len(jobs) - len(left)
    passed = f"; {there} are in {out} already, passed over (--force)" if there else ""
    click.echo(counted(len(jobs), "picture") + passed)
    device = Fabric(accelerator="auto", devices=1).device
    restored = deblurring.deblur(left, load_weights(weights), device, tile - tile % 4)
    outcomes = list(track(restored, len(left), f"deblur on {device.type}"))
    faults = [outcome.fault for outcome in outcomes if outcome.fault]
    for fault in faults:
        click.echo(fault, err=True)
    failed = f", {len(faults)} failed" if faults else ""
    click.echo(f"wrote {counted(len(outcomes) - len(faults), 'picture')} into {out}{failed}")
    return 1 if faults else 0


def mistakes() -> tuple[type[Exception], ...]:
    from cdgnet.weights import WeightsError
    from pipelines.deblurring import InputError
    from prep.sources import SourceError

    return InputError, SourceError, WeightsError


def main() -> None:
    """Entry point."""
    run(command, mistakes)
