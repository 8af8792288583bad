"""``cdg-prep info``, ``remask`` and ``verify``: reports on data sets and packs. Loads no torch."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import pairs as wrong_pairs
from pipelines.cli.dataset import (
    DatasetCommand,
    Where,
    blurry_option,
    jobs_option,
    listed,
    next_step,
    sharp_option,
    variant_option,
)
from pipelines.cli.entry import example
from pipelines.cli.masks import warn_of_ceiling, warn_of_share
from pipelines.cli.parameters import FiniteRange, output_type, path_type
from pipelines.cli.progress import track
from pipelines.cli.tables import print_wrapped
from pipelines.train.settings import TrainingConfig
from prep.units import counted, file_size, percent

if TYPE_CHECKING:
    from prep.datasets.layouts import Dataset
    from prep.packs.reader import PackInfo

# Settings of pipelines/recipe.py for weights that are trained already; docs/index.md names them too.
_FINE_TUNING = (
    *("--init", "pretrained", "--hours", "1", "--loss", "psnr", "--batch", "4", "--learning-rate", "5e-4"),
    *("--clip", "20", "--warm-up", "200", "--average", "0.999"),
)
_FINE_CROP = 112  # pixels


@click.command(cls=DatasetCommand, epilog=example("cdg-prep info data/GOPRO_Large.zip"))
@click.argument("path", type=path_type, required=False, metavar="[PATH]")
@variant_option
@blurry_option
@sharp_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@jobs_option
def info(
    path: Path | None,
    variant: str | None,
    blurry: Path | None,
    sharp: Path | None,
    as_json: bool,
    jobs: int | None,
) -> int:
    """Check a data set, or show what is in a pack.

    PATH is a pack, or the folder or zip archive of a data set. Every frame is read and checked, and the numbers of
    pairs are compared with the published ones. A sample of the pairs is searched for frames that do not match: another
    scene, a shift, identical frames, swapped colours, another gamma or size. Exit status 1 if a frame is damaged.
    """
    from prep.packs import reader

    if (path is None) == (blurry is None and sharp is None):
        raise click.UsageError("info needs either PATH, or --blurry DIR and --sharp DIR")
    where = Where(root=path or Path(), variant=variant, blurry=blurry, sharp=sharp)
    if path is None:
        return _report_on([where.locate(None)], where, jobs, as_json=as_json)
    if (path.is_file() and path.suffix.lower() != ".zip") or path.suffix.lower() in (".h5", ".hdf5"):
        pack = reader.read_info(path)
        if as_json:
            click.echo(json.dumps(pack.as_json(), indent=2))
        else:
            print_pack(pack)
        return 0
    from prep.datasets import layouts

    datasets = layouts.find_all(path, variant=variant) or [where.locate(None)]
    return _report_on(datasets, where, jobs, as_json=as_json)


def _report_on(datasets: "Sequence[Dataset]", where: Where, jobs: int | None, *, as_json: bool) -> int:
    reports = [_inspect(dataset, jobs or -1) for dataset in datasets]
    has_faults = any(report["faults"] for report in reports)
    if as_json:
        click.echo(json.dumps(reports, indent=2))
        return 1 if has_faults else 0
    for dataset, report in zip(datasets, reports, strict=True):
        _print_report(dataset, report)
    if has_faults:
        click.echo("replace or remove these frames, then check again", err=True)
        return 1
    if any(report["wrong_pairs"] for report in reports):
        return 0
    for dataset in datasets:
        method = "extent" if dataset.made else "paired"
        layout = dataset.layout if len(datasets) > 1 else None
        next_step("cdg-prep", "masks", *where.words(layout), "--method", method, "--mu", "0.85")
    return 0


def _inspect(dataset: "Dataset", jobs: int) -> dict[str, Any]:
    from prep.datasets import layouts, survey

    examined = list(track(survey.examine(dataset, jobs), 2 * len(dataset.pairs), f"check {dataset.name}"))
    return {
        "layout": dataset.layout,
        "variant": dataset.variant,
        "path": str(dataset.folders[0]),
        "pairs": layouts.tally(dataset),
        "differences": survey.differences(dataset),
        "other_variants": list(dataset.others),
        "orphans": [str(orphan) for orphan in dataset.orphans],
        "sizes": survey.sizes(examined),
        "faults": survey.faults(examined),
        "wrong_pairs": [str(finding) for finding in wrong_pairs.search(dataset.pairs, jobs)],
    }


def _print_report(dataset: "Dataset", report: dict[str, Any]) -> None:
    from prep.datasets import layouts, survey

    click.echo(f"{report['layout']} {report['variant']}".rstrip() + f" in {report['path']}")
    for line in [*layouts.summary(dataset), *survey.notes(dataset)]:
        print_wrapped(line, "  ")
    click.echo(f"  frame sizes: {report['sizes'] or 'none could be read'}")
    if report["other_variants"]:
        click.echo(f"  other kinds of blur here: {', '.join(report['other_variants'])} (choose with --variant)")
    if report["orphans"]:
        click.echo(f"  {counted(len(report['orphans']), 'frame')} without a partner: {listed(report['orphans'])}")
    for fault in report["faults"]:
        click.echo(f"  {fault}", err=True)
    checked = counted(2 * len(dataset.pairs), "frame")
    faults = counted(len(report["faults"]), "fault") if report["faults"] else "no damaged frames, no unequal sizes"
    click.echo(f"  {checked} checked: {faults}")
    for finding in report["wrong_pairs"]:
        click.echo(f"  {finding}", err=True)
    if report["wrong_pairs"]:
        click.echo("  look at these pairs; correct the data set, or leave them out", err=True)


@click.command(epilog=example("cdg-prep remask gopro.h5 --mu 0.9 --out gopro-90.h5"))
@click.argument("path", type=path_type)
@click.option(
    "--mu", type=FiniteRange(0, 1), metavar="MU", required=True, help="New threshold: the mask is 1 where S > mu."
)
@click.option("--out", type=output_type, metavar="FILE", help="New pack.  [default: replace the old one]")
@click.option("--force", is_flag=True, help="Replace an existing --out, or start over an unfinished one.")
def remask(path: Path, mu: float, out: Path | None, force: bool) -> None:
    """Make the masks of a pack again with another threshold.

    Uses S as stored in the pack; the frames are not needed. M, Sgt and Lgt are replaced. The old pack is kept until
    the new one is complete, so the disk needs space for both.
    """
    from prep.packs import estimate, packing, reader

    pack = reader.read_info(path)
    if out:
        packing.check_target(out)
        header, frames = replace(pack.header, mu=mu), [frame.key for frame in pack.frames]
        if not force and packing.is_finished(out, header, frames, [path]):
            print_finished_pack(out)
            return
    estimate.check_bytes(out or path, pack.bytes)
    warn_of_ceiling(pack.header.method, mu)
    keys = packing.remask(path, mu, out or path, restart=force)
    for _ in track(keys, len(pack.frames), f"remask {path.name}", unit="frames"):
        pass
    print_new_pack(reader.read_info(out or path))


@click.command(epilog=example("cdg-prep verify gopro.h5"))
@click.argument("path", type=path_type)
@click.option("--fast", is_flag=True, help="Check only the structure and every fiftieth crop.")
@click.option("--strict", is_flag=True, help="Also exit with status 1 if pairs do not match.")
def verify(path: Path, fast: bool, strict: bool) -> int:
    """Check every crop of a pack and report what is wrong.

    Checks the structure, the checksums, that M is S > mu, and Sgt and Lgt. A sample of the pairs is searched for frames
    that do not match: another scene, a shift, identical frames, swapped colours, another gamma. Exit status 1 if the
    pack is damaged.
    """
    from prep.packs import reader, verification

    pack = reader.read_info(path)
    total = verification.count(pack, fast=fast)
    structural = verification.structure(pack)
    damaged = [fault for fault in track(verification.verify(pack, fast=fast), total, "verify") if fault]
    for fault in [*structural, *damaged]:
        click.echo(fault, err=True)
    if structural:
        click.echo(f"{path}: {counted(len(structural), 'fault')} in the structure")
    of_all = f" checked of {pack.crop_count:,} (--fast)" if fast else ""
    click.echo(f"{path}: {total - len(damaged):,} of {counted(total, 'crop')}{of_all} correct")
    if structural or damaged:
        click.echo(f"{path} is damaged; make it again with cdg-prep pack and --force", err=True)
    is_wrong = wrong_pairs.warn(
        verification.wrong_pairs(pack), "correct the data set, or reject these frames in cdg-prep view; then pack again"
    )
    return 1 if structural or damaged or (strict and is_wrong) else 0


def print_new_pack(pack: "PackInfo") -> None:
    """Print what is in a new pack, where it is and what to do next; warn if its masks cover little."""
    print_pack(pack)
    again = shlex.join(["cdg-prep", "remask", str(pack.path), "--mu", "MU"])
    warn_of_share(pack.mask_share, pack.header.mu, f"lower it with: {again}")
    click.echo(f"wrote {pack.path}")
    _print_next(pack)


def print_finished_pack(path: Path) -> None:
    """Print what is in a pack that the same command has made before, and what to do next."""
    from prep.packs import reader

    pack = reader.read_info(path)
    print_pack(pack)
    click.echo(f"{path} is finished; use --force to make it again")
    _print_next(pack)


def _print_next(pack: "PackInfo") -> None:
    """Print the commands that take a pack."""
    from prep.sharpness import METHODS

    if pack.header.whole_frames or pack.header.split not in ("train", "all"):
        next_step("cdg-eval", "--h5", pack.path)
        return
    side = min(pack.header.crop)
    crop = ["--crop", side] if side < TrainingConfig.crop else []
    method = METHODS.get(pack.header.method)  # None if a later release made the pack
    divided = ["--component-loss", "region", "--fusion", "divided"] if method and method.beside else []
    training = ("cdg-train", "--h5", pack.path)
    next_step(*training, *crop, *divided, when="with a GPU")
    without = "without one (fine-tunes the weights that come with cdgnet)"
    next_step(*training, *_FINE_TUNING, "--crop", min(side, _FINE_CROP), when=without)


def print_pack(pack: "PackInfo") -> None:
    """Print what is in a pack."""
    header, (height, width) = pack.header, pack.header.crop
    frames = len(set(pack.keys))
    crops = f"{counted(pack.crop_count, 'crop')} of {width} x {height} from {counted(frames, 'frame')}"
    if header.is_padded:
        crops = f"{counted(frames, 'whole frame')} of several sizes, padded to {width} x {height}"
    click.echo(f"{pack.path}: {crops}, {file_size(pack.bytes)}")
    kind = f"{header.layout} {header.variant}".rstrip()
    click.echo(f"  data: {kind}, split {header.split}; made by cdgnet {header.tool_version}")
    empty = f"{pack.empty_masks:,} of {counted(pack.crop_count, 'crop')} without small blur"
    click.echo(
        f"  masks: {header.method}, mu = {header.mu:g}; M = 1 in {percent(pack.mask_share)} of the pixels, {empty}"
    )
    if header.excluded_keys:
        click.echo(f"  left out: {counted(len(header.excluded_keys), 'rejected frame')}")
    click.echo(
        f"  targets: {'sgt and lgt stored' if header.has_targets else 'not stored (computed from mask and sharp)'}"
    )
