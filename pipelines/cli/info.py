"""``cdg-info``: what a network costs, compared with the paper's tables."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cdgnet.config import PRESETS, VARIANTS
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import WEIGHTS_FILE, FrameSize
from pipelines.cli.progress import announce_if_slow
from pipelines.cli.tables import print_table, print_wrapped
from pipelines.paper import TABLE_3
from prep.units import counted, file_size

if TYPE_CHECKING:
    from cdgnet import ModelConfig
    from pipelines.restore.networks import Network

# Wang et al. 2021, Table 4: MB of the large branch with parts of its attention.
_TABLE_4_MB = {"none": 6.73, "channel": 6.74, "spatial": 7.66, "both": 7.67}
_OPTION_NAMES = {"timed": "time", "wants_card": "card"}
_PAPER_MB, _PAPER_GMAC = 25.57, 292.57  # Table 1
_REPEATS = 3  # timed passes
_HEADS = ("", "parameters", "MB", "GMac", "GMac by\nptflops")


@click.command("cdg-info", context_settings=SETTINGS, epilog=example("cdg-info --variant dmphn-1 --size 640x360"))
@click.version_option(package_name="cdgnet")
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default="paper",
    show_default=True,
    help="Widths of the network; paper: 32, 64 and 128 channels.",
)  # fmt: skip)
@click.option(
    "--variant",
    type=click.Choice(VARIANTS),
    default="cdgnet",
    show_default=True,
    help="Structure of the network: a row of the paper's Table 3, or DMPHN as published.",
)
@click.option("--weights", type=WEIGHTS_FILE, metavar="FILE", help="Describe the network in this file "
              "instead: of cdg-train or another project (.pth), or pretrained, the weights that come with "
              "cdgnet.")  # fmt: skip
@click.option(
    "--size",
    type=FrameSize(),
    default="1280x720",
    show_default=True,
    metavar="WxH",
    help="Size of the frame in pixels, width x height, from 16 to 65536 each.",
)  # fmt: skip)
@click.option(
    "--time", "timed", is_flag=True, help="Also measure seconds per frame and peak memory on this machine."
)  # fmt: skip)
@click.option("--card", "wants_card", is_flag=True, help="Show how weights were made and what they score: those of "
              "--weights, else those that come with cdgnet.")  # fmt: skip
@click.option("--tables", is_flag=True, help="Show the paper's Tables 3 and 4, recomputed, beside the paper's figures.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    preset: str,
    variant: str,
    weights: Path | None,
    size: tuple[int, int],
    timed: bool,
    wants_card: bool,
    tables: bool,
    as_json: bool,
) -> None:
    """Show what a network costs: parameters, size of the weights, multiply-accumulates (GMac); with --time also seconds
    and memory. Without options: CDGNet as in the paper (--preset paper --variant cdgnet), without weights.

    \b
    GMac             10^9 multiply-accumulates of all convolutions, those of
                     deformable kernels and their sampling included
    GMac by ptflops  as the paper counts: without deformable kernels, but with
                     bias, ReLU and pooling

    --card shows instead how weights were made and what they score.
    """
    _refuse_conflicts(click.get_current_context())
    if wants_card:
        _print_card(weights, as_json=as_json)
        return
    if tables:
        with announce_if_slow("computing both tables"):
            _print_tables(preset, size, as_json=as_json)
        return
    from cdgnet import CDGNet, ModelConfig
    from pipelines.restore import networks
    from pipelines.timing import device_name, time_network

    network = networks.load(weights) if weights else CDGNet(ModelConfig.preset(preset, variant))
    report = _price(network, size)
    if timed:
        import torch
        from lightning_fabric import Fabric

        device = Fabric(accelerator="auto", devices=1).device
        timing = time_network(network.eval().to(device), *size, repeats=_REPEATS)
        report["timing"] = {"device": device_name(device), "threads": torch.get_num_threads(), **asdict(timing)}
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        summary = network.config.summary if isinstance(network, CDGNet) else network.name
        _print_report(report, summary if weights else f"preset {preset}: {summary}")


def _price(network: "Network", size: tuple[int, int]) -> dict[str, Any]:
    """The cost of a network: of ours by part, of other projects' as a whole."""
    from cdgnet import CDGNet
    from cdgnet.cost import network_cost
    from pipelines.evaluate.cost import figures, peer_figures

    report: dict[str, Any] = {"size": f"{size[1]}x{size[0]}"}
    if isinstance(network, CDGNet):
        config, costs = network.config, network_cost(network.config, *size)
        parts = {name: figures(cost) for name, cost in costs.items()}
        return {
            "variant": config.variant,
            "widths": config.widths,
            "shrinkage": config.shrinkage,
            **report,
            "parts": parts,
        }
    return {"variant": network.name, **report, "parts": {"total": peer_figures(network, *size)}}


