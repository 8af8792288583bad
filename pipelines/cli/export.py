"""``cdg-export``: a network for programs without this one."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import WEIGHTS_FILE
from pipelines.cli.progress import announce_if_slow
from prep.units import duration

if TYPE_CHECKING:
    from cdgnet.export import Program

path_type = click.Path(path_type=Path)


@click.command(
    "cdg-export", context_settings=SETTINGS, epilog=example("cdg-export --weights runs/gopro/weights.safetensors")
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", type=WEIGHTS_FILE, required=True, metavar="FILE", help="Written by cdg-train.")
@click.option("--onnx", "suffix", flag_value=".onnx", default=True, help="As ONNX; the default.")
@click.option("--pt2", "suffix", flag_value=".pt2", help="As an archive of torch.export.")
@click.option("--zero-to-one", "is_zero_to_one", is_flag=True, help="Images in [0, 1], in and out, limited to it.  "
              "[default: in [-0.5, 0.5], and results may leave it]")  # fmt: skip
@click.option("--only-restored", is_flag=True, help="No output but restored.")
@click.option("--out", type=path_type, metavar="FILE", help="The file.  [default: beside the weights]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    weights: Path, suffix: str, is_zero_to_one: bool, only_restored: bool, out: Path | None, force: bool
) -> None:
    """Write a network for programs that know ONNX or torch alone: batches of any size, frames of any size from 2 x 2.

    The input is blurry, (batch, 3, height, width), RGB, float32. It is padded inside.

    \b
    The outputs, as far as the network has them:
      restored         (batch, 3, height, width), the result
      small, large     the same shape, what each branch alone makes of it
      small_attention, large_attention, share
                       (batch, 1, height / 4, width / 4), rounded up, in [0, 1]: where
                       each branch looks, and how much of the result is the small one's
    """
    from cdgnet import load_weights
    from prep.io import files

    path = out or weights.with_suffix(suffix)
    if path.suffix.lower() != suffix:
        raise click.ClickException(f"{path} does not end in {suffix}; pass --out NAME{suffix}")
    if path.exists() and not force:
        raise click.ClickException(f"{path} exists; pass --force to replace it, or --out with another name")
    start = time.monotonic()
    network = load_weights(weights)
    if suffix == ".onnx" and network.config.levels > 1:  # which torch's exporter does not finish in minutes
        raise click.ClickException(
            f"{weights} has {network.config.levels} levels of patches; pass --pt2 in place of ONNX"
        )
    try:
        from cdgnet.export import Program, to_archive, to_onnx

        program = Program(network, is_zero_to_one=is_zero_to_one, only_restored=only_restored)
        with announce_if_slow("translating, which may take some minutes"):
            data = to_onnx(program) if suffix == ".onnx" else to_archive(program)
    except ImportError as error:
        raise click.ClickException(f"{error.name or error} is missing; pip install 'cdgnet[export]'") from error
    files.write_bytes(path, data)
    _describe(program)
    click.echo(f"wrote {path}, {len(data) / 1e6:.1f} MB, in {duration(time.monotonic() - start)}")


def _describe(program: "Program") -> None:
    """Print the input and the outputs with their shapes."""

    def show(way: str, name: str, shape: Sequence[str], limit: str) -> None:
        text = f"({', '.join(shape)})"
        click.echo(f"{way:3}  {name:15}  {text:41}  float32 in {limit}")

    show("in", "blurry", ("batch", "3", "height", "width"), program.input_range)
    for name, shape in program.outputs().items():
        show("out", name, shape, "[0, 1]" if shape[1] == "1" else program.output_range)


def main() -> None:
    """Entry point."""
    run(command)
