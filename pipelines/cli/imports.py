"""``cdg-import``: networks that others published, as weights files of this project."""

from pathlib import Path

import click

from pipelines.cli.entry import SETTINGS, example, run


@click.group("cdg-import", context_settings=SETTINGS, epilog=example("cdg-import dmphn checkpoints/DMPHN_1_2_4"))
@click.version_option(package_name="cdgnet")
def command() -> None:
    """Write published checkpoints as weights that every command here takes. Nothing in them is run."""


@command.command(epilog=example("cdg-import dmphn checkpoints/DMPHN_1_2_4 --out dmphn.safetensors"))
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE",
              help="The weights.  [default: dmphn-1-2-4.safetensors, or dmphn-1-2-4-8.safetensors]")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace weights that are there.")
def dmphn(folder: Path, out: Path | None, force: bool) -> None:
    """Import DMPHN 1-2-4 or 1-2-4-8, as Zhang, Dai, Li and Koniusz published them in 2019.

    DIR holds encoder_lv1.pkl to encoder_lv3.pkl (1-2-4) or to encoder_lv4.pkl (1-2-4-8), and as many decoders.
    """
    from cdgnet import save_weights
    from pipelines.dmphn import find, read

    checkpoint = find(folder)
    path = out or Path(f"{checkpoint.variant}.safetensors")
    _check_target(path, force=force)
    network, metadata = read(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, network, metadata, overwrite=force)
    parameters = sum(each.numel() for each in network.parameters())
    click.echo(
        f"wrote {path}: {metadata['name']}, {parameters:,} parameters of {len(checkpoint.names)} files, "
        f"{path.stat().st_size / 1e6:.1f} MB"
    )
    click.echo(f"try it: cdg-deblur photo.jpg --weights {path}")
    click.echo(f"score it: cdg-eval --weights {path} --h5 gopro-test.h5")


def _check_target(path: Path, *, force: bool) -> None:
    """Refuse to replace anything unasked, and anything but weights at all."""
    from cdgnet import WeightsError, read_metadata

    if path.suffix != ".safetensors":
        raise click.ClickException(f"{path} does not end in .safetensors; pass --out NAME.safetensors")
    if not path.exists():
        return
    if not force:
        raise click.ClickException(f"{path} exists; pass --force to replace it, or --out with another name")
    try:
        read_metadata(path)
    except WeightsError as error:
        raise click.ClickException(
            f"{path} holds no weights of ours, and is not replaced; pass another --out"
        ) from error


def main() -> None:
    """Entry point."""
    run(command)