def _refuse_conflicts(context: click.Context) -> None:
    """Refuse combinations in which one option would have no effect."""
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    conflicts = (
        ("weights", ("preset", "variant", "tables")),
        ("tables", ("variant", "timed")),
        ("wants_card", ("preset", "variant", "size", "timed", "tables")),
    )
    for one, others in conflicts:
        for other in others:
            if one in given and other in given:
                first, second = (_OPTION_NAMES.get(name, name) for name in (one, other))
                raise click.UsageError(f"--{first} and --{second} exclude each other; leave one out")


def _print_card(weights: Path | None, *, as_json: bool) -> None:
    """Print how weights were made; without a card, all metadata of the file."""
    from cdgnet import PRETRAINED, read_metadata
    from pipelines import card
    from pipelines.restore import weights_files

    if weights is not None and not weights_files.is_ours(weights):
        raise click.ClickException(
            f"{weights} is of another project, and only weights of cdgnet have a card; leave out --card"
        )
    metadata = read_metadata(weights or PRETRAINED)
    found = card.read(metadata)
    if as_json:
        click.echo(json.dumps(found or metadata, indent=2))
    elif found:
        click.echo(card.to_text(found))
    else:
        click.echo(f"{weights} has no card; its metadata:")
        for name, value in sorted(metadata.items()):
            click.echo(f"{name}:{_entries(value)}")


def _entries(text: str) -> str:
    """Format a value of the metadata: a JSON object with a line for each of its entries."""
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
        if isinstance(value, dict):
            return "".join(f"\n  {name}: {json.dumps(entry)}" for name, entry in value.items())
    return f" {text}"


def _print_report(report: Mapping[str, Any], network: str) -> None:
    click.echo(f"{network}; one frame of {report['size'].replace('x', ' x ')}")
    has_ptflops = all(part["ptflops_gmac"] is not None for part in report["parts"].values())
    heads = _HEADS if has_ptflops else _HEADS[:-1]
    rows = [[name, *_cells(part)][: len(heads)] for name, part in report["parts"].items()]
    print_table(heads, rows, has_total=True)
    if "timing" in report:
        timing = report["timing"]
        device = f"{timing['device']}, {counted(timing['threads'], 'thread')}"
        of = "the whole process" if timing["device"] in ("cpu", "mps") else "the tensors on the GPU"
        click.echo(
            f"{timing['seconds']:.3f} s per frame on {device} (median of {_REPEATS}, {timing['fastest']:.3f} to "
            f"{timing['slowest']:.3f} s)"
        )
        click.echo(f"peak memory of {of}: {file_size(1e6 * timing['peak_megabytes'])}")


def _print_tables(preset: str, size: tuple[int, int], *, as_json: bool) -> None:
    from cdgnet import ModelConfig
    from cdgnet.cost import network_cost
    from pipelines.evaluate.cost import figures

    def price(config: "ModelConfig") -> dict[str, float]:
        return figures(network_cost(config, *size)["total"])

    def said(**values: float) -> dict[str, float]:
        return values if preset == "paper" else {}  # the paper has no figures for other widths

    third = {
        name: {**price(ModelConfig.preset(preset, name)), **said(paper_psnr=psnr, paper_ssim=ssim)}
        for name, (psnr, ssim) in TABLE_3.items()
    }
    large = ModelConfig.preset(preset, "large-branch")
    fourth = {
        f"attention {name}": {**price(replace(large, attention=name)), **said(paper_megabytes=megabytes)}
        for name, megabytes in _TABLE_4_MB.items()
    }
    if as_json:
        click.echo(json.dumps({"preset": preset, "table_3": third, "table_4": fourth}, indent=2))
        return
    is_paper = preset == "paper"
    click.echo(f"Table 3: preset {preset}, one frame of {size[1]} x {size[0]}")
    scores = ["PSNR,\npaper", "SSIM,\npaper"] if is_paper else []
    print_table([*_HEADS, *scores], [
        [name, *_cells(row), *([f"{row['paper_psnr']:.2f}", f"{row['paper_ssim']:.3f}"] if is_paper else [])]
        for name, row in third.items()
    ])  # fmt: skip
    click.echo("\nTable 4: the attention of large-branch")
    sizes = ["MB,\npaper"] if is_paper else []
    print_table([*_HEADS, *sizes], [
        [name, *_cells(row), *([f"{row['paper_megabytes']:.2f}"] if is_paper else [])] for name, row in fourth.items()
    ])  # fmt: skip
    if is_paper:
        print_wrapped(
            f"Note: for cdgnet the paper's Table 1 states {_PAPER_MB} MB and {_PAPER_GMAC} GMac, which no network of "
            "this structure has at the same time."
        )


def _cells(row: Mapping[str, Any]) -> list[str]:
    ptflops = "-" if row["ptflops_gmac"] is None else f"{row['ptflops_gmac']:,.1f}"
    return [f"{row['parameters']:,}", f"{row['megabytes']:.3f}", f"{row['honest_gmac']:,.1f}", ptflops]


def main() -> None:
    """Entry point."""
    run(command)
