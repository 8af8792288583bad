"""``cdg-eval``: weights and frames in, scores out; or the results of another program."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pipelines.cli import pairs as wrong_pairs
from pipelines.cli.dataset import LAYOUTS, PAIRING_RULE, listed, method_type
from pipelines.cli.devices import device_options, make_restorer
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE, WEIGHTS_FILE, FiniteRange, weights_or_pretrained
from pipelines.cli.score_report import print_comparison, print_summary
from pipelines.cli.scoring import make_candidates, score_and_report

if TYPE_CHECKING:
    from pipelines.evaluate.frame_sources import FrameSource
    from pipelines.evaluate.lpips import LPIPS
    from pipelines.evaluate.mask_source import MaskSource
    from pipelines.evaluate.no_reference import NoReference

_NAMES = {"pack": "h5"}
path_type = click.Path(path_type=Path)
folder_type = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command(
    "cdg-eval",
    context_settings=SETTINGS,
    epilog=example("cdg-eval --weights runs/gopro/weights.safetensors --h5 gopro-test.h5"),
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", "first", type=WEIGHTS_FILE, multiple=True, metavar="FILE [FILE]...", help="Of cdg-train, or "
              "of published deblurrers (.pth); several are compared.  [default: those of cdgnet]")  # fmt: skip
@click.argument("others", type=WEIGHTS_FILE, nargs=-1, metavar="[FILE]...")
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
    first: tuple[Path, ...],
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
    weights = (*first, *others)
    _check_options(click.get_current_context(), has_weights=bool(first))
    from pipelines.evaluate import comparison
    from pipelines.evaluate import folder as scores_folder
    from pipelines.evaluate.alignment import check_against
    from pipelines.evaluate.conditions import Conditions

    frames = _frames(pack, root, (layout, variant, split), restored, sharp, blurry, _mask_source(masks, method, mu))
    of_truth = {"lpips": wants_lpips, "masks": masks, "method": method, "mu": mu}
    frames = _prepared(frames, of_truth, measures, is_aligned=align, is_strict=strict, is_blurry=no_weights)
    is_restored = no_weights or restored is not None
    networks = [None] if is_restored else list(weights) or [weights_or_pretrained(None)]
    shared = Conditions(
        precision=precision,
        is_ensemble=is_ensemble,
        tile=tile,
        lpips=_load_lpips(wants_lpips),
        blind=_load_measures(measures or (() if frames.has_truth else ("niqe",))),
    )
    candidates = make_candidates(frames, [replace(shared, weights=each) for each in networks], out)
    earlier = comparison.read_earlier(against, [each.name for each in candidates])
    for entry in earlier:
        check_against(frames, entry.row_of)
    for each in candidates:
        if path := each.conditions.weights:
            each.restorer = make_restorer(path, precision, is_compiled, tile, is_ensemble, is_whole=True)
    answer, comparisons = score_and_report(frames, candidates, earlier, out, workers)
    rows_of_each = [each.rows(frames) for each in candidates]
    if as_json:
        click.echo(json.dumps(scores_folder.to_json(answer), indent=2))
    elif "entries" in answer:
        print_comparison(answer)
    else:
        print_summary(rows_of_each[0], answer)
    is_wrong = wrong_pairs.warn_of_scored(frames, rows_of_each, comparisons, is_thorough=strict)
    return 1 if strict and is_wrong else 0


def _check_options(context: click.Context, *, has_weights: bool) -> None:
    """Refuse what does not say which frames are scored, or would be passed over."""
    given = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if context.params["others"] and not has_weights:
        file = context.params["others"][0]
        raise click.UsageError(f"found {file}; pass weights after --weights, and patterns in quotes")
    if context.params["no_weights"] and (has_weights or "restored" in given):
        other = "weights" if has_weights else "restored"
        raise click.UsageError(f"--no-weights and --{other} do not go together")
    if "restored" in given and has_weights:
        raise click.UsageError("--restored takes no --weights: those pictures are restored already")
    sources = [f"--{_NAMES.get(name, name)}" for name in ("pack", "root", "restored") if name in given]
    folders = [name for name in ("blurry", "sharp") if name in given]
    if len(sources) > 1 or not (sources or "blurry" in folders):
        found = " and ".join(sources) or ("--sharp without --blurry" if folders else "none")
        raise click.UsageError(f"wanted one of --h5, --root, --restored, and --blurry; found {found}")
    unused: list[str] = [*folders] if sources in (["--h5"], ["--root"]) else []
    if sources != ["--root"]:
        unused = [*unused, *(name for name in ("layout", "variant", "split") if name in given)]
    if unused:
        raise click.UsageError(f"{(sources or ['--blurry'])[0]} and --{unused[0]} do not go together; leave one out")


def _frames(
    pack: Path | None,
    root: Path | None,
    part: tuple[str | None, str | None, str],
    restored: Path | None,
    sharp: Path | None,
    blurry: Path | None,
    masks: "MaskSource",
) -> "FrameSource":
    """The frames of a pack, of a part of a data set (layout, variant, split), of another program's results, of two
    folders, or of pictures without sharp frames.
    """
    from pipelines.evaluate import frame_sources, photographs

    if root is not None:
        return frame_sources.dataset_frames(root, *part, masks)
    if pack is not None:
        return frame_sources.PackFrames(pack, masks)
    if sharp is None:
        return photographs.find(restored, blurry)
    if restored is not None:
        return frame_sources.result_frames(restored, sharp, blurry, masks)
    assert blurry is not None
    return frame_sources.pair_frames(blurry, sharp, masks)


def _prepared(
    frames: "FrameSource",
    of_truth: Mapping[str, object],
    measures: Sequence[str],
    *,
    is_aligned: bool,
    is_strict: bool,
    is_blurry: bool,
) -> "FrameSource":
    """The frames as they are to be scored; refuses options that they have no use for, and names those left out."""
    from pipelines.evaluate.alignment import AlignedFrames
    from pipelines.evaluate.frame_sources import BlurryFrames

    if not frames.has_truth and (asked := _asked({**of_truth, "align": is_aligned, "strict": is_strict})):
        raise click.UsageError(f"without --sharp there is nothing to compare with; leave out {asked}")
    if is_aligned and (asked := _asked({**of_truth, "measure": measures})):
        raise click.UsageError(f"--align scores psnr and ssim alone; leave out {asked}")
    if frames.orphans:
        click.echo(f"without a partner, not scored: {listed([str(path) for path in frames.orphans])}", err=True)
    frames = AlignedFrames(frames) if is_aligned else frames
    return BlurryFrames(frames) if is_blurry else frames


def _asked(options: Mapping[str, object]) -> str:
    """The options of these that were passed, for an error's text."""
    return " and ".join(f"--{name}" for name, value in options.items() if value not in (None, False, ()))


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


def main() -> None:
    """Entry point."""
    run(command)
