"""How a trained network is run: the options that cdg-eval and cdg-deblur share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cli.parameters import TileSide

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.restore.restorer import Restorer

Command = TypeVar("Command", bound=Callable[..., Any])


def device_options(command: Command) -> Command:
    """Add --precision, --compile, --tile and --ensemble."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--precision",
        type=click.Choice(["32-true", "bf16-mixed", "16-mixed"]),
        default="32-true",
        show_default=True,
        help="Of the arithmetic; mixed: faster on GPUs; bf16-mixed also on CPUs with AMX.",
    ),
    click.option(
        "--compile",
        "is_compiled",
        is_flag=True,
        help="Compile the network: a minute at the first frame of each size, faster frames on a GPU.",
    ),
    click.option(
        "--tile",
        type=TileSide(),
        default="auto",
        show_default=True,
        metavar="PIXELS",
        help="Cut larger pictures into tiles of this side: less memory, the same result (nearly, of networks of other "
        "projects). auto: by the free memory.",
    ),
    click.option(
        "--ensemble",
        "is_ensemble",
        is_flag=True,
        help="Mean over the eight orientations of each frame: a little better, eight times the work.",
    ),
)


def make_restorer(
    weights: Path,
    precision: str,
    is_compiled: bool,
    tile: int | None,
    is_ensemble: bool,
    *,
    batch: int = 1,
    is_whole: bool = False,
) -> "Restorer":
    """Load weights onto the device at hand."""
    from pipelines.restore import networks
    from pipelines.restore.restorer import Restorer

    fabric = make_fabric(precision, devices=1)
    return Restorer(
        networks.load(weights),
        fabric,
        is_compiled=is_compiled,
        tile=tile,
        is_ensemble=is_ensemble,
        batch=batch,
        is_whole=is_whole,
    )


def make_fabric(precision: str, devices: "int | list[int]", nodes: int = 1) -> "Fabric":
    """Devices and precision; what they cannot do is refused."""
    from lightning_fabric import Fabric

    if precision == "16-mixed" and Fabric(accelerator="auto", devices=1).device.type == "cpu":
        raise click.ClickException("--precision 16-mixed needs a GPU, and there is none; pass bf16-mixed or 32-true")
    return Fabric(accelerator="auto", devices=devices, num_nodes=nodes, precision=precision)  # type: ignore[arg-type]
