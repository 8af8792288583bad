"""``cdg-export``: write a network as ONNX or as an archive of torch.export."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import WEIGHTS_FILE, output_type, weights_or_pretrained
from pipelines.cli.progress import announce_if_slow
from pipelines.cli.tables import print_table
from prep.units import duration, file_size

if TYPE_CHECKING:
    from cdgnet.export import Program


@click.command(
    "cdg-export", context_settings=SETTINGS, epilog=example("cdg-export --weights runs/gopro/weights.safetensors")
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", type=WEIGHTS_FILE, metavar="FILE", help="Weights of cdg-train.  [default: the weights that "
              "come with cdgnet]")  # fmt: skip
@click.option("--onnx", "suffix", flag_value=".onnx", default=True, help="Write ONNX.  [default]")
@click.option("--pt2", "suffix", flag_value=".pt2", help="Write an archive of torch.export (.pt2).")
@click.option("--zero-to-one", "is_zero_to_one", is_flag=True, help="Take and give images in [0, 1], clamped.  "
              "[default: [-0.5, 0.5], results not clamped]")  # fmt: skip
@click.option("--only-restored", is_flag=True, help="Leave out all outputs but the restored image.")
@click.option(
    "--out",
    type=output_type,
    metavar="FILE",
    help="File to write, ending in .onnx or .pt2.  [default: beside --weights; without it in the current folder]",
)  # fmt: skip)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    weights: Path | None, suffix: str, is_zero_to_one: bool, only_restored: bool, out: Path | None, force: bool
) -> None:
    """Export a network to ONNX, or to torch.export, for programs without cdgnet. It takes batches of any size, and
    frames of any size from 2 x 2 pixels.

    \b
    Input, padded inside as needed:
      blurry           (batch, 3, height, width), RGB, float32
    Outputs, as far as the network has them:
      restored         (batch, 3, height, width), the restored image
      small, large     the same shape: the image of each branch alone
      small_attention, large_attention
                       (batch, 1, height / 4, width / 4), rounded up, in [0, 1]:
                       the attention of each branch
      share            the same shape: share of the small branch in the result
    """
    from cdgnet import read_metadata
    from prep.io import files

    path = out or (weights.with_suffix(suffix) if weights else Path(f"cdgnet{suffix}"))
    if path.suffix.lower() != suffix:
        hint = f"use --out NAME{suffix}, or add --pt2" if path.suffix.lower() == ".pt2" else f"use --out NAME{suffix}"
        raise click.ClickException(f"{path} does not end in {suffix}; {hint}")
    if path.exists() and not force:
        raise click.ClickException(f"{path} exists; use --force to overwrite it, or another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = weights_or_pretrained(weights)
    read_metadata(weights)  # refuses weights of other projects before torch is loaded
    start = time.monotonic()
    from cdgnet import load_weights

    network = load_weights(weights)
    if suffix == ".onnx" and network.config.levels > 1:  # which torch's exporter does not finish in minutes
        raise click.ClickException(
            f"{weights} has {network.config.levels} levels of patches, which ONNX export cannot handle; use --pt2"
        )
    try:
        from cdgnet.export import Program, to_archive, to_onnx

        program = Program(network, is_zero_to_one=is_zero_to_one, only_restored=only_restored)
        with announce_if_slow("exporting; this can take several minutes"):
            data = to_onnx(program) if suffix == ".onnx" else to_archive(program)
    except ImportError as error:
        package = error.name or error
        raise click.ClickException(f"{package} is not installed; run: pip install 'cdgnet[export]'") from error
    files.write_bytes(path, data)
    _describe(program)
    click.echo(f"wrote {path}, {file_size(len(data))}, in {duration(time.monotonic() - start)}")


def _describe(program: "Program") -> None:
    """Print the input and the outputs with their shapes."""
    images = "[0, 1]" if program.is_zero_to_one else "[-0.5, 0.5]"
    rows = [["input", "blurry", "(batch, 3, height, width)", images]]
    for name, shape in program.outputs().items():
        rows.append(["output", name, f"({', '.join(shape)})", "[0, 1]" if shape[1] == "1" else images])
    print_table(["", "name", "shape, float32", "range"], rows, names=4)
    if not program.is_zero_to_one:
        click.echo("output images are not clamped to their range")


def main() -> None:
    """Entry point."""
    run(command)
