"""``cdg-eval``: weights and frames in, scores out; or the results of another program."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.dataset import LAYOUTS, method_type
from pipelines.cli.devices import device_options, make_restorer
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE, WEIGHTS_FILE, FiniteRange, weights_or_pretrained
from pipelines.cli.progress import print_table, track

if TYPE_CHECKING:
    from pipelines.evaluate.conditions import Conditions
    from pipelines.evaluate.examples import Shortlist
    from pipelines.evaluate.frame_sources import FrameSource
    from pipelines.evaluate.lpips import LPIPS
    from pipelines.evaluate.mask_source import MaskSource
    from pipelines.evaluate.measures import FrameScores
    from pipelines.restore.restorer import Restorer

path_type = click.Path(path_type=Path)
folder_type = click.Path(path_type=Path, exists=True, file_okay=False)
_MOST_ROWS = 40  # of images in a terminal; of more the means by sequence are shown


@click.command(
    "cdg-eval",
    context_settings=SETTINGS,
    epilog=example("cdg-eval --weights runs/gopro/weights.safetensors --h5 gopro-test.h5"),
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", type=WEIGHTS_FILE, metavar="FILE", help="Of cdg-train, or of a published deblurrer "
              "(.pth).  [default: those that come with cdgnet]")  # fmt: skip
@click.option("--no-weights", is_flag=True, help="Score the blurry frames themselves: what a network has to beat.")
@click.option("--h5", "pack", type=PACK_FILE, metavar="FILE", help="Score the frames of a pack.")
@click.option("--root", type=path_type, metavar="DIR|ZIP", help="Score a data set where it lies, without a pack.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="Of --root, if several data sets lie there.")
@click.option("--variant", metavar="NAME", help="Of --root: kind of blur.  [default: the first]")
@click.option("--split", default="test", show_default=True, help="Of --root: test, train or all.")
@click.option("--restored", type=folder_type, metavar="DIR", help="Score pictures that another program restored.")
@click.option("--sharp", type=folder_type, metavar="DIR", help="The sharp frames of the same names.")
@click.option("--blurry", type=folder_type, metavar="DIR", help="The blurry ones: to restore and score, or beside "
              "--restored for scores of both components.")  # fmt: skip
@click.option("--masks", type=folder_type, metavar="DIR", help="Made by cdg-prep masks.  [default: computed]")
@click.option("--method", type=method_type, help="Sharpness map that divides the frames.  [default: that of --masks, "
              "or what is known of the blur's length: extent, else paired]")  # fmt: skip
@click.option("--mu", type=FiniteRange(0, 1), help="Threshold of S.  [default: the pack's; 0.85, blur up to 6 pixels, "
              "for extent and paired; else 0.96]")  # fmt: skip
@click.option("--against", type=path_type, metavar="DIR", help="Earlier scores of the same frames, to compare with.")
@click.option("--lpips", "wants_lpips", is_flag=True, help="LPIPS too; needs the extra lpips and AlexNet's weights.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read frames.")
@click.option(
    "--out", type=path_type, metavar="DIR", help="For the scores.  [default: eval/NAME, beside the weights if passed]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
@device_options
def command(
    weights: Path | None,
    no_weights: bool,
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
    mu: float | None,
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

    Frames come from a pack, a data set, or folders: --restored and --sharp score the results of any other program.
    Scores come by the length of the blur too, measured between each blurry frame and its sharp partner. The same
    command resumes an interrupted one.
    """
    _check_options(weights, pack, root, restored, sharp, blurry)
    if no_weights and (weights or restored):
        raise click.UsageError(f"--no-weights and --{'weights' if weights else 'restored'} do not go together")
    from pipelines.evaluate import folder as scores_folder
    from pipelines.evaluate import statistics
    from pipelines.evaluate.conditions import Conditions
    from pipelines.evaluate.frame_sources import BlurryFrames, dataset_frames
    from pipelines.evaluate.summary import summarise

    mask_source = _mask_source(masks, method, mu)
    if root is not None:
        frames: FrameSource = dataset_frames(root, layout, variant, split, mask_source)
    else:
        frames = _frames(pack, restored, sharp, blurry, mask_source)
    if no_weights:
        frames = BlurryFrames(frames)
    elif restored is None:
        weights = weights_or_pretrained(weights)
    lpips = _load_lpips() if wants_lpips else None
    conditions = Conditions(weights=weights, precision=precision, is_ensemble=is_ensemble, lpips=lpips, tile=tile)
    folder = conditions.scores_folder(out, frames)
    earlier = scores_folder.read(against) if against else None
    restorer = make_restorer(weights, precision, is_compiled, tile, is_ensemble, is_whole=True) if weights else None
    with scores_folder.held(folder):
        rows, shortlist = _score_all(frames, folder, conditions, restorer, workers)
        difference = statistics.compare(rows, earlier) if earlier is not None else None
        summary = summarise(rows, frames, conditions, restorer, difference)
        scores_folder.write(folder, rows, summary)
        report = _write_page(folder, frames, rows, summary, restorer, shortlist)
    if as_json:
        click.echo(json.dumps(scores_folder.to_json({**summary, "rows": rows}), indent=2))
        return
    _print_summary(rows, summary)
    click.echo(f"wrote {folder / 'results.csv'}, results.json and {report.name}")


