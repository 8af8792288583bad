"""``cdg-export``: a network for programs without this one."""

from pathlib import Path

import click

from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import WEIGHTS_FILE
from pipelines.cli.progress import announce_if_slow

path_type = click.Path(path_type=Path)


@click.command(
    "cdg-export", context_settings=SETTINGS, epilog=example("cdg-export --weights runs/gopro/weights.safetensors")
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", type=WEIGHTS_FILE, required=True, metavar="FILE", help="Written by cdg-train.")
@click.option("--onnx", "suffix", flag_value=".onnx", default=True, help="As ONNX; the default.")
@click.option("--pt2", "suffix", flag_value=".pt2", help="As an archive of torch.export.")
@click.option("--out", type=path_type, metavar="FILE", help="The file.  [default: beside the weights]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(weights: Path, suffix: str, out: Path | None, force: bool) -> None:
    """Write a network for frames of any height and width, for programs that know ONNX or torch alone."""
    from cdgnet import load_weights
    from prep.io import files

    path = out or weights.with_suffix(suffix)
    if path.suffix.lower() != suffix:
        raise click.ClickException(f"{path} does not end in {suffix}; pass --out NAME{suffix}")
    if path.exists() and not force:
        raise click.ClickException(f"{path} exists; pass --force to replace it, or --out with another name")
    network = load_weights(weights)
    if suffix == ".onnx" and network.config.levels > 1:  # which torch's exporter does not finish in minutes
        raise click.ClickException(
            f"{weights} has {network.config.levels} levels of patches; pass --pt2 in place of ONNX"
        )
    try:
        from cdgnet.export import to_archive, to_onnx

        with announce_if_slow("translating: up to a minute"):
            data = to_onnx(network) if suffix == ".onnx" else to_archive(network)
    except ImportError as error:
        raise click.ClickException(f"{error.name or error} is missing; pip install 'cdgnet[export]'") from error
    files.write_bytes(path, data)
    click.echo(f"wrote {path}, {len(data) / 1e6:.1f} MB: blurry (1, 3, H, W) in [-0.5, 0.5] -> restored and more")


def main() -> None:
    """Entry point."""
    run(command)
