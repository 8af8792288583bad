"""``cdg-prep``: masks, a page to judge them by eye, packs. Loads no torch."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.shell import SETTINGS, example, explained, run, track

if TYPE_CHECKING:
    from prep.layouts import Dataset, Pair
    from prep.masking import Row

METHODS = (
    "lbp",
    "lbp-matting",
    "lbp-absolute",
    "hifst",
    "laplacian",
    "paired",
)  # those of prep.sharpness, named here so that --help need not load them
MU = 0.96  # likewise that of prep.masking
_SMALL_SHARE = 0.02  # of M = 1 over all frames
_SHOWN = 5  # of a list in which every entry says much the same

path_type = click.Path(path_type=Path)
split_type = click.Choice(["train", "test", "all"])
LAYOUTS = ("gopro", "videodeblurring", "reds", "hide", "realblur")  # and those of prep.official
layout_option = click.option(
    "--layout", type=click.Choice(LAYOUTS), help="Which data set, where several lie in one folder."
)
masks_option = click.option(
    "--masks", "masks_folder", type=path_type, metavar="DIR", help="Masks folder.  [default: masks/LAYOUT]"
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes to work in.  [default: one a core]"
)
method_type = click.Choice(METHODS)


@dataclass(frozen=True, kw_only=True)
class Where:
    """The options that say where a data set is."""

    root: Path
    variant: str | None
    blurry: Path | None
    sharp: Path | None

    def find(self, layout: str | None) -> "Dataset":
        """Find it and say what was found."""
        from prep import layouts

        if (self.blurry is None) != (self.sharp is None) or (layout == "pairs" and self.blurry is None):
            raise click.UsageError("pairs need both --blurry DIR and --sharp DIR")
        if self.blurry and self.sharp:
            dataset = layouts.find_pairs(self.blurry, self.sharp)
        else:
            dataset = layouts.find(self.root, layout, self.variant)
        click.echo(f"{dataset.layout} {dataset.variant}".rstrip() + f" in {dataset.folders[0]}")
        for line in layouts.tally(dataset):
            click.echo(f"  {line}")
        if dataset.orphans:
            click.echo(f"  without a partner: {_list([str(path) for path in dataset.orphans])}")
        return dataset


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where the data set is, given to the command as one ``where``."""

    @functools.wraps(command)
    def collected(root: Path, variant: str | None, blurry: Path | None, sharp: Path | None, **others: Any) -> Any:
        return command(where=Where(root=root, variant=variant, blurry=blurry, sharp=sharp), **others)

    options = (
        click.option(
            "--root",
            type=path_type,
            default=".",
            metavar="DIR|ZIP",
            help="Holds the data set, or is it; a zip stays packed.  [default: .]",
        ),
        click.option(
            "--variant",
            type=click.Choice(["blur", "blur_gamma", "blur_comp", "J", "R"]),
            help="Kind of blur: gopro's blur or blur_gamma, reds' blur or blur_comp, realblur's J or R.  "
            "[default: the first]",
        ),
        click.option("--blurry", type=path_type, metavar="DIR", help="Blurry frames of any other data set."),
        click.option("--sharp", type=path_type, metavar="DIR", help="Its sharp frames."),
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), collected)


@click.group("cdg-prep", context_settings=SETTINGS, epilog=example("cdg-prep masks --mu 0.96"))
@click.version_option(package_name="cdgnet")
def prep() -> None:
    """Frames in, supervision out: sharpness maps, masks and packs for training."""


