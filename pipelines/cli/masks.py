"""``cdg-prep masks``: S and M of every blurry frame. Does not load torch."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.dataset import (
    METHOD_HELP,
    DatasetCommand,
    Where,
    dataset_options,
    default_masks,
    hint,
    jobs_option,
    layout_option,
    listed,
    method_type,
    next_step,
    outside,
    split_type,
)
from pipelines.cli.entry import example
from pipelines.cli.parameters import FiniteRange, output_type
from pipelines.cli.progress import announce_if_slow, track
from prep.units import counted, percent

if TYPE_CHECKING:
    from prep.datasets.layouts import BlurryFrame, Dataset
    from prep.masks.folder import MaskRecord, MasksFolder

_SMALL_SHARE = 0.02  # share of M = 1 over all frames


@click.command(cls=DatasetCommand, epilog=example("cdg-prep masks --root data/GOPRO_Large --method paired"))
@dataset_options
@layout_option
@click.option("--split", type=split_type, default="all", show_default=True, help="Split of the data set.")
@click.option("--method", type=method_type, metavar="NAME", default="lbp", show_default=True, help=METHOD_HELP)
@click.option(
    "--mu",
    type=FiniteRange(0, 1),
    metavar="MU",
    help="Threshold: the mask is 1 where S > mu.  [default: 0.85 for paired and extent, else 0.96]",
)
@click.option("--out", type=output_type, metavar="DIR", help="Masks folder.  [default: masks/LAYOUT]")
@jobs_option
@click.option(
    "--cluster",
    metavar="tcp://HOST:PORT",
    help="Dask scheduler to use instead of this machine; its workers see the same files.",
)
def masks(
    where: Where,
    layout: str | None,
    split: str,
    method: str,
    mu: float | None,
    out: Path | None,
    jobs: int | None,
    cluster: str | None,
) -> int:
    """Compute the sharpness map S and the mask M of every blurry frame.

    If interrupted, run the same command again to continue. With another --mu only the masks are made again, from the
    stored S. For training use --method paired; the default is the method of the paper. For photographs without sharp
    partners use --blurry without --sharp.
    """
    if jobs and cluster:
        raise click.UsageError("the cluster decides how many processes it uses; leave out --jobs or --cluster")
    from prep.masks.folder import MasksFolder

    if where.is_of_photos:
        if split != "all":
            raise click.UsageError("photographs have no splits; leave out --split, or add --sharp DIR")
        dataset, frames = where.find_photos(layout)
    else:
        dataset = where.find(layout)
        frames = dataset.select(split)
    folder = MasksFolder(outside(dataset, out or default_masks(dataset)))
    from prep.sharpness import METHODS

    if not METHODS[method].beside and not where.is_of_photos:
        hint(f"{method} reads only the blurry frames; for training use --method paired")
    mu = METHODS[method].mu if mu is None else mu
    if make_masks(dataset, frames, folder, method, mu, jobs, cluster=cluster):
        return 1
    click.echo(f"wrote {counted(len(frames), 'mask')} to {folder.path}")
    if not where.is_of_photos:
        _print_next(dataset, where, folder.path, layout, split)
    return 0


def _print_next(dataset: "Dataset", where: Where, folder: Path, layout: str | None, split: str) -> None:
    from prep.io import frames

    masks = ["--masks", folder] if folder != default_masks(dataset) else []
    of_split = [] if split == "all" else ["--split", split]
    view = ["cdg-prep", "view", "--serve", *where.words(layout), *masks, *of_split]
    hint(f"look at them: {shlex.join(map(str, view))}")
    if split == "all" and dataset.layout != "pairs" and all(pair.split != "train" for pair in dataset.pairs):
        of_split = ["--split", dataset.pairs[0].split]
    smallest = min(frames.size_of(dataset.pairs[0].blurry))
    crop = ["--crop", "frame"] if "test" in of_split else ["--crop", smallest] if smallest < 512 else []
    next_step("cdg-prep", "pack", dataset.layout, *where.words(), *masks, *of_split, *crop)


def make_masks(
    dataset: "Dataset",
    pairs: "Sequence[BlurryFrame]",
    masks: "MasksFolder",
    method: str,
    mu: float,
    jobs: int | None,
    *,
    cluster: str | None = None,
    keep_masks: bool = False,
) -> int:
    """Make the missing masks of a folder and print a summary; returns the exit status."""
    from prep import sharpness
    from prep.masks import making
    from prep.masks.folder import MaskRecord

    warn_of_ceiling(method, mu)
    plan = making.plan(pairs, masks, making.recipe_of(dataset, method), mu, keep_masks=keep_masks)
    reused = sum(task.has_sharpness for task in plan.tasks)
    computed = len(plan.tasks) - reused
    counts = {"done": len(plan.done), "to compute": computed, "to threshold again": reused}
    click.echo(f"masks in {masks.path}: {', '.join(f'{count:,} {what}' for what, count in counts.items() if count)}")
    if cluster is None and computed:
        with announce_if_slow(f"compiling {method} for this machine, once"):
            sharpness.prepare(method)
    outcomes = list(track(making.make(plan, jobs or -1, cluster), len(plan.tasks), "masks", unit="frames"))
    records = [*plan.done, *(outcome for outcome in outcomes if isinstance(outcome, MaskRecord))]
    failures = [outcome.reason for outcome in outcomes if isinstance(outcome, making.Failure)]
    if records and not keep_masks:
        _print_shares(records)
    for reason in failures:
        click.echo(reason, err=True)
    if failures:
        failed = f"{len(failures):,} of {counted(len(pairs), 'frame')} failed"
        click.echo(f"{failed}; replace or remove them, then run the same command again", err=True)
    return 1 if failures else 0


def warn_of_ceiling(method: str, mu: float) -> None:
    """Warn before the work if no S of a method can exceed a threshold."""
    from prep.sharpness import METHODS

    ceiling = (
        METHODS[method].ceiling if method in METHODS else 1.0
    )  # the method of a pack from another release may be unknown
    if mu >= ceiling:
        click.echo(
            f"warning: every mask will be empty at mu = {mu:g}: S of {method} is at most {ceiling:.5f}; use a lower mu",
            err=True,
        )


def warn_of_share(share: float, mu: float, remedy: str) -> None:
    """Warn if masks cover little."""
    if share < _SMALL_SHARE:
        click.echo(
            f"warning: at mu = {mu:g} the masks cover {percent(share, 2)} of the pixels, too little to train the small "
            f"branch; {remedy}",
            err=True,
        )


def _print_shares(records: "Sequence[MaskRecord]") -> None:
    """Print how much the masks cover, and the frames of each warning."""
    share = sum(record.mask_share for record in records) / len(records)
    empty = sum(record.mask_share == 0 for record in records)
    mu = records[0].mu or 0.0
    frames = counted(len(records), "frame")
    click.echo(f"M = 1 in {percent(share, 2)} of the pixels at mu = {mu:g}; {empty:,} of {frames} without small blur")
    warn_of_share(share, mu, "run the same command with a lower --mu, which reuses S")
    warned: dict[str, list[MaskRecord]] = {}
    for record in records:
        if record.warning:
            warned.setdefault(record.warning, []).append(record)
    for warning, of_warning in warned.items():
        keys = listed([record.key for record in of_warning])
        remedy = _remedy(of_warning[0])
        click.echo(f"warning: {len(of_warning):,} of {frames}: {warning}; {remedy}: {keys}", err=True)


def _remedy(record: "MaskRecord") -> str:
    """The advice for a mask that looks wrong."""
    if record.mask_share > 0:
        return "use a higher --mu, or check them with cdg-prep view"
    if record.sharpness_min == record.sharpness_max:
        return "check them with cdg-prep view and reject them there"
    return "use a lower --mu or another --method"
