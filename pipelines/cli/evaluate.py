"""``cdg-eval``: weights and frames in, scores out; or the results of another program."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import pairs as wrong_pairs
from pipelines.cli.dataset import LAYOUTS, PAIRING_RULE, listed, method_type
from pipelines.cli.devices import device_options, make_restorer
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE, WEIGHTS_FILE, FiniteRange, weights_or_pretrained
from pipelines.cli.progress import track
from pipelines.cli.score_report import print_comparison, print_summary
from prep.datasets.layouts import counted

if TYPE_CHECKING:
    from pipelines.evaluate.candidates import Candidate
    from pipelines.evaluate.comparison import Entry
    from pipelines.evaluate.conditions import Conditions
    from pipelines.evaluate.frame_sources import FrameSource
    from pipelines.evaluate.gallery import Gallery
    from pipelines.evaluate.lpips import LPIPS
    from pipelines.evaluate.mask_source import MaskSource
    from pipelines.evaluate.no_reference import NoReference
    from pipelines.evaluate.pairs import Comparisons

path_type = click.Path(path_type=Path)
folder_type = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command(
    "cdg-eval",
    context_settings=SETTINGS,
    epilog=example("cdg-eval --weights runs/gopro/weights.safetensors --h5 gopro-test.h5"),
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", type=WEIGHTS_FILE, metavar="FILE [FILE]...", help="Of cdg-train, or of published "
              "deblurrers (.pth); several are compared.  [default: those that come with cdgnet]")  # fmt: skip
@click.argument("others", type=WEIGHTS_FILE, nargs=-1, metavar="")
@click.option("--no-weights", is_flag=True, help="Score the blurry frames themselves: what a network has to beat.")
@click.option("--h5", "pack", type=PACK_FILE, metavar="FILE", help="Score the frames of a pack.")
@click.option("--root", type=path_type, metavar="DIR|ZIP", help="Score a data set where it lies, without a pack.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="Of --root, if several data sets lie there.")
@click.option("--variant", metavar="NAME", help="Of --root: kind of blur.  [default: the first]")
@click.option("--split", default="test", show_default=True, help="Of --root: test, valid, train or all.")
@click.option("--restored", type=path_type, metavar="DIR|PATTERN", help="Score pictures that another program restored: "
              "a folder, or a pattern in quotes, as 'DIR/**/*_restored.png'.")  # fmt: skip
@click.option("--sharp", type=path_type, metavar="DIR|PATTERN", help=f"The sharp frames. {PAIRING_RULE}")
@click.option("--blurry", type=path_type, metavar="DIR|PATTERN", help="The blurry ones: to restore and score, or "
              "beside --restored for scores of both components.")  # fmt: skip
@click.option("--masks", type=folder_type, metavar="DIR", help="Made by cdg-prep masks.  [default: computed]")
@click.option("--method", type=method_type, help="Sharpness map that divides the frames.  [default: that of --masks, "
              "or what is known of the blur's length: extent, else paired]")  # fmt: skip
@click.option("--mu", type=FiniteRange(0, 1), help="Threshold of S.  [default: the pack's; 0.85, blur up to 6 pixels, "
              "for extent and paired; else 0.96]")  # fmt: skip
@click.option("--against", type=path_type, multiple=True, metavar="DIR", help="Earlier scores of the same frames, to "
              "compare with; may be repeated.")  # fmt: skip
@click.option("--lpips", "wants_lpips", is_flag=True, help="LPIPS too; needs the extra lpips and AlexNet's weights.")
@click.option("--measure", "measures", multiple=True, metavar="NAME", help="Score by a measure that needs no sharp "
              "frames too: niqe, or one of pyiqa's whose weights are at hand, as musiq (extra iqa; pyiqa's licence "
              "forbids commercial use); may be repeated.  [default: niqe, where no sharp frames are]")  # fmt: skip
@click.option("--align", is_flag=True, help="Align each picture to its sharp frame first, as RealBlur's authors do: "
              "psnr and ssim alone, seconds a frame.")  # fmt: skip
@click.option("--strict", is_flag=True, help="End with status 1 where pairs are no pairs; else that is only said.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read frames.")
@click.option(
    "--out", type=path_type, metavar="DIR", help="For the scores.  [default: eval/NAME, beside the weights if passed]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
@device_options
def command(
    weights: Path | None,
    others: tuple[Path, ...],
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
    against: tuple[Path, ...],
    wants_lpips: bool,
    measures: tuple[str, ...],
    align: bool,
    strict: bool,
    workers: int,
    out: Path | None,
    as_json: bool,
    precision: str,
    is_compiled: bool,
    tile: int | None,
    is_ensemble: bool,
) -> int:
    """Score blurry and restored frames side by side: PSNR, SSIM under two conventions, PSNR of each component.

    Frames come from a pack, a data set, or folders: --restored and --sharp score the results of any other program.
    Without --sharp, --blurry and --restored are scored by NIQE, which needs no sharp frames, or by another --measure.
    Scores come by the length of the blur too, measured between each blurry frame and its sharp partner. The same
    command resumes an interrupted one.
    """
    _check_options(weights, pack, root, restored, sharp, blurry)
    if no_weights and (weights or restored):
        raise click.UsageError(f"--no-weights and --{'weights' if weights else 'restored'} do not go together")
    if others and weights is None:
        raise click.UsageError(f"found {others[0]}; pass weights after --weights")
    from pipelines.evaluate import comparison
    from pipelines.evaluate import folder as scores_folder
    from pipelines.evaluate.alignment import check_against
    from pipelines.evaluate.conditions import Conditions
    from pipelines.evaluate.frame_sources import BlurryFrames, dataset_frames

    mask_source = _mask_source(masks, method, mu)
    of_truth = {"lpips": wants_lpips, "masks": masks, "method": method, "mu": mu}
    if root is not None:
        frames: FrameSource = dataset_frames(root, layout, variant, split, mask_source)
    else:
        frames = _frames(pack, restored, sharp, blurry, mask_source)
    if not frames.has_truth and (asked := _asked({**of_truth, "align": align, "strict": strict})):
        raise click.UsageError(f"without --sharp there is nothing to compare with; leave out {asked}")
    if frames.orphans:
        click.echo(f"without a partner, not scored: {listed([str(path) for path in frames.orphans])}", err=True)
    if align:
        frames = _aligned_frames(frames, {**of_truth, "measure": measures})
    if no_weights:
        frames = BlurryFrames(frames)
    networks: list[Path | None] = [None]
    if not no_weights and restored is None:
        networks = [weights_or_pretrained(weights), *others]
    shared = Conditions(
        precision=precision,
        is_ensemble=is_ensemble,
        tile=tile,
        lpips=_load_lpips(wants_lpips),
        blind=_load_measures(measures or (() if frames.has_truth else ("niqe",))),
    )
    candidates = _candidates(frames, [replace(shared, weights=each) for each in networks], out)
    earlier = comparison.read_earlier(against, [each.name for each in candidates])
    for entry in earlier:
        check_against(frames, entry.row_of)
    for each in candidates:
        if weights := each.conditions.weights:
            each.restorer = make_restorer(weights, precision, is_compiled, tile, is_ensemble, is_whole=True)
    with ExitStack() as stack:
        for each in candidates:
            stack.enter_context(scores_folder.held(each.folder))
        gallery, comparisons = _score_all(frames, candidates, workers)
        entries = [*(_report(frames, each) for each in candidates), *earlier]
        compared = _compare(frames, candidates, entries, gallery, out) if len(entries) > 1 else {}
    if as_json:
        answer = compared or {**entries[0].summary, "rows": candidates[0].rows(frames)}
        click.echo(json.dumps(scores_folder.to_json(answer), indent=2))
    elif compared:
        print_comparison(compared)
    else:
        print_summary(candidates[0].rows(frames), entries[0].summary)
    rows_of_each = [each.rows(frames) for each in candidates]
    is_wrong = wrong_pairs.warn_of_scored(frames, rows_of_each, comparisons, is_thorough=strict)
    return 1 if strict and is_wrong else 0


def _check_options(*options: Path | None) -> None:
    weights, pack, root, restored, sharp, blurry = options
    sources = [name for name, path in (("--h5", pack), ("--root", root), ("--restored", restored)) if path]
    if not sources and blurry is not None:
        return
    if len(sources) != 1:
        found = " and ".join(sources) or ("--sharp without --blurry" if sharp else "none")
        raise click.UsageError(f"wanted one of --h5, --root, --restored, and --blurry; found {found}")
    if restored is not None and weights is not None:
        raise click.UsageError("--restored takes no --weights: those pictures are restored already")


def _frames(
    pack: Path | None, restored: Path | None, sharp: Path | None, blurry: Path | None, masks: "MaskSource"
) -> "FrameSource":
    """The frames of a pack, of another program's results, of two folders, or of pictures without sharp frames."""
    from pipelines.evaluate import frame_sources, photographs

    if pack is not None:
        return frame_sources.PackFrames(pack, masks)
    if sharp is None:
        return photographs.find(restored, blurry)
    if restored is not None:
        return frame_sources.result_frames(restored, sharp, blurry, masks)
    assert blurry is not None
    return frame_sources.pair_frames(blurry, sharp, masks)


