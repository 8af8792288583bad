"""``cdg-eval``: weights and frames in, scores out; or the results of another program."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli import pairs as wrong_pairs
from pipelines.cli.dataset import LAYOUTS, PAIRING_RULE, listed, method_type
from pipelines.cli.devices import DEVICE_OPTIONS, device_options, make_restorer
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE, WEIGHTS_FILE, FiniteRange, output_type, path_type, weights_or_pretrained
from pipelines.cli.score_report import print_comparison, print_summary
from pipelines.cli.scoring import make_candidates, score_and_report, warn_of_trained

if TYPE_CHECKING:
    from pipelines.evaluate.frame_sources import FrameSource
    from pipelines.evaluate.lpips import LPIPS
    from pipelines.evaluate.mask_source import MaskSource
    from pipelines.evaluate.no_reference import NoReference

_NAMES = {"pack": "h5", "no_weights": "no-weights"}
folder_type = click.Path(path_type=Path, exists=True, file_okay=False)


class _Scores(click.Path):
    """Scores of an earlier run."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path of the scores."""
        path = Path(value)
        if not path.exists():
            from pipelines.evaluate import folder

            self.fail(folder.missing(path), param, ctx)
        return path


def _check_measures(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    from pipelines.evaluate import no_reference

    for name in names:
        no_reference.check_name(name)
    return names


@click.command(
    "cdg-eval",
    context_settings=SETTINGS,
    epilog=example("cdg-eval --weights runs/gopro/weights.safetensors --h5 gopro-test.h5"),
)
@click.version_option(package_name="cdgnet")
@click.option("--weights", "first", type=WEIGHTS_FILE, multiple=True, metavar="FILE [FILE]...", help="Networks to "
              "score: files of cdg-train or other projects (.pth), or pretrained, the weights that come with "
              "cdgnet. Several are compared.  [default: pretrained]")  # fmt: skip
@click.argument("others", type=WEIGHTS_FILE, nargs=-1, metavar="[FILE]...")
@click.option("--no-weights", is_flag=True, help="Score the blurry frames themselves: the baseline that a network has "
              "to beat.")  # fmt: skip
@click.option("--h5", "pack", type=PACK_FILE, metavar="FILE", help="Score the frames of a pack.")
@click.option("--root", type=path_type, metavar="DIR|ZIP", help="Score the frames of a data set; no pack is needed.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="With --root: which data set, if the folder contains "
              "several.")  # fmt: skip
@click.option("--variant", metavar="NAME", help="With --root: kind of blur, such as blur_gamma.  "
              "[default: the data set's first]")  # fmt: skip
@click.option("--split", default="test", show_default=True, metavar="SPLIT", help="With --root: test, valid, train or "
              "all.")  # fmt: skip
@click.option("--restored", type=path_type, metavar="DIR|PATTERN", help="Score the results of another program: a "
              "folder, or a pattern in quotes, such as 'DIR/**/*_restored.png'.")  # fmt: skip
@click.option("--sharp", type=path_type, metavar="DIR|PATTERN", help=f"Sharp frames (ground truth). {PAIRING_RULE}")
@click.option("--blurry", type=path_type, metavar="DIR|PATTERN", help="Blurry frames: restored and scored. With "
              "--restored: to show the gain, and PSNR where the blur is small and large.")  # fmt: skip
@click.option("--masks", type=folder_type, metavar="DIR", help="Masks folder of cdg-prep masks.  "
              "[default: masks are computed]")  # fmt: skip
@click.option("--method", type=method_type, help="Sharpness map whose mask M divides each frame into small and large "
              "blur.  [default: that of --masks, else extent where the data set has maps of blur length, else "
              "paired]")  # fmt: skip
@click.option("--mu", type=FiniteRange(0, 1), metavar="MU", help="Threshold of S, from 0 to 1: M = 1 where S is above "
              "it.  [default: that of --masks or of the pack; else 0.85 for extent and paired, which is blur up to 6 "
              "pixels, and 0.96 for other methods]")  # fmt: skip
@click.option("--against", type=_Scores(path_type=Path), multiple=True, metavar="DIR", help="Scores folder of an "
              "earlier run on the same frames, to compare with; may be repeated. The first is the "
              "baseline.")  # fmt: skip
@click.option("--lpips", "wants_lpips", is_flag=True, help="Also compute LPIPS. Needs the extra lpips and AlexNet's "
              "weights.")  # fmt: skip
@click.option("--measure", "measures", multiple=True, callback=_check_measures, metavar="NAME", help="Also compute "
              "a no-reference measure: niqe, "
              "or one of pyiqa such as musiq (extra iqa; its weights must be there; its licence forbids commercial "
              "use). May be repeated.  [default: niqe if there are no sharp frames, else none]")  # fmt: skip
@click.option("--align", is_flag=True, help="Align each picture to its sharp frame first, as RealBlur's authors do. "
              "Computes psnr and ssim only; takes seconds per frame.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with status 1 if pairs do not match, such as frames of different "
              "scenes. Without it they are only reported.")  # fmt: skip
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Processes that "
              "read frames; 0 reads in the main process.")  # fmt: skip