def _check_options(*options: Path | None) -> None:
    weights, pack, root, restored, sharp, blurry = options
    sources = [name for name, path in (("--h5", pack), ("--root", root), ("--restored", restored)) if path]
    if not sources and sharp is not None and blurry is not None:
        return
    if len(sources) != 1:
        alone = "--blurry without --sharp" if blurry is not None else "--sharp without --blurry" if sharp else "none"
        found = " and ".join(sources) or alone
        raise click.UsageError(f"wanted one of --h5, --root, --restored, and --blurry with --sharp; found {found}")
    if restored is not None and (weights is not None or sharp is None):
        raise click.UsageError("--restored needs --sharp, and no --weights: those pictures are restored already")


def _frames(
    pack: Path | None, restored: Path | None, sharp: Path | None, blurry: Path | None, masks: "MaskSource"
) -> "FrameSource":
    """The frames of a pack, of another program's results, or of two folders."""
    from pipelines.evaluate import frame_sources

    if pack is not None:
        return frame_sources.PackFrames(pack, masks)
    assert sharp is not None
    if restored is not None:
        return frame_sources.result_frames(restored, sharp, blurry, masks)
    assert blurry is not None
    return frame_sources.pair_frames(blurry, sharp, masks)


def _mask_source(folder: Path | None, method: str | None, mu: float | None) -> "MaskSource":
    from pipelines.evaluate.mask_source import MaskSource
    from prep.masks.folder import MasksFolder

    return MaskSource(method=method or "", mu=mu, folder=MasksFolder(folder) if folder else None)


