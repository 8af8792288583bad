"""``cdg-prep`` and its command ``pack``; its other commands have files of their own. Loads no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli import masks, packs, synth, view
from pipelines.cli import pairs as wrong_pairs
from pipelines.cli.dataset import (
    LAYOUTS,
    Where,
    dataset_options,
    default_masks,
    jobs_option,
    listed,
    masks_option,
    method_type,
    outside,
    path_type,
    split_type,
)
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.masks import make_masks
from pipelines.cli.parameters import ExistingFile, FiniteRange
from pipelines.cli.progress import announce_if_slow, track
from prep.units import duration

if TYPE_CHECKING:
    from prep.datasets.layouts import Dataset, Pair
    from prep.masks.folder import MasksFolder
    from prep.packs.layout import Header

_REMEDY = "look at these pairs; mend the data set, or reject them in cdg-prep view and pass --exclude"
VERDICTS_FILE = ExistingFile("cdg-prep view saves or downloads it")


@click.group("cdg-prep", context_settings=SETTINGS, epilog=example("cdg-prep masks --mu 0.96"))
@click.version_option(package_name="cdgnet")
def prep() -> None:
    """Frames in, supervision out: sharpness maps, masks and packs for training."""


@prep.command(epilog=example("cdg-prep pack gopro --split test --crop frame"))
@click.argument("layout", type=click.Choice([*LAYOUTS, "pairs"]))
@dataset_options
@masks_option
@click.option("--split", type=split_type, help="Which split of the data set.  [default: train; all for pairs]")
@click.option(
    "--method", type=method_type, help="Sharpness map of missing masks.  [default: the masks folder's, else lbp]"
)
@click.option("--mu", type=FiniteRange(0, 1), help="Threshold of S.  [default: the masks folder's, else 0.96]")
@click.option("--crop", default="512", show_default=True, metavar="N|frame", help="Side of the crops in pixels.")
@click.option(
    "--targets/--no-targets", default=True, show_default=True, help="Store sgt and lgt besides mask and sharp."
)
@click.option(
    "--exclude", "verdict_files", type=VERDICTS_FILE, multiple=True, metavar="FILE",
    help="Leave out the frames rejected in cdg-prep view's verdicts; may be repeated.",
)  # fmt: skip
@click.option("--skip-orphans", is_flag=True, help="Leave frames without a partner out instead of stopping.")
@click.option("--out", type=path_type, metavar="FILE", help="The pack.  [default: LAYOUT.h5 or LAYOUT-SPLIT.h5]")
@click.option("--force", is_flag=True, help="Replace an existing pack.")
@click.option(
    "--strict", is_flag=True, help="Stop before anything is written where pairs are no pairs; else they are only named."
)
@click.option("--dry-run", is_flag=True, help="Only say how many crops, bytes and minutes it would be.")
@jobs_option
def pack(
    layout: str,
    where: Where,
    masks_folder: Path | None,
    split: str | None,
    method: str | None,
    mu: float | None,
    crop: str,
    targets: bool,
    verdict_files: tuple[Path, ...],
    skip_orphans: bool,
    out: Path | None,
    force: bool,
    strict: bool,
    dry_run: bool,
    jobs: int | None,
) -> int:
    """Cut frames and masks into crops and write them as one HDF5 file.

    Masks that are missing are computed first, into the masks folder.
    """
    from prep.masks import making
    from prep.masks.folder import MasksFolder
    from prep.packs import estimate, packing

    side = _crop_side(crop)
    dataset = where.find(layout)
    if not skip_orphans:
        _refuse_orphans(dataset)
    usual = "all" if layout == "pairs" else "train"
    split = split or usual
    pairs, excluded = _without_rejected(dataset.select(split), verdict_files)
    path = outside(dataset, out or Path(f"{dataset.name}.h5" if split == usual else f"{dataset.name}-{split}.h5"))
    folder = MasksFolder(outside(dataset, masks_folder or default_masks(dataset)))
    if not dry_run:
        packing.check_target(path, force=force)
    if wrong_pairs.warn(wrong_pairs.search(pairs, jobs), _REMEDY) and strict:
        raise click.ClickException("nothing was written, because of --strict")
    size = packing.crop_size(pairs, side)
    recipe = making.recipe_of(dataset, method or folder.method or "lbp")
    mu = _threshold(folder, pairs, mu)
    header = packing.header(
        dataset,
        split,
        recipe,
        mu,
        size,
        whole_frames=side is None,
        targets=targets,
        excluded=excluded,
        is_padded=side is None and len(set(packing.frame_sizes(pairs))) > 1,
    )
    count = estimate.count_crops(pairs, size, whole_frames=side is None)
    if dry_run:
        _print_estimate(path, dataset, pairs, folder, header, count, jobs)
        return 0
    estimate.check_space(path, size, count)
    if make_masks(dataset, pairs, folder, recipe.method, mu, jobs, keep_masks=True):
        return 1
    _write(pairs, folder, path, header, jobs, force=force)
    return 0


def _write(
    pairs: "Sequence[Pair]", folder: "MasksFolder", path: Path, header: "Header", jobs: int | None, *, force: bool
) -> None:
    from prep.packs import packing, reader

    if packing.is_begun(path) and not force:
        click.echo(f"going on with the half-made {path}")
    keys = packing.pack(pairs, folder, path, header, jobs=jobs or -1, restart=force)
    for _ in track(keys, len(pairs), f"pack {path.name}", unit="frames"):
        pass
    packs.print_new_pack(reader.read_info(path))


def _crop_side(crop: str) -> int | None:
    """A crop's side in pixels from the option's text; None for whole frames."""
    if crop == "frame":
        return None
    if not crop.isdecimal() or int(crop) < 1:
        raise click.BadParameter(f"{crop!r} is neither a number of pixels nor 'frame'", param_hint="'--crop'")
    return int(crop)


def _refuse_orphans(dataset: "Dataset") -> None:
    if not dataset.orphans:
        return
    count = len(dataset.orphans)
    lack = f"{count} frame has no partner" if count == 1 else f"{count} frames have no partner"
    names = listed([str(path) for path in dataset.orphans])
    raise click.ClickException(f"{lack}: {names}; restore what is missing, or pass --skip-orphans to leave it out")


def _without_rejected(pairs: "Sequence[Pair]", verdict_files: tuple[Path, ...]) -> "tuple[Sequence[Pair], list[str]]":
    """The pairs that no verdict rejects, and the keys of those that one does."""
    from pipelines.review import verdicts

    keys = {pair.key for pair in pairs}
    every: set[str] = set()
    for path in verdict_files:
        rejected = verdicts.rejected(path)
        every |= rejected
        unknown = len(rejected - keys)
        also = f"; {unknown} more that it rejects are not among those to pack" if unknown else ""
        click.echo(f"{path}: {len(rejected & keys)} of {len(pairs)} frames are rejected and left out{also}")
        if rejected and not rejected & keys:
            click.echo(f"{path} rejects no frame of this data set and split: is it of another one?", err=True)
    if every >= keys:
        raise click.ClickException(f"{' and '.join(map(str, verdict_files))}: every frame is rejected; nothing is left")
    return [pair for pair in pairs if pair.key not in every], [pair.key for pair in pairs if pair.key in every]


def _threshold(masks: "MasksFolder", pairs: "Sequence[Pair]", mu: float | None) -> float:
    """The pack's mu; says so where the folder's masks have another."""
    from prep.packs import packing

    chosen = packing.common_mu(masks, pairs, mu)
    mus = masks.mus(pair.key for pair in pairs)
    if mus not in ([], [chosen]):
        click.echo(f"masks in {masks.path} have mu {listed([f'{each:g}' for each in mus])}; the pack takes {chosen:g}")
    return chosen


def _print_estimate(
    path: Path,
    dataset: "Dataset",
    pairs: "Sequence[Pair]",
    masks: "MasksFolder",
    header: "Header",
    count: int,
    jobs: int | None,
) -> None:
    from joblib import cpu_count

    from prep import sharpness
    from prep.masks import making
    from prep.packs import estimate

    plan = making.plan(pairs, masks, making.recipe_of(dataset, header.method), header.mu, keep_masks=True)
    with announce_if_slow(f"compiling {header.method} for this machine, once"):
        sharpness.prepare(header.method)
    expected = estimate.estimate(dataset, pairs, header, count)
    processes = min(jobs or cpu_count(), len(pairs))
    mask_seconds = expected.mask_seconds * len(plan.tasks) / processes
    pack_seconds = expected.pack_seconds * len(pairs) / processes
    height, width = header.crop
    if path.exists():
        click.echo(f"{path} exists: it will have to be --force, or another --out", err=True)
    click.echo(f"{path} would hold {count} crops of {height} x {width} from {len(pairs)} frames,")
    free = estimate.free_bytes(path)
    click.echo(f"  about {expected.bytes / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free there,")
    click.echo(
        f"  {duration(mask_seconds)} for {len(plan.tasks)} masks in {masks.path} and {duration(pack_seconds)} to pack,"
    )
    click.echo(f"  on {processes} cores; measured on {expected.sample} frames. Nothing was written")
    if expected.bytes > free:
        click.echo(f"too little space for {path}; make some, or pass --out", err=True)


for command in (masks.masks, packs.info, packs.remask, packs.verify, synth.synth, view.view):
    prep.add_command(command)


def main() -> None:
    """Entry point."""
    run(prep)
