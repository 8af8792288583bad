"""How a network is run: the options that cdg-eval and cdg-deblur share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipelines.cli.parameters import FiniteRange, TileSide

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.restore.restorer import Restorer

_MOST_STRENGTH = 5  # beyond it, artefacts cover the picture

Command = TypeVar("Command", bound=Callable[..., Any])

DEVICE_OPTIONS = {
    "precision": "--precision",
    "is_compiled": "--compile",
    "tile": "--tile",
    "is_ensemble": "--ensemble",
    "strength": "--strength",
}
"""The options that ``device_options`` adds, by parameter."""


def device_options(command: Command) -> Command:
    """Add --precision, --compile, --tile, --ensemble and --strength."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--precision",
        type=click.Choice(["32-true", "bf16-mixed", "16-mixed"]),
        default="32-true",
        show_default=True,
        help="Number format of the computation. The mixed ones are faster on GPUs; bf16-mixed also on CPUs with AMX.",
    ),
    click.option(
        "--compile",
        "is_compiled",
        is_flag=True,
        help="Compile the network. Takes about a minute for each frame size; then frames are faster on a GPU.",
    ),
    click.option(
        "--tile",
        type=TileSide(),
        default="auto",
        show_default=True,
        metavar="PIXELS",
        help="Side of the tiles that larger pictures are cut into, in pixels from 64 to 65536; smaller tiles take less "
        "memory. The result is the same, for networks of other projects nearly. auto: as free memory allows.",
    ),
    click.option(
        "--ensemble",
        "is_ensemble",
        is_flag=True,
        help="Restore each frame in eight orientations and take the mean: slightly better, eight times slower.",
    ),
    click.option(
        "--strength",
        type=FiniteRange(0, _MOST_STRENGTH, min_open=True),
        default=1,
        show_default=True,
        metavar="FACTOR",
        help="Factor on the change that the network makes: 2 changes a picture twice as much, artefacts included; 0.5 "
        "half as much.",
    ),
)


def make_restorer(
    weights: Path,
    precision: str,
    is_compiled: bool,
    tile: int | None,
    is_ensemble: bool,
    strength: float,
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
        strength=strength,
        batch=batch,
        is_whole=is_whole,
    )


def make_fabric(precision: str, devices: "int | list[int]", nodes: int = 1) -> "Fabric":
    """Devices and precision; a precision that the device lacks is refused."""
    from lightning_fabric import Fabric

    if precision == "16-mixed" and Fabric(accelerator="auto", devices=1).device.type == "cpu":
        raise click.ClickException("--precision 16-mixed needs a GPU, and none was found; use bf16-mixed or 32-true")
    return Fabric(accelerator="auto", devices=devices, num_nodes=nodes, precision=precision)  # type: ignore[arg-type]