def _load_lpips() -> "LPIPS":
    import torch

    from pipelines.evaluate.lpips import LPIPS

    return LPIPS(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _score_all(
    frames: "FrameSource", folder: Path, conditions: "Conditions", restorer: "Restorer | None", workers: int
) -> "tuple[list[FrameScores], Shortlist]":
    """Score the frames that the folder does not hold yet.

    Returns:
        The rows of all frames, in their order; and those of this run that may be shown.
    """
    from pipelines.evaluate import folder as scores_folder
    from pipelines.evaluate import page
    from pipelines.evaluate.examples import Shortlist
    from pipelines.evaluate.scores import score_frames
    from pipelines.pages import page_file
    from pipelines.timing import device_name

    page_file.refuse_foreign(folder / page.NAME)
    row_of = scores_folder.begin(folder, conditions.identity(frames), frames.sources_of_all())
    if row_of:
        click.echo(f"{len(row_of)} of {len(frames)} frames are scored in {folder}", err=True)
    if missing := len(frames) - len(row_of):
        device = device_name(restorer.device) if restorer else "cpu"
        click.echo(f"{missing} {'frame' if missing == 1 else 'frames'} to score, on {device}", err=True)
    shortlist = Shortlist(row_of.values())
    scoring = score_frames(frames, folder, dict(row_of), restorer, workers, conditions.lpips, shortlist)
    row_of |= {str(row["key"]): row for row in track(scoring, missing, "eval")}
    return [row_of[key] for key in frames.keys], shortlist


def _write_page(
    folder: Path,
    frames: "FrameSource",
    rows: "Sequence[FrameScores]",
    summary: Mapping[str, Any],
    restorer: "Restorer | None",
    shortlist: "Shortlist",
) -> Path:
    """Draw the frames that the page shows, and write it; gives its path."""
    from pipelines.evaluate import examples, page

    drawing, count = examples.draw_examples(frames, rows, restorer, shortlist, examples.read(folder, rows))
    drawn = list(track(drawing, count, "pictures"))
    examples.write(folder, rows, drawn)
    return page.write(folder, rows, summary, drawn)


def _print_summary(rows: "Sequence[FrameScores]", summary: Mapping[str, Any]) -> None:
    if summary["by_extent"].get("ranges"):
        _print_by_extent(summary["by_extent"])
    sequences = summary["sequences"]
    if len(rows) > _MOST_ROWS and sequences:
        _print_table("sequence", [{"key": name, **means} for name, means in sequences.items()], summary)
    else:
        _print_table("image", rows if len(rows) <= _MOST_ROWS else [], summary)
    for measure, text in summary["legend"].items():
        interval = summary["interval"][measure]
        if interval["low"] != interval["low"]:  # NaN
            click.echo(f"{measure}: {text}; no frame has it")
            continue
        bounds = f"{_number(interval['low'], measure)} to {_number(interval['high'], measure)}"
        click.echo(f"{measure}: {text}; {summary['scored']} {bounds} (95 %, bootstrap over {interval['of']})")
    if summary["author_frames"]:
        means = summary["author_frames"]
        scores = f"psnr {means['psnr']:.2f}, ssim {means['ssim']:.4f}, ssim_matlab3d {means['ssim_matlab3d']:.4f}"
        click.echo(f"the author's {means['frames']} frames alone: {scores}")
    if summary["against"]:
        _print_difference(summary["against"])
    if summary["division"]:
        _print_division(summary["division"])
    if summary["cost"]:
        _print_cost(summary["cost"])
    click.echo(f"protocol: {summary['protocol']}; on {summary['device']}, precision {summary['precision']}")


def _print_by_extent(by_extent: Mapping[str, Any]) -> None:
    """PSNR by the length of the blur."""
    from rich.table import Table

    ranges = by_extent["ranges"]
    is_pair = "psnr_blurry" in ranges[0]
    names = ("blurry → restored", "gain") if is_pair else ("PSNR, dB",)
    table = Table("blur, pixels", "share of pixels", *names)
    total = sum(each["pixels"] for each in ranges)
    for each in ranges:
        end = f"to {each['to']:g}" if each["to"] < float("inf") else "and more"
        cells = [_number(each["psnr"], "psnr")]
        if is_pair:
            gain = _signed(each["psnr"] - each["psnr_blurry"], "psnr")
            cells = [f"{_number(each['psnr_blurry'], 'psnr')} → {cells[0]}", gain]
        table.add_row(f"{each['from']:g} {end}", f"{each['pixels'] / total:.1%}", *cells)
    click.echo(f"PSNR by the length of the blur, errors of all frames pooled; lengths by {by_extent['known_from']}:")
    print_table(table)


def _print_division(means: Mapping[str, float]) -> None:
    """Whether the network has learnt to divide small from large blur."""
    names = {"auc_small": "attention of the small branch", "auc_large": "of the large branch", "auc_gate": "gate"}
    if aucs := [f"{text} {means[name]:.3f}" for name, text in names.items() if name in means]:
        middle = f"nearness to the frame's middle alone {means['auc_middle']:.3f}"
        click.echo(f"AUC, small against large blur, 0.5 is chance: {', '.join(aucs)}; {middle}")
    if "lead_small" in means:
        texts = [
            f"{name} branch {_number(means[f'psnr_{name}_branch'], 'psnr')} dB where M = {value}, "
            f"{_signed(means[f'lead_{name}'], 'psnr')} dB beside the other branch"
            for name, value in (("small", 1), ("large", 0))
        ]
        click.echo(f"each branch alone on its own component: {'; '.join(texts)}")


def _print_difference(difference: Mapping[str, Any]) -> None:
    for measure, gain in difference["means"].items():
        interval = difference["intervals"][measure]
        click.echo(
            f"{measure} against the earlier scores: {_signed(gain, measure)} ({_signed(interval['low'], measure)} to "
            f"{_signed(interval['high'], measure)}), "
            f"higher in {difference['higher'][measure]} of {difference['frames']} frames"
        )


def _print_cost(cost: Mapping[str, Any]) -> None:
    time = f"{1000 * cost['seconds']:,.0f} ms a frame of {cost['size']} (median of {cost['timed_frames']}), "
    ptflops = f"{cost['ptflops_gmac']:.2f} GMac (ptflops), " if cost["ptflops_gmac"] is not None else ""
    work = f"{ptflops}{cost['honest_gmac']:.2f} GMac (honest)"
    memory = f"at most {cost['peak_megabytes']:,} MB " if cost["peak_megabytes"] is not None else ""
    click.echo(
        f"cost: {cost['parameters']:,} parameters, {cost['megabytes']:.2f} MB; at 1280 x 720 {work}; "
        f"{time if cost['seconds'] else ''}{memory}on {cost['device']}"
    )


def _print_table(first_column: str, rows: "Sequence[Mapping[str, Any]]", summary: Mapping[str, Any]) -> None:
    from rich.table import Table

    means, measures = summary["mean"], list(summary["legend"])
    is_pair = f"{measures[0]}_blurry" in means
    table = Table(first_column, *(f"{measure}\nblurry → restored" if is_pair else measure for measure in measures))
    last = {"key": f"mean of {summary['frames']} images", **means}
    for row in (*rows, last):
        cells = [
            " → ".join(_number(row[name], measure) for name in (f"{measure}_blurry", measure) if name in means)
            for measure in measures
        ]
        table.add_row(str(row["key"]), *cells, end_section=bool(rows) and row is rows[-1])
    print_table(table)


def _number(value: float, measure: str) -> str:
    if value != value:
        return "-"
    return f"{value:.2f}" if measure.startswith("psnr") else f"{value:.4f}"


def _signed(value: float, measure: str) -> str:
    return ("+" if value >= 0 else "") + _number(value, measure)


def main() -> None:
    """Entry point."""
    run(command)
