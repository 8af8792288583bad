"""``cdg-prep masks``: S and M of every blurry frame. Loads no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.dataset import (
    MU,
    Where,
    dataset_options,
    default_masks,
    jobs_option,
    layout_option,
    listed,
    method_type,
    outside,
    path_type,
    split_type,
)
from pipelines.cli.entry import example
from pipelines.cli.parameters import FiniteRange
from pipelines.cli.progress import announce_if_slow, track

if TYPE_CHECKING:
    from prep.datasets.layouts import BlurryFrame, Dataset
    from prep.masks.folder import MaskRecord, MasksFolder

_SMALL_SHARE = 0.02  # of M = 1 over all frames


@click.command(epilog=example("cdg-prep masks --root data/GOPRO_Large --split train --jobs 8"))
@dataset_options
@layout_option
@click.option("--split", type=split_type, default="all", show_default=True, help="Which split of the data set.")
@click.option("--method", type=method_type, default="lbp", show_default=True, help="Sharpness map.")
@click.option("--mu", type=FiniteRange(0, 1), default=MU, show_default=True, help="S above mu is sharp: equation 14.")
@click.option("--out", type=path_type, metavar="DIR", help="Masks folder.  [default: masks/LAYOUT]")
@jobs_option
@click.option("--cluster", metavar="tcp://HOST:PORT", help="Work on a Dask cluster that sees the same files instead.")
def masks(
    where: Where,
    layout: str | None,
    split: str,
    method: str,
    mu: float,
    out: Path | None,
    jobs: int | None,
    cluster: str | None,
) -> int:
    """Write S and M of every blurry frame.

    The same command goes on where it stopped; another --mu re-uses S. Photographs without sharp partners are passed as
    --blurry alone, with a method that reads nothing else: lbp, lbp-matting, lbp-absolute, hifst, laplacian.
    """
    if jobs and cluster:
        raise click.UsageError("--jobs is the cluster's to decide; pass either --jobs or --cluster")
    from prep.masks.folder import MasksFolder

    if where.is_of_photos:
        if split != "all":
            raise click.UsageError("photographs have no splits; leave out --split, or pass --sharp DIR too")
        dataset, frames = where.find_photos(layout)
    else:
        dataset = where.find(layout)
        frames = dataset.select(split)
    folder = MasksFolder(outside(dataset, out or default_masks(dataset)))
    status = make_masks(dataset, frames, folder, method, mu, jobs, cluster=cluster)
    from prep.sharpness import METHODS

    if not METHODS[method].beside and not where.is_of_photos:
        click.echo(
            f"{method} sees the blurry frame alone, which says little of motion; for training, "
            "--method paired --mu 0.85 measures each blur against its sharp partner"
        )
    return status


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
    """Bring a masks folder up to date and print what came out; gives the exit status."""
    from prep import sharpness
    from prep.masks import making
    from prep.masks.folder import MaskRecord

    warn_of_ceiling(method, mu)
    plan = making.plan(pairs, masks, making.recipe_of(dataset, method), mu, keep_masks=keep_masks)
    reused = sum(task.has_sharpness for task in plan.tasks)
    computed = len(plan.tasks) - reused
    click.echo(f"masks in {masks.path}: {len(plan.done)} there, {computed} to compute, {reused} to threshold")
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
        click.echo(f"{len(failures)} of {len(pairs)} frames failed; mend them and run the same command again", err=True)
    return 1 if failures else 0


def warn_of_ceiling(method: str, mu: float) -> None:
    """Say before the work that no S of a method passes a threshold."""
    from prep.sharpness import METHODS

    ceiling = METHODS[method].ceiling if method in METHODS else 1.0  # a pack may be of another release
    if mu >= ceiling:
        click.echo(f"every mask will be empty: {method} never gives S above {ceiling:.5f}, and mu is {mu:g}", err=True)


def warn_of_share(share: float, remedy: str) -> None:
    """Say that masks cover little."""
    if share < _SMALL_SHARE:
        click.echo(
            f"masks cover less than {_SMALL_SHARE:.0%}: little for the branch of small blur to learn; {remedy}",
            err=True,
        )


def _print_shares(records: "Sequence[MaskRecord]") -> None:
    """How much the masks cover, and the frames of each warning."""
    share = sum(record.mask_share for record in records) / len(records)
    empty = sum(record.mask_share == 0 for record in records)
    click.echo(f"mask share {share:.2%} on average; {empty} of {len(records)} masks are empty")
    warn_of_share(share, "a lower --mu re-uses S, cdg-prep view shows it")
    keys: dict[str, list[str]] = {}
    for record in records:
        if record.warning:
            keys.setdefault(record.warning, []).append(record.key)
    for warning, warned in keys.items():
        click.echo(f"{len(warned)} of {len(records)}: {warning}: {listed(warned)}", err=True)
