"""``cdg-eval``: weights and a pack in, scores out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from pipelines.cli.shell import PACK_FILE, SETTINGS, WEIGHTS_FILE, example, run, track

path_type = click.Path(path_type=Path)


@click.command(
    "cdg-eval",
    context_settings=SETTINGS,
    epilog=example("cdg-eval --weights runs/gopro/weights.safetensors --h5 gopro-test.h5"),
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", type=WEIGHTS_FILE, required=True, metavar="FILE", help="Written by cdg-train.")
@click.option("--h5", "pack", type=PACK_FILE, required=True, metavar="FILE", help="Pack; of whole frames to publish.")
@click.option("--out", type=path_type, metavar="DIR", help="For results.csv.  [default: WEIGHTS' FOLDER/eval/PACK]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
def command(weights: Path, pack: Path, out: Path | None, as_json: bool) -> None:
    """Score blurry and restored frames side by side: PSNR, SSIM under two conventions, PSNR of each component."""
    from lightning_fabric import Fabric

    from cdgnet import load_weights
    from pipelines import evaluation
    from prep import store

    network = load_weights(weights)
    total = store.describe(pack)["crops"]
    device = Fabric(accelerator="auto", devices=1).device
    rows = list(track(evaluation.evaluate(network, pack, device), total, "eval"))
    table = (out or weights.parent / "eval" / pack.stem) / "results.csv"
    replaced = table.exists()
    evaluation.write_csv(table, rows)
    means = evaluation.mean(rows)
    protocol = evaluation.protocol(pack)
    if as_json:
        answer = {"protocol": protocol, "device": str(device), "legend": evaluation.LEGEND, "mean": means, "rows": rows}
        click.echo(json.dumps(_finite(answer), indent=2))
        return
    _say_table(rows, means)
    for measure, convention in evaluation.LEGEND.items():
        click.echo(f"{measure}: {convention}")
    click.echo(f"protocol: {protocol}; on {device}")
    click.echo(f"{'replaced' if replaced else 'wrote'} {table}")


def _finite(value: object) -> object:
    """JSON knows no NaN and no infinity: a score that does not exist is null, an infinite one a word."""
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    if isinstance(value, float) and value != value:
        return None
    return "inf" if value == float("inf") else value


def _say_table(rows: "Sequence[Mapping[str, str | float]]", means: Mapping[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipelines.evaluation import MEASURES

    table = Table("image", *(f"{measure}\nblurry → restored" for measure in MEASURES))
    last: Mapping[str, str | float] = {"key": f"mean of {len(rows)}", **means}
    for row in (*rows, last):
        cells = [
            f"{_number(row[measure + '_blurry'], measure)} → {_number(row[measure], measure)}" for measure in MEASURES
        ]
        table.add_row(str(row["key"]), *cells, end_section=row is rows[-1])
    Console(width=None if Console().is_terminal else 140).print(table)


def _number(value: str | float, measure: str) -> str:
    if value != value:
        return "-"
    return f"{value:.2f}" if measure.startswith("psnr") else f"{value:.4f}"


def mistakes() -> tuple[type[Exception], ...]:
    from cdgnet.weights import WeightsError
    from prep.store import PackError

    return PackError, WeightsError


def main() -> None:
    """Entry point."""
    run(command, mistakes)
