"""``cdg-import``: convert published checkpoints into weights files of cdgnet."""

from pathlib import Path
from typing import Any

import click

from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import output_type
from prep.units import counted, file_size


class CheckpointFolder(click.Path):
    """An existing folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        path = Path(value)
        if not path.is_dir():
            found = "is a file" if path.exists() else "does not exist"
            self.fail(f"{path} {found}; pass the folder that contains encoder_lv1.pkl", param, ctx)
        return path


@click.group("cdg-import", context_settings=SETTINGS, epilog=example("cdg-import dmphn checkpoints/DMPHN_1_2_4"))
@click.version_option(package_name="cdgnet")
def command() -> None:
    """Convert published checkpoints into weights that all commands take. Code in a checkpoint is never run."""


@command.command(epilog=example("cdg-import dmphn checkpoints/DMPHN_1_2_4 --out dmphn.safetensors"))
@click.argument("folder", metavar="DIR", type=CheckpointFolder())
@click.option("--out", type=output_type, metavar="FILE",
              help="Weights file to write.  [default: dmphn-1-2-4.safetensors or "
              "dmphn-1-2-4-8.safetensors]")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite existing weights.")
def dmphn(folder: Path, out: Path | None, force: bool) -> None:
    """Convert DMPHN 1-2-4 or 1-2-4-8.

    DIR is a folder of the checkpoints that Zhang, Dai, Li and Koniusz published in 2019: encoder_lv1.pkl to
    encoder_lv3.pkl (1-2-4) or encoder_lv4.pkl (1-2-4-8), and as many decoders.
    """
    from pipelines.dmphn import find, read

    checkpoint = find(folder)
    path = out or Path(f"{checkpoint.variant}.safetensors")
    _check_target(path, force=force)
    from cdgnet import save_weights

    network, metadata = read(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, network, metadata, overwrite=force)
    parameters = sum(each.numel() for each in network.parameters())
    click.echo(
        f"wrote {path}: {metadata['name']}, {parameters:,} parameters from {counted(len(checkpoint.names), 'file')}, "
        f"{file_size(path.stat().st_size)}"
    )
    click.echo(f"deblur:  cdg-deblur photo.jpg --weights {path}")
    click.echo(f"score:   cdg-eval --weights {path} --h5 gopro-test.h5")


def _check_target(path: Path, *, force: bool) -> None:
    """Refuse to overwrite a file without --force, and anything but weights even with it."""
    from cdgnet import WeightsError, read_metadata

    if path.suffix != ".safetensors":
        raise click.ClickException(f"{path} does not end in .safetensors; use --out NAME.safetensors")
    if not path.exists():
        return
    if not force:
        raise click.ClickException(f"{path} exists; use --force to overwrite it, or another --out")
    try:
        read_metadata(path)
    except WeightsError as error:
        raise click.ClickException(
            f"{path} is not a weights file of cdgnet and is not overwritten; use another --out"
        ) from error


def main() -> None:
    """Entry point."""
    run(command)
