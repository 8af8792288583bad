"""``cdg-eval``: weights and frames in, scores out; or somebody's results."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.dataset import LAYOUTS, method_type
from pipelines.cli.devices import device_options, make_restorer
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE, WEIGHTS_FILE, FiniteRange
from pipelines.cli.progress import track

if TYPE_CHECKING:
    from pipelines.evaluate.frame_sources import Masks, Scenes
    from pipelines.evaluate.lpips import Perceptual
    from pipelines.evaluate.scores import Difference, Row

path_type = click.Path(path_type=Path)
folder_type = click.Path(path_type=Path, exists=True, file_okay=False)
_MOST_ROWS = 40  # of images in a terminal; more are told by sequence


@click.command(
    "cdg-eval",
    context_settings=SETTINGS,
    epilog=example("cdg-eval --weights runs/gopro/weights.safetensors --h5 gopro-test.h5"),
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", type=WEIGHTS_FILE, metavar="FILE", help="Written by cdg-train.")
@click.option("--h5", "pack", type=PACK_FILE, metavar="FILE", help="Score the frames of a pack.")
@click.option("--root", type=path_type, metavar="DIR|ZIP", help="Score a data set where it lies, without a pack.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="Of --root, where several data sets lie there.")
@click.option("--variant", metavar="NAME", help="Of --root: kind of blur.  [default: the first]")
@click.option("--split", default="test", show_default=True, help="Of --root: test, train or all.")
@click.option("--restored", type=folder_type, metavar="DIR", help="Score pictures that something else restored.")
@click.option("--sharp", type=folder_type, metavar="DIR", help="The sharp frames of the same names.")
@click.option("--blurry", type=folder_type, metavar="DIR", help="The blurry ones: for scores of both components.")
@click.option("--masks", type=folder_type, metavar="DIR", help="Made by cdg-prep masks.  [default: computed]")
@click.option("--method", type=method_type, help="Of S, but for packs.  [default: the masks folder's, else lbp]")
@click.option("--mu", type=FiniteRange(0, 1), default=0.96, show_default=True, help="Threshold of S, but for packs.")
@click.option("--against", type=path_type, metavar="DIR", help="Earlier scores of the same frames, to compare with.")
@click.option("--lpips", "wants_lpips", is_flag=True, help="LPIPS too; its weights must be at hand (extra lpips).")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read frames.")
@click.option("--out", type=path_type, metavar="DIR", help="For the scores.  [default: eval/NAME beside the weights]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
@device_options
def command(
    weights: Path | None,
    pack: Path | None,
    root: Path | None,
    layout: str | None,
    variant: str | None,
    split: str,
    restored: Path | None,
    sharp: Path | None,
    blurry: Path | None,
    masks: Path | None,
    method: str | None,
    mu: float,
    against: Path | None,
    wants_lpips: bool,
    workers: int,
    out: Path | None,
    as_json: bool,
    precision: str,
    is_compiled: bool,
    tile: int | None,
    is_ensemble: bool,
) -> None:
    """Score blurry and restored frames side by side: PSNR, SSIM under two conventions, PSNR of each component.

    Frames come from a pack, from a data set, or from folders: --restored and --sharp score the results of any other
    program under the same conventions. Killed, the same command goes on.
    """
    _check_asked(weights, pack, root, restored, sharp)
    from pipelines.evaluate import frame_sources, scores
    from pipelines.evaluate import page as scores_page
    from pipelines.evaluate.cost import price
    from prep.masks.folder import MasksFolder

    maps = MasksFolder(masks) if masks else None
    chosen = frame_sources.Masks(method=method or (maps and maps.method) or "lbp", mu=mu, folder=maps)
    frames: Scenes
    if restored is not None and sharp is not None:
        name, frames = restored.resolve().name, frame_sources.results(restored, sharp, blurry, chosen)
        places = [place for place in (restored, sharp, blurry) if place is not None]
    elif pack is not None:
        name, frames, places = pack.stem, frame_sources.PackScenes(pack), []
    else:
        assert root is not None
        name, frames, places = _data_set(root, layout, variant, split, chosen)
    asked = {**frames.about, "precision": precision, "weights": scores.checksum(weights) if weights else None}
    if is_ensemble:
        asked["ensemble"] = 8
        frames.protocol += "; mean over the eight orientations of each frame (self-ensemble)"
    perceptual = _perceptual() if wants_lpips else None
    if perceptual is not None:
        asked["lpips"] = perceptual.weights
        frames.protocol += f"; lpips by AlexNet, weights {perceptual.weights}"
    folder = out or (weights.parent if weights else Path()) / "eval" / f"{name}-{scores.mark(asked)}"
    if inside := next((place for place in places if folder.resolve().is_relative_to(place.resolve())), None):
        raise click.ClickException(f"{folder} lies inside {inside}, which holds frames; pass --out elsewhere")
    earlier = scores.read(against) if against else None
    restorer = make_restorer(weights, precision, is_compiled, tile, is_ensemble) if weights else None
    done = scores.begin(folder, asked)
    if done:
        click.echo(f"{len(done)} of {len(frames)} frames are scored in {folder}", err=True)
    made = scores.evaluate(frames, folder, done, restorer, workers, perceptual)
    found = dict(done) | {str(row["key"]): row for row in track(made, len(frames) - len(done), "eval")}
    rows = [found[key] for key in frames.keys]
    difference = scores.against(rows, earlier) if earlier is not None else None
    cost = None
    if restorer is not None:
        seconds = [float(row["seconds"]) for row in rows if "seconds" in row]
        cost = price(restorer, seconds, frames.size())
    summary = scores.summary(rows, frames, restorer, weights, difference, cost)
    scores.write(folder, rows, summary)
    drawn, count = scores_page.examples(frames, rows, restorer)
    page = scores_page.write(folder, rows, summary, list(track(drawn, count, "pictures")))
    if as_json:
        click.echo(json.dumps(scores.finite({**summary, "rows": rows}), indent=2))
        return
    _say(rows, summary, difference)
    click.echo(f"wrote {folder / 'results.csv'}, results.json and {page.name}")


def _perceptual() -> "Perceptual":
    import torch

    from pipelines.evaluate.lpips import Perceptual

    return Perceptual(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _check_asked(*asked: Path | None) -> None:
    weights, pack, root, restored, sharp = asked
    places = [name for name, place in (("--h5", pack), ("--root", root), ("--restored", restored)) if place]
    if len(places) != 1:
        found = " and ".join(places) or "none"
        raise click.UsageError(f"wanted one of --h5, --root and --restored, found {found}")
    if restored is not None and (weights is not None or sharp is None):
        raise click.UsageError("--restored wants --sharp, and no --weights: those pictures are restored already")
    if restored is None and weights is None:
        raise click.UsageError(f"{places[0]} wants --weights")


def _data_set(
    root: Path, layout: str | None, variant: str | None, split: str, masks: "Masks"
) -> "tuple[str, Scenes, list[Path]]":
    from pipelines.evaluate.frame_sources import PictureScenes
    from prep.datasets import layouts

    dataset = layouts.find(root, layout, variant)
    kind = " ".join(filter(None, (dataset.layout, dataset.variant, split)))
    return f"{dataset.name}-{split}", PictureScenes(kind, dataset.select(split), masks), list(dataset.folders)


def _say(rows: "Sequence[Row]", summary: Mapping[str, Any], difference: "Difference | None") -> None:
    from pipelines.evaluate.scores import LEGEND, MEASURES

    clips = summary["sequences"]
    if len(rows) > _MOST_ROWS and clips:
        _say_table("sequence", [{"key": name, **means} for name, means in clips.items()], summary)
    else:
        _say_table("image", rows if len(rows) <= _MOST_ROWS else [], summary)
    for measure in (measure for measure in MEASURES if measure in summary["mean"]):
        where = summary["interval"][measure]
        bounds = f"{_number(where['low'], measure)} to {_number(where['high'], measure)}"
        click.echo(f"{measure}: {LEGEND[measure]}; restored {bounds} (95 %, bootstrap over {where['of']})")
    if summary["author_frames"]:
        means = summary["author_frames"]
        scores = f"psnr {means['psnr']:.2f}, ssim {means['ssim']:.4f}, ssim_matlab3d {means['ssim_matlab3d']:.4f}"
        click.echo(f"the author's {means['frames']} frames alone: {scores}")
    if difference is not None:
        for measure, gain in difference.means.items():
            where = difference.intervals[measure]
            click.echo(
                f"{measure} against the earlier scores: {_signed(gain, measure)} ({_signed(where.low, measure)} to "
                f"{_signed(where.high, measure)}), higher in {difference.higher[measure]} of {difference.frames} frames"
            )
    for range_ in summary["by_extent"].get("ranges", []):
        scores = " → ".join(_number(range_[name], "psnr") for name in ("psnr_blurry", "psnr") if name in range_)
        end = f"to {range_['to']:g}" if range_["to"] < float("inf") else "and more"
        click.echo(f"psnr of pixels blurred over {range_['from']:g} {end} pixels: {scores} dB, all frames together")
    if summary["cost"]:
        _say_cost(summary["cost"])
    click.echo(f"protocol: {summary['protocol']}; on {summary['device']}, precision {summary['precision']}")


def _say_cost(cost: Mapping[str, Any]) -> None:
    time = f"{1000 * cost['seconds']:,.0f} ms a frame of {cost['size']} (median of {cost['timed_frames']}), "
    work = f"{cost['ptflops_gmac']:.2f} GMac (ptflops), {cost['honest_gmac']:.2f} GMac (honest)"
    click.echo(
        f"cost: {cost['parameters']:,} parameters, {cost['megabytes']:.2f} MB; at 1280 x 720 {work}; "
        f"{time if cost['seconds'] else ''}at most {cost['peak_megabytes']:,} MB on {cost['device']}"
    )


def _say_table(what: str, rows: "Sequence[Mapping[str, Any]]", summary: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipelines.evaluate.scores import MEASURES

    means = summary["mean"]
    measures = [measure for measure in MEASURES if measure in means]
    is_pair = f"{measures[0]}_blurry" in means
    table = Table(what, *(f"{measure}\nblurry → restored" if is_pair else measure for measure in measures))
    last = {"key": f"mean of {summary['frames']} images", **means}
    for row in (*rows, last):
        cells = [
            " → ".join(_number(row[name], measure) for name in (f"{measure}_blurry", measure) if name in means)
            for measure in measures
        ]
        table.add_row(str(row["key"]), *cells, end_section=bool(rows) and row is rows[-1])
    Console(width=None if Console().is_terminal else 140).print(table)


def _number(value: float, measure: str) -> str:
    if value != value:
        return "-"
    return f"{value:.2f}" if measure.startswith("psnr") else f"{value:.4f}"


def _signed(value: float, measure: str) -> str:
    return ("+" if value >= 0 else "") + _number(value, measure)


def main() -> None:
    """Entry point."""
    run(command)