@prep.command(epilog=example("cdg-prep masks --root data/GOPRO_Large --split train --jobs 8"))
@dataset_options
@layout_option
@click.option("--split", type=split_type, default="all", show_default=True, help="Which half of the data set.")
@click.option("--method", type=method_type, default="lbp", show_default=True, help="Sharpness map.")
@click.option(
    "--mu", type=click.FloatRange(0, 1), default=MU, show_default=True, help="S above mu is sharp: equation 14."
)
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

    The same command goes on where it stopped; another --mu re-uses S.
    """
    if jobs and cluster:
        raise click.UsageError("--jobs is the cluster's to decide; pass either --jobs or --cluster")
    dataset = where.find(layout)
    folder = _outside(dataset, out or _masks_folder(dataset))
    return _make_masks(dataset, dataset.select(split), folder, method, mu, jobs, cluster=cluster)


@prep.command(epilog=example("cdg-prep view --split test --frames 24"))
@dataset_options
@layout_option
@masks_option
@click.option("--split", type=split_type, default="all", show_default=True, help="Which half of the data set.")
@click.option(
    "--frames", "count", type=click.IntRange(1), default=12, show_default=True, metavar="N", help="Sample size."
)
@click.option("--out", type=path_type, metavar="FILE", help="The page.  [default: view.html in the masks folder]")
def view(where: Where, layout: str | None, masks_folder: Path | None, split: str, count: int, out: Path | None) -> None:
    """Write one HTML page: a sample of frames beside S, M, Sgt and Lgt."""
    from prep import review

    dataset = where.find(layout)
    folder = masks_folder or _masks_folder(dataset)
    page = _outside(dataset, out or folder / "view.html")
    chosen = review.choose(dataset.select(split), folder, count)
    frames = track(review.load(chosen, folder), len(chosen), "view")
    review.write_page(page, frames, dataset, folder)
    click.echo(f"wrote {page} ({len(chosen)} frames); open it in a browser")


@prep.command(epilog=example("cdg-prep pack gopro --split test --crop frame"))
@click.argument("layout", type=click.Choice([*LAYOUTS, "pairs"]))
@dataset_options
@masks_option
@click.option("--split", type=split_type, help="Which half of the data set.  [default: train; all for pairs]")
@click.option(
    "--method", type=method_type, help="Sharpness map of missing masks.  [default: the masks folder's, else lbp]"
)
@click.option("--mu", type=click.FloatRange(0, 1), help="Threshold of S.  [default: the masks folder's, else 0.96]")
@click.option("--crop", default="512", show_default=True, metavar="N|frame", help="Side of the crops in pixels.")
@click.option(
    "--targets/--no-targets", default=True, show_default=True, help="Store sgt and lgt besides mask and sharp."
)
@click.option("--skip-orphans", is_flag=True, help="Leave frames without a partner out instead of stopping.")
@click.option("--out", type=path_type, metavar="FILE", help="The pack.  [default: LAYOUT.h5 or LAYOUT-SPLIT.h5]")
@click.option("--force", is_flag=True, help="Replace an existing pack.")
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
    skip_orphans: bool,
    out: Path | None,
    force: bool,
    jobs: int | None,
) -> int:
    """Cut frames and masks into crops and write them as one HDF5 file.

    Masks that are missing are computed first, into the masks folder.
    """
    from prep import masking, packing

    side = _side(crop)
    dataset = where.find(layout)
    if dataset.orphans and not skip_orphans:
        count = len(dataset.orphans)
        said = f"{count} frame has no partner" if count == 1 else f"{count} frames have no partner"
        named = _list([str(path) for path in dataset.orphans])
        raise click.ClickException(f"{said}: {named}; restore what is missing, or pass --skip-orphans to leave it out")
    usual = "all" if layout == "pairs" else "train"
    pairs = dataset.select(split or usual)
    path = _outside(
        dataset, out or Path(f"{dataset.name}.h5" if split in (None, usual) else f"{dataset.name}-{split}.h5")
    )
    folder = _outside(dataset, masks_folder or _masks_folder(dataset))
    packing.check_target(path, force=force)
    size = packing.crop_size(pairs, side)
    method = method or packing.held_method(folder) or "lbp"
    mu = packing.common_mu(folder, pairs, mu)
    held = packing.held_mus(folder, pairs)
    if held not in ([], [mu]):
        click.echo(f"masks in {folder} have mu {_list([f'{one:g}' for one in held])}; the pack takes {mu:g}")
    if _make_masks(dataset, pairs, folder, method, mu, jobs, keep_masks=True):
        return 1
    head = packing.header(
        dataset,
        split or usual,
        masking.recipe_of(dataset, method),
        mu,
        size,
        whole_frames=side is None,
        targets=targets,
    )
    for _ in track(
        packing.pack(pairs, folder, path, head, jobs=jobs or -1, anew=force), len(pairs), f"pack {path.name}"
    ):
        pass
    _say_pack(path)
    return 0


@prep.command(epilog=example("cdg-prep info gopro.h5 --json"))
@click.argument("path", type=path_type)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(path: Path, as_json: bool) -> None:
    """Say what a pack holds."""
    from prep import store

    if as_json:
        click.echo(json.dumps(store.describe(path), indent=2))
    else:
        _say_pack(path)


@prep.command(epilog=example("cdg-prep remask gopro.h5 --mu 0.9 --out gopro-90.h5"))
@click.argument("path", type=path_type)
@click.option("--mu", type=click.FloatRange(0, 1), required=True, help="Threshold of S.")
@click.option("--out", type=path_type, metavar="FILE", help="The new pack.  [default: in place of the old one]")
@click.option("--force", is_flag=True, help="Replace an existing pack under --out, or one left half-made.")
def remask(path: Path, mu: float, out: Path | None, force: bool) -> None:
    """Threshold a pack's S again: masks, Sgt and Lgt anew, without the frames.

    The old pack stays until the new one is whole, so there must be room for both.
    """
    from prep import packing, store

    frames = store.describe(path)["frames"]
    if out:
        packing.check_target(out, force=force)
    for _ in track(packing.remask(path, mu, out or path, anew=force), frames, f"remask {path.name}"):
        pass
    _say_pack(out or path)


@prep.command(epilog=example("cdg-prep verify gopro.h5"))
@click.argument("path", type=path_type)
def verify(path: Path) -> int:
    """Check every crop of a pack: checksums, M = S > mu, Sgt and Lgt; name what is wrong."""
    from prep import store

    total = store.describe(path)["crops"]
    faults = [fault for fault in track(store.verify(path), total, "verify") if fault]
    for fault in faults:
        click.echo(fault, err=True)
    click.echo(f"{path}: {total - len(faults)} of {total} crops are whole and consistent")
    return 1 if faults else 0


def _make_masks(
    dataset: "Dataset",
    pairs: "Sequence[Pair]",
    folder: Path,
    method: str,
    mu: float,
    jobs: int | None,
    *,
    cluster: str | None = None,
    keep_masks: bool = False,
) -> int:
    """Bring a masks folder up to date and say what came out; gives the exit status."""
    from prep import masking, sharpness

    ceiling = sharpness.METHODS[method].ceiling
    if mu >= ceiling:
        click.echo(f"every mask will be empty: {method} never gives S above {ceiling:.5f}, and mu is {mu:g}", err=True)
    plan = masking.plan(pairs, folder, masking.recipe_of(dataset, method), mu, keep_masks=keep_masks)
    reused = sum(task.has_sharpness for task in plan.tasks)
    click.echo(
        f"masks in {folder}: {len(plan.done)} there, {len(plan.tasks) - reused} to compute, {reused} to threshold"
    )
    if cluster is None and len(plan.tasks) > reused:
        with explained(f"compiling {method} for this machine, once"):
            sharpness.prepare(method)
    outcomes = list(track(masking.make(plan, jobs or -1, cluster), len(plan.tasks), "masks"))
    rows = [*plan.done, *(row for row in outcomes if isinstance(row, masking.Row))]
    failures = [outcome for outcome in outcomes if isinstance(outcome, masking.Failure)]
    if rows and not keep_masks:
        share = sum(row.mask_share for row in rows) / len(rows)
        empty = sum(row.mask_share == 0 for row in rows)
        click.echo(f"mask share {share:.2%} on average; {empty} of {len(rows)} masks are empty")
        if share < _SMALL_SHARE:
            advice = "little for the branch of small blur to learn; a lower --mu re-uses S, cdg-prep view shows it"
            click.echo(f"masks cover less than {_SMALL_SHARE:.0%}: {advice}", err=True)
        for warning, keys in _by_warning(rows).items():
            click.echo(f"{len(keys)} of {len(rows)}: {warning}: {_list(keys)}", err=True)
    for failure in failures:
        click.echo(failure.reason, err=True)
    if failures:
        click.echo(f"{len(failures)} of {len(pairs)} frames failed; mend them and run the same command again", err=True)
    return 1 if failures else 0


def _by_warning(rows: "Sequence[Row]") -> dict[str, list[str]]:
    """Keys of the frames that a warning was given for."""
    keys: dict[str, list[str]] = {}
    for row in rows:
        if row.warning:
            keys.setdefault(row.warning, []).append(row.key)
    return keys


def _say_pack(path: Path) -> None:
    from prep import store

    about = dict(store.describe(path))
    height, width = about["crop"]
    size = f"{about['bytes'] / 1e6:.1f} MB"
    click.echo(f"{path}: {about['crops']} crops of {height} x {width} from {about['frames']} frames, {size}")
    click.echo(
        f"  {about['layout']} {about['variant']}".rstrip()
        + f", {about['split']}; made by cdgnet {about['tool_version']}"
    )
    share = f"share {about['mask_share']:.1%}, {about['empty_masks']} empty"
    click.echo(f"  masks by {about['method']}, mu {about['mu']:g}: {share}")
    click.echo(f"  targets sgt and lgt: {'stored' if about['has_targets'] else 'left out (mask and sharp give them)'}")


def _masks_folder(dataset: "Dataset") -> Path:
    return Path("masks", dataset.name)


def _outside(dataset: "Dataset", path: Path) -> Path:
    """Refuse to write into the data set's own folder."""
    for folder in dataset.folders:
        if path.resolve().is_relative_to(folder.resolve()):
            raise click.ClickException(f"{path} lies inside the data set {folder}; pass a path elsewhere")
    return path


def _side(crop: str) -> int | None:
    """A crop's side from the option's text; None for whole frames."""
    if crop == "frame":
        return None
    if not crop.isdecimal() or int(crop) < 1:
        raise click.BadParameter(f"{crop!r} is neither a number of pixels nor 'frame'", param_hint="'--crop'")
    return int(crop)


def _list(lines: list[str]) -> str:
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more


def mistakes() -> tuple[type[Exception], ...]:
    from prep.layouts import LayoutError
    from prep.masking import MaskError
    from prep.parallel import WorkerError
    from prep.sources import SourceError
    from prep.store import PackError

    return LayoutError, MaskError, PackError, SourceError, WorkerError


def main() -> None:
    """Entry point."""
    run(prep, mistakes)
