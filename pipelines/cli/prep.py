"""``cdg-prep`` and its command ``pack``; the other commands have their own files. Loads no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli import masks, packs, synth, view
from pipelines.cli import pairs as wrong_pairs
from pipelines.cli.dataset import (
    LAYOUTS,
    METHOD_HELP,
    DatasetCommand,
    Where,
    dataset_options,
    default_masks,
    jobs_option,
    listed,
    masks_option,
    method_type,
    outside,
    split_type,
    typed_by_a_person,
)
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.masks import make_masks
from pipelines.cli.parameters import ExistingFile, FiniteRange, output_type
from pipelines.cli.progress import announce_if_slow, track
from prep.units import counted, duration, file_size

if TYPE_CHECKING:
    from prep.datasets.layouts import Dataset, Pair
    from prep.masks.folder import MasksFolder
    from prep.packs.layout import Header
    from prep.pairing.search import Finding

_REMEDY = "look at these pairs; correct the data set, or reject them in cdg-prep view and use --exclude verdicts.json"
VERDICTS_FILE = ExistingFile("judge masks with cdg-prep view, which saves it")


@click.group("cdg-prep", context_settings=SETTINGS, epilog=example("cdg-prep masks --method paired"))
@click.version_option(package_name="cdgnet")
def prep() -> None:
    """Prepare training data: check data sets, make masks, pack crops, synthesise blur.

    The usual order is info, masks, view, pack.
    """


@prep.command(cls=DatasetCommand, epilog=example("cdg-prep pack gopro --split test --crop frame"))
@click.argument("layout", type=click.Choice([*LAYOUTS, "pairs"]), metavar="LAYOUT")
@dataset_options
@masks_option
@click.option("--split", type=split_type, help="Split of the data set.  [default: train; all for pairs]")
@click.option(
    "--method",
    type=method_type,
    metavar="NAME",
    help=f"{METHOD_HELP} Only for masks that are missing.  [default: that of the masks folder, else lbp]",
)
@click.option(
    "--mu",
    type=FiniteRange(0, 1),
    metavar="MU",
    help="Threshold: the mask is 1 where S > mu.  [default: that of the masks folder, else 0.85 for paired and extent "
    "and 0.96 for other methods]",
)
@click.option(
    "--crop",
    default="512",
    show_default=True,
    metavar="N|frame",
    help="Side of the square crops in pixels, 1 or more; frame for whole frames (to score on).",
)
@click.option(
    "--targets/--no-targets",
    default=True,
    show_default=True,
    help="Also store Sgt and Lgt; training computes them from mask and sharp if they are missing.",
)
@click.option(
    "--exclude", "verdict_files", type=VERDICTS_FILE, multiple=True, metavar="FILE",
    help="Leave out frames rejected in cdg-prep view: its verdicts.json; may be repeated.",
)  # fmt: skip
@click.option("--skip-orphans", is_flag=True, help="Leave out frames without a partner instead of stopping.")
@click.option("--out", type=output_type, metavar="FILE", help="Pack to write.  [default: LAYOUT.h5 or LAYOUT-SPLIT.h5]")
@click.option("--force", is_flag=True, help="Replace an existing pack, or start over an unfinished one.")
@click.option(
    "--strict",
    is_flag=True,
    help="Stop before writing anything if pairs do not match; otherwise they are only reported.",
)
@click.option("--dry-run", is_flag=True, help="Show the number of crops, the size and the time, and exit.")
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
    """Cut frames and masks into crops and write a pack (HDF5).

    LAYOUT is the data set: gopro, videodeblurring, reds, hide, realblur, rsblur, bsd, gopro-abme, or pairs for any
    other (--blurry and --sharp, or --root with folders blur and sharp). Missing masks are computed first. If
    interrupted, run the same command again to continue.
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
        packing.check_target(path)
    size = packing.crop_size(pairs, side)
    recipe = making.recipe_of(dataset, method or folder.method or "lbp")
    mu = _threshold(folder, pairs, mu, recipe.method)
    whole = side is None
    is_padded = whole and len(set(packing.frame_sizes(pairs))) > 1
    header = packing.header(
        dataset, split, recipe, mu, size, whole_frames=whole, targets=targets, excluded=excluded, is_padded=is_padded
    )
    keys = [pair.key for pair in pairs]
    if not (dry_run or force) and packing.is_finished(path, header, keys, packing.sources_of(pairs, folder)):
        packs.print_finished_pack(path)
        return 0
    findings = wrong_pairs.search(pairs, jobs)
    if wrong_pairs.warn(findings, _REMEDY) and strict:
        raise click.ClickException("pairs do not match (see above); nothing was written, because of --strict")
    count = estimate.count_crops(pairs, size, whole_frames=whole)
    if dry_run:
        _print_estimate(path, dataset, pairs, folder, header, count, jobs)
        return 0
    estimate.check_space(path, size, count)
    if make_masks(dataset, pairs, folder, recipe.method, mu, jobs, keep_masks=True):
        return 1
    _write(pairs, folder, path, header, jobs, force=force)
    _remind_of(findings)
    return 0