def _mask_source(folder: Path | None, method: str | None, mu: float | None) -> "MaskSource":
    from pipelines.evaluate.mask_source import MaskSource
    from prep.masks.folder import MasksFolder

    return MaskSource(method=method or "", mu=mu, folder=MasksFolder(folder) if folder else None)


def _load_lpips(is_wanted: bool) -> "LPIPS | None":
    if not is_wanted:
        return None
    import torch

    from pipelines.evaluate.lpips import LPIPS

    return LPIPS(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _load_measures(names: Sequence[str]) -> "list[NoReference]":
    import torch

    from pipelines.evaluate import no_reference

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [no_reference.load(name, device) for name in dict.fromkeys(names)]


def _candidates(frames: "FrameSource", conditions: "Sequence[Conditions]", out: Path | None) -> "list[Candidate]":
    """Name what is scored, and give each a folder; they load no weights."""
    from pipelines.evaluate.candidates import Candidate, names_of

    paths = [each.weights for each in conditions if each.weights is not None]
    names = names_of(paths) or [frames.name if frames.scored == "restored" else frames.scored]
    is_one = len(conditions) == 1
    folders = [
        each.scores_folder(out if is_one or out is None else out / name.replace("/", "-"), frames)
        for name, each in zip(names, conditions, strict=True)
    ]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise click.UsageError(f"{paths[folders.index(folder)]} and {paths[place]} are the same; pass each once")
    return [
        Candidate(name=name, conditions=each, folder=folder, restorer=None)
        for name, each, folder in zip(names, conditions, folders, strict=True)
    ]


def _score_all(
    frames: "FrameSource", candidates: "Sequence[Candidate]", workers: int
) -> "tuple[Gallery, dict[str, Comparisons]]":
    """Score the frames that the candidates' folders do not hold yet.

    Returns:
        Of those of this run what may be shown, and how each looks beside its sharp one.
    """
    from pipelines.evaluate import page
    from pipelines.evaluate.gallery import Gallery
    from pipelines.evaluate.scores import score_frames
    from pipelines.pages import page_file
    from pipelines.timing import device_name

    missing = 0
    for each in candidates:
        page_file.refuse_foreign(each.folder / page.NAME)
        each.begin(frames)
        missing += len(frames) - len(each.row_of)
        if each.row_of:
            click.echo(f"{len(each.row_of)} of {len(frames)} frames are scored in {each.folder}", err=True)
    if missing:
        restorer = candidates[0].restorer
        device = device_name(restorer.device) if restorer else "cpu"
        many = f": {len(frames)} frames by {len(candidates)} networks" if len(candidates) > 1 else ""
        click.echo(f"{counted(missing, 'frame')} to score{many}, on {device}", err=True)
    gallery = Gallery()
    comparisons: dict[str, Comparisons] = {}
    for _ in track(score_frames(frames, candidates, workers, gallery, comparisons), missing, "eval"):
        pass
    return gallery, comparisons


def _aligned_frames(frames: "FrameSource", others: Mapping[str, Any]) -> "FrameSource":
    """The frames, to be aligned; refuses options that ask for other scores."""
    from pipelines.evaluate.alignment import AlignedFrames

    if asked := _asked(others):
        raise click.UsageError(f"--align scores psnr and ssim alone; leave out {asked}")
    return AlignedFrames(frames)


def _asked(options: Mapping[str, Any]) -> str:
    """The options of these that were passed, for an error's text."""
    return " and ".join(f"--{name}" for name, value in options.items() if value not in (None, False, ()))


def _report(frames: "FrameSource", candidate: "Candidate") -> "Entry":
    """Write the tables and the page of one candidate."""
    from pipelines.evaluate import examples, page
    from pipelines.evaluate import folder as scores_folder
    from pipelines.evaluate.comparison import Entry
    from pipelines.evaluate.summary import summarise

    folder, rows = candidate.folder, candidate.rows(frames)
    summary = summarise(rows, frames, candidate)
    scores_folder.write(folder, rows, summary)
    kept = examples.read(folder, rows)
    drawing, count = examples.draw_examples(frames, rows, candidate.restorer, candidate.shortlist, kept)
    drawn = list(track(drawing, count, "pictures"))
    examples.write(folder, rows, drawn)
    report = page.write(folder, rows, summary, drawn)
    click.echo(f"wrote {folder / 'results.csv'}, results.json and {report.name}", err=True)
    return Entry(name=candidate.name, row_of=candidate.row_of, summary=summary, folder=folder)


def _compare(
    frames: "FrameSource",
    candidates: "Sequence[Candidate]",
    entries: "Sequence[Entry]",
    gallery: "Gallery",
    out: Path | None,
) -> dict[str, Any]:
    """Write the tables and the page of several; gives what they hold."""
    from pipelines.evaluate import comparison, comparison_page, lineups

    folder = out if out is not None and len(candidates) > 1 else candidates[0].folder
    compared = comparison.compare_all(entries, frames.keys)
    comparison.write(folder, compared, entries, frames.keys)
    drawing, count = lineups.draw_all(frames, candidates, gallery, folder)
    drawn = list(track(drawing, count, "pictures"))
    lineups.keep(folder, candidates, drawn)
    path = comparison_page.write(folder, compared, entries, frames.keys, drawn)
    click.echo(f"wrote {path}, compare.csv and compare.json", err=True)
    return compared


def main() -> None:
    """Entry point."""
    run(command)