@click.option("--out", type=output_type, metavar="DIR", help="Scores folder.  [default: eval/NAME, beside the weights "
              "or, without --weights, in the current folder]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
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
    strength: float,
) -> int:
    """Score networks, or the results of other programs: PSNR, SSIM and more, before and after restoring.

    Frames come from a pack (--h5), a data set (--root) or two folders (--blurry and --sharp). --restored and --sharp
    score the results of another program. Without --sharp, pictures are scored by NIQE or another --measure, which need
    no sharp frames.

    PSNR is also given where the blur is small (M = 1) and where it is large (M = 0), and by blur length in pixels.
    Results: results.csv, results.json and the page report.html, in a folder of their own. Run the same command again
    to continue after an interruption; frames that are scored already are kept.
    """
    weights = (*first, *others)
    _check_options(click.get_current_context(), has_weights=bool(first))
    source = _frames(pack, root, (layout, variant, split), restored, sharp, blurry, _mask_source(masks, method, mu))
    of_truth = {"lpips": wants_lpips, "masks": masks, "method": method, "mu": mu}
    frames = _prepared(source, of_truth, measures, is_aligned=align, is_strict=strict, is_blurry=no_weights)
    is_restored = no_weights or restored is not None
    warn_of_trained(source, () if is_restored else weights)
    from pipelines.evaluate import comparison
    from pipelines.evaluate import folder as scores_folder
    from pipelines.evaluate.alignment import check_against
    from pipelines.evaluate.conditions import Conditions

    networks = [None] if is_restored else list(weights) or [weights_or_pretrained(None)]
    shared = Conditions(
        precision=precision,
        is_ensemble=is_ensemble,
        strength=strength,
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
            each.restorer = make_restorer(path, precision, is_compiled, tile, is_ensemble, strength, is_whole=True)
    answer, comparisons, page = score_and_report(frames, candidates, earlier, out, workers)
    rows_of_each = [each.rows(frames) for each in candidates]
    if as_json:
        click.echo(json.dumps(scores_folder.to_json(answer), indent=2))
    elif "entries" in answer:
        rows_of = {each.name: rows for each, rows in zip(candidates, rows_of_each, strict=True)}
        print_comparison(answer, rows_of | {each.name: [each.row_of[key] for key in frames.keys] for each in earlier})
    else:
        print_summary(rows_of_each[0], answer)
    click.echo(f"to see the frames, open {page}", err=True)
    is_wrong = wrong_pairs.warn_of_scored(frames, rows_of_each, comparisons, is_thorough=strict)
    return 1 if strict and is_wrong else 0


def _check_options(context: click.Context, *, has_weights: bool) -> None:
    """Refuse options that do not say which frames to score, or that would have no effect."""
    given = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if context.params["others"] and not has_weights:
        file = context.params["others"][0]
        raise click.UsageError(
            f"unexpected argument {file}; pass weights as --weights FILE, and put patterns in quotes"
        )
    if context.params["no_weights"] and (has_weights or "restored" in given):
        other = "weights" if has_weights else "restored"
        raise click.UsageError(f"--no-weights and --{other} exclude each other; leave one out")
    if "restored" in given and has_weights:
        raise click.UsageError("--restored and --weights exclude each other; leave one out")
    without = next((f"--{_NAMES.get(name, name)}" for name in ("restored", "no_weights") if name in given), "")
    useless = next((option for name, option in DEVICE_OPTIONS.items() if name in given), "")
    if without and useless:
        raise click.UsageError(f"{without} runs no network, so {useless} has no effect; leave one out")
    sources = [f"--{_NAMES.get(name, name)}" for name in ("pack", "root", "restored") if name in given]
    folders = [name for name in ("blurry", "sharp") if name in given]
    if len(sources) > 1 or not (sources or "blurry" in folders):
        both = f"{' and '.join(sources)} exclude each other" if sources else ""
        found = both or ("--sharp alone gives nothing to score" if folders else "no frames to score")
        raise click.UsageError(f"{found}; pass one of --h5, --root, --restored or --blurry")
    unused: list[str] = [*folders] if sources in (["--h5"], ["--root"]) else []
    if sources != ["--root"]:
        unused = [*unused, *(name for name in ("layout", "variant", "split") if name in given)]
    if unused:
        raise click.UsageError(f"{(sources or ['--blurry'])[0]} and --{unused[0]} exclude each other; leave one out")


def _frames(
    pack: Path | None,
    root: Path | None,
    part: tuple[str | None, str | None, str],
    restored: Path | None,
    sharp: Path | None,
    blurry: Path | None,
    masks: "MaskSource",
) -> "FrameSource":
    """The frames that the options name: of a pack, of a data set (``part``: layout, variant, split), of another
    program's results, of two folders, or pictures without sharp frames.
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
    """The frames as they are to be scored. Refuses options that would have no effect, and lists frames left out."""
    from pipelines.evaluate.frame_sources import BlurryFrames

    if not frames.has_truth and (asked := _asked({**of_truth, "align": is_aligned, "strict": is_strict})):
        raise click.UsageError(f"without sharp frames there is no {asked}; pass --sharp, or leave out {asked}")
    if is_aligned and (asked := _asked({**of_truth, "measure": measures})):
        raise click.UsageError(f"--align computes psnr and ssim only; leave out {asked}")
    if frames.orphans:
        paths = listed([str(path) for path in frames.orphans])
        click.echo(f"not scored, no partner found: {paths}", err=True)
    if is_aligned:
        from pipelines.evaluate.alignment import AlignedFrames

        frames = AlignedFrames(frames)
    return BlurryFrames(frames) if is_blurry else frames


def _asked(options: Mapping[str, object]) -> str:
    """The options that were passed, for a message."""
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