def _remind_of(findings: "Sequence[Finding]") -> None:
    """Say once more, below the result, that pairs do not match."""
    number = len({key for finding in findings for key in finding.keys})
    if number:
        few = f"{counted(number, 'pair')} in the pack may not match"
        click.echo(f"warning: {few}; see the start of the output", err=True)


def _write(
    pairs: "Sequence[Pair]", folder: "MasksFolder", path: Path, header: "Header", jobs: int | None, *, force: bool
) -> None:
    from prep.packs import packing, reader

    if packing.is_begun(path) and not force:
        click.echo(f"continuing the unfinished {path}")
    keys = packing.pack(pairs, folder, path, header, jobs=jobs or -1, restart=force)
    for _ in track(keys, len(pairs), f"pack {path.name}", unit="frames"):
        pass
    packs.print_new_pack(reader.read_info(path))


def _crop_side(crop: str) -> int | None:
    """A crop's side in pixels from the option's text; None for whole frames."""
    if crop == "frame":
        return None
    if not crop.isdecimal() or int(crop) < 1:
        raise click.BadParameter(
            f"{crop!r} is neither a number of pixels (1 or more) nor 'frame'", param_hint="'--crop'"
        )
    return int(crop)


def _refuse_orphans(dataset: "Dataset") -> None:
    if not dataset.orphans:
        return
    count = len(dataset.orphans)
    names = listed([str(path) for path in dataset.orphans])
    alone = f"{counted(count, 'frame')} without a partner: {names}"
    raise click.ClickException(f"{alone}; add the missing partners, or use --skip-orphans")


def _without_rejected(pairs: "Sequence[Pair]", verdict_files: tuple[Path, ...]) -> "tuple[Sequence[Pair], list[str]]":
    """The pairs that are not rejected, and the keys of those that are."""
    from pipelines.review import verdicts

    keys = {pair.key for pair in pairs}
    every: set[str] = set()
    for path in verdict_files:
        rejected = verdicts.rejected(path)
        every |= rejected
        unknown = len(rejected - keys)
        also = f"; {counted(unknown, 'other rejected frame')} not in this data set and split" if unknown else ""
        click.echo(f"{path}: {len(rejected & keys):,} of {counted(len(pairs), 'frame')} left out as rejected{also}")
        if rejected and not rejected & keys:
            click.echo(f"warning: {path} rejects nothing here; is it for another data set or split?", err=True)
    if every >= keys:
        raise click.ClickException(
            f"{' and '.join(map(str, verdict_files))}: every frame is rejected, so there is nothing to pack"
        )
    return [pair for pair in pairs if pair.key not in every], [pair.key for pair in pairs if pair.key in every]


def _threshold(masks: "MasksFolder", pairs: "Sequence[Pair]", mu: float | None, method: str) -> float:
    """The mu of the pack; prints a note if the masks in the folder have another."""
    from prep.packs import packing

    chosen = packing.common_mu(masks, pairs, mu, method)
    mus = masks.mus(pair.key for pair in pairs)
    if mus not in ([], [chosen]):
        found = " and ".join(f"{each:g}" for each in mus)
        click.echo(f"the masks in {masks.path} have mu = {found}; the pack gets mu = {chosen:g}")
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
    free = estimate.free_bytes(path)
    making_them = f"{duration(mask_seconds)} for {counted(len(plan.tasks), 'missing mask')} in {masks.path}"
    on = f"{counted(processes, 'core')}, estimated from {counted(expected.sample, 'frame')}"
    click.echo(
        f"{path} would contain {counted(count, 'crop')} of {width} x {height} from {counted(len(pairs), 'frame')}"
    )
    click.echo(f"  size: about {file_size(expected.bytes)} ({file_size(free)} free)")
    click.echo(f"  time: {making_them if plan.tasks else f'no masks are missing in {masks.path}'}")
    click.echo(f"        {duration(pack_seconds)} to pack, on {on}")
    click.echo("nothing was written (--dry-run)")
    if path.exists():
        click.echo(f"{path} exists; use --force to replace it, or choose another --out", err=True)
    if expected.bytes > free:
        click.echo(f"{path} does not fit on its disk; free some space, or choose another --out", err=True)


for command in (masks.masks, packs.info, packs.remask, packs.verify, synth.synth, view.view):
    prep.add_command(command)


def main() -> None:
    """Entry point."""
    with typed_by_a_person():
        run(prep)
