"""``cdg-prep``'s commands on what is there: packs, and data sets before any work is put into them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import pairs as wrong_pairs
from pipelines.cli.dataset import jobs_option, listed, path_type, variant_type
from pipelines.cli.entry import example
from pipelines.cli.masks import warn_of_ceiling, warn_of_share
from pipelines.cli.parameters import FiniteRange
from pipelines.cli.progress import track

if TYPE_CHECKING:
    from prep.datasets.layouts import Dataset
    from prep.packs.reader import PackInfo


@click.command(epilog=example("cdg-prep info data/GOPRO_Large.zip"))
@click.argument("path", type=path_type)
@click.option("--variant", type=variant_type, help="Kind of blur of a data set.  [default: the usual one]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@jobs_option
def info(path: Path, variant: str | None, as_json: bool, jobs: int | None) -> int:
    """Say what a pack holds, or what a folder or zip archive holds of known data sets.

    Every frame of a data set is read and checked; the counts stand beside the official ones. A sample of the pairs is
    compared: other scenes, shifts, equal frames, exchanged colours, another gamma and other sizes are named.
    """
    from prep.datasets import layouts
    from prep.packs import reader

    if (path.is_file() and path.suffix.lower() != ".zip") or path.suffix.lower() in (".h5", ".hdf5"):
        pack = reader.read_info(path)
        if as_json:
            click.echo(json.dumps(pack.as_json(), indent=2))
        else:
            print_pack(pack)
        return 0
    datasets = layouts.find_all(path, variant=variant) or [layouts.find(path)]  # whose error names what was looked for
    reports = [_inspect(dataset, jobs or -1) for dataset in datasets]
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    else:
        for report in reports:
            _print_report(report)
    return 1 if any(report["faults"] for report in reports) else 0


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


def _print_report(report: dict[str, Any]) -> None:
    click.echo(f"{report['layout']} {report['variant']}".rstrip() + f" in {report['path']}")
    for line in [*report["pairs"], *report["differences"]]:
        click.echo(f"  {line}")
    click.echo(f"  frames of {report['sizes']}")
    if report["other_variants"]:
        click.echo(f"  besides, other kinds of blur: {', '.join(report['other_variants'])} (--variant)")
    if report["orphans"]:
        click.echo(f"  without a partner, {len(report['orphans'])}: {listed(report['orphans'])}")
    for fault in report["faults"]:
        click.echo(f"  {fault}", err=True)
    click.echo(f"  {len(report['faults']) or 'no'} damaged or unequal")
    for finding in report["wrong_pairs"]:
        click.echo(f"  {finding}", err=True)


@click.command(epilog=example("cdg-prep remask gopro.h5 --mu 0.9 --out gopro-90.h5"))
@click.argument("path", type=path_type)
@click.option("--mu", type=FiniteRange(0, 1), required=True, help="Threshold of S.")
@click.option("--out", type=path_type, metavar="FILE", help="The new pack.  [default: in place of the old one]")
@click.option("--force", is_flag=True, help="Replace an existing pack under --out, or one left half-made.")
def remask(path: Path, mu: float, out: Path | None, force: bool) -> None:
    """Threshold a pack's S again: masks, Sgt and Lgt anew, without the frames.

    The old pack stays until the new one is whole, so there must be room for both.
    """
    from prep.packs import estimate, packing, reader

    pack = reader.read_info(path)
    if out:
        packing.check_target(out, force=force)
    estimate.check_bytes(out or path, pack.bytes)
    warn_of_ceiling(pack.header.method, mu)
    keys = packing.remask(path, mu, out or path, restart=force)
    for _ in track(keys, len(pack.frames), f"remask {path.name}", unit="frames"):
        pass
    print_new_pack(reader.read_info(out or path))


@click.command(epilog=example("cdg-prep verify gopro.h5"))
@click.argument("path", type=path_type)
@click.option("--fast", is_flag=True, help="Check the structure and every fiftieth crop only.")
@click.option("--strict", is_flag=True, help="End with status 1 where pairs are no pairs, too.")
def verify(path: Path, fast: bool, strict: bool) -> int:
    """Check a pack: structure, checksums, M = S > mu, Sgt and Lgt; name what is wrong.

    A sample of the pairs is compared too: other scenes, shifts, equal frames, exchanged colours, another gamma.
    """
    from prep.packs import reader, verification

    pack = reader.read_info(path)
    total = verification.count(pack, fast=fast)
    structural = verification.structure(pack)
    damaged = [fault for fault in track(verification.verify(pack, fast=fast), total, "verify") if fault]
    for fault in [*structural, *damaged]:
        click.echo(fault, err=True)
    checked = f"{total} of {pack.crop_count} checked (--fast), " if fast else ""
    click.echo(f"{path}: {checked}{total - len(damaged)} of {total} crops are whole and consistent")
    if structural:
        click.echo(f"{path}: its structure is wrong in {len(structural)} places")
    is_wrong = wrong_pairs.warn(
        verification.wrong_pairs(pack), "mend the data set, or reject these frames in cdg-prep view, and pack again"
    )
    return 1 if structural or damaged or (strict and is_wrong) else 0


def print_new_pack(pack: "PackInfo") -> None:
    """Print what a pack holds that was just written, and warn where its masks cover little."""
    print_pack(pack)
    warn_of_share(pack.mask_share, "cdg-prep remask with a lower --mu makes the masks anew")


def print_pack(pack: "PackInfo") -> None:
    """Print what a pack holds, for people."""
    header, (height, width) = pack.header, pack.header.crop
    frames, megabytes = len(set(pack.keys)), f"{pack.bytes / 1e6:.1f} MB"
    crops = f"{pack.crop_count} crops of {height} x {width} from {frames} frames"
    if header.is_padded:
        crops = f"{frames} whole frames of several sizes, each padded to {height} x {width}"
    click.echo(f"{pack.path}: {crops}, {megabytes}")
    kind = f"{header.layout} {header.variant}".rstrip()
    click.echo(f"  {kind}, {header.split}; made by cdgnet {header.tool_version}")
    share = f"share {pack.mask_share:.1%}, {pack.empty_masks} empty"
    click.echo(f"  masks by {header.method}, mu {header.mu:g}: {share}")
    if header.excluded_keys:
        click.echo(f"  {len(header.excluded_keys)} frames left out, which a person rejected")
    click.echo(f"  targets sgt and lgt: {'stored' if header.has_targets else 'left out (mask and sharp give them)'}")
