"""``cdg-info``: what a network costs, and the paper's tables beside it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import WEIGHTS_FILE, FrameSize
from pipelines.cli.progress import announce_if_slow
from pipelines.paper import TABLE_3
from pipelines.train.settings import PRESETS, VARIANTS

if TYPE_CHECKING:
    from cdgnet import ModelConfig
    from pipelines.restore.networks import Network

# Wang et al. 2021, Table 4: MB of the large branch with parts of its attention.
_TABLE_4_MB = {"none": 6.73, "channel": 6.74, "spatial": 7.66, "both": 7.67}
_OPTION_NAMES = {"timed": "time", "wants_card": "card"}
_PAPER_MB, _PAPER_GMAC = 25.57, 292.57  # Table 1


@click.command("cdg-info", context_settings=SETTINGS, epilog=example("cdg-info --variant dmphn-1 --size 640x360"))
@click.version_option(package_name="cdgnet")
@click.option("--preset", type=click.Choice(PRESETS), default="paper", show_default=True, help="Widths of the network.")
@click.option(
    "--variant", type=click.Choice(VARIANTS), default="cdgnet", show_default=True, help="Row of Table 3, or DMPHN."
)
@click.option("--weights", type=WEIGHTS_FILE, metavar="FILE", help="The network of a file instead; "
              "a published deblurrer (.pth) too.")  # fmt: skip
@click.option("--size", type=FrameSize(), default="1280x720", show_default=True, metavar="WxH", help="Of the frame.")
@click.option("--time", "timed", is_flag=True, help="Also time it on this machine, and take its memory.")
@click.option("--card", "wants_card", is_flag=True, help="How weights were made, and their scores: those of --weights, "
              "else those that come with cdgnet.")  # fmt: skip
@click.option("--tables", is_flag=True, help="Tables 3 and 4 whole, beside the paper's figures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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
    """Say what a network costs: parameters, bytes, multiply-accumulates, and on request seconds and memory; or how
    weights were made.

    Multiply-accumulates as the paper counts them (ptflops: convolutions, bias, ReLU; deformable kernels unseen) and
    honestly (deformable kernels and their sampling included).
    """
    _refuse_conflicts(click.get_current_context())
    if wants_card:
        _say_card(weights, as_json=as_json)
        return
    if tables:
        with announce_if_slow("counting every row of both tables"):
            _say_tables(preset, size, as_json=as_json)
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
        timing = time_network(network.eval().to(device), *size, repeats=3)
        report["timing"] = {"device": device_name(device), "threads": torch.get_num_threads(), **asdict(timing)}
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _say(report)


def _price(network: "Network", size: tuple[int, int]) -> dict[str, Any]:
    """What a network costs: ours part by part, one of another project as a whole."""
    from cdgnet import CDGNet
    from cdgnet.cost import network_cost
    from pipelines.evaluate.cost import figures, peer_figures

    report: dict[str, Any] = {"size": f"{size[1]}x{size[0]}"}
    if isinstance(network, CDGNet):
        config, costs = network.config, network_cost(network.config, *size)
        parts = {name: figures(cost) for name, cost in costs.items()}
        return {"variant": config.variant, "widths": config.widths, **report, "parts": parts}
    return {"variant": network.name, **report, "parts": {"total": peer_figures(network, *size)}}


def _refuse_conflicts(context: click.Context) -> None:
    """Say which of two options would have been passed over."""
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
                raise click.UsageError(f"--{first} and --{second} do not go together; leave one out")


def _say_card(weights: Path | None, *, as_json: bool) -> None:
    """What a weights file says about how it was made; without a card, all that it says."""
    from cdgnet import PRETRAINED, read_metadata
    from pipelines import card
    from pipelines.restore import networks

    if weights is not None and not networks.is_ours(weights):
        raise click.ClickException(f"{weights} is not of cdgnet: only weights of cdgnet have a card; leave --card out")
    metadata = read_metadata(weights or PRETRAINED)
    found = card.read(metadata)
    if as_json:
        click.echo(json.dumps(found or metadata, indent=2))
    elif found:
        click.echo(card.to_text(found))
    else:
        click.echo(f"{weights} has no card; it says of itself:")
        for name, value in sorted(metadata.items()):
            click.echo(f"{name}: {value}")


def _say(report: Mapping[str, Any]) -> None:
    widths = f", widths {', '.join(map(str, report['widths']))}" if "widths" in report else ""
    click.echo(f"{report['variant']}{widths}, at {report['size']}")
    click.echo(f"{'':18}{'parameters':>12}{'MB':>9}{'GMac, ptflops':>15}{'GMac, honest':>14}")
    for name, part in report["parts"].items():
        click.echo(f"{name:18}{_line(part)}")
    if "timing" in report:
        timing = report["timing"]
        click.echo(
            f"one frame in {timing['seconds']:.3f} s ({timing['fastest']:.3f} to {timing['slowest']:.3f}) on "
            f"{timing['device']}, {timing['threads']} threads; at most {timing['peak_megabytes']:,.0f} MB"
        )


def _say_tables(preset: str, size: tuple[int, int], *, as_json: bool) -> None:
    from cdgnet import ModelConfig
    from cdgnet.cost import network_cost
    from pipelines.evaluate.cost import figures

    def price(config: "ModelConfig") -> dict[str, float]:
        return figures(network_cost(config, *size)["total"])

    def said(**values: float) -> dict[str, float]:
        return values if preset == "paper" else {}  # of other widths the paper says nothing

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
    heads = f"{'parameters':>12}{'MB':>9}{'GMac, ptflops':>15}{'GMac, honest':>14}"
    is_paper = preset == "paper"
    place = f"at {size[1]}x{size[0]}, {preset} widths"
    click.echo(f"Table 3 {place}" + ("; PSNR and SSIM as the authors state them" if is_paper else ""))
    click.echo(f"{'':20}{heads}" + (f"{'PSNR':>8}{'SSIM':>8}" if is_paper else ""))
    for name, row in third.items():
        scores = f"{row['paper_psnr']:8.2f}{row['paper_ssim']:8.3f}" if is_paper else ""
        click.echo(f"{name:20}{_line(row)}{scores}")
    table_1 = f" Of cdgnet, Table 1 states {_PAPER_MB} MB and {_PAPER_GMAC} GMac: one or the other" if is_paper else ""
    click.echo(f"Table 4, large-branch.{table_1}")
    click.echo(f"{'':20}{heads}" + (f"{'paper MB':>10}" if is_paper else ""))
    for name, row in fourth.items():
        click.echo(f"{name:20}{_line(row)}" + (f"{row['paper_megabytes']:10.2f}" if is_paper else ""))


def _line(row: Mapping[str, Any]) -> str:
    ptflops = "" if row["ptflops_gmac"] is None else f"{row['ptflops_gmac']:.1f}"
    return f"{row['parameters']:12,}{row['megabytes']:9.3f}{ptflops:>15}{row['honest_gmac']:14.1f}"


def main() -> None:
    """Entry point."""
    run(command)
