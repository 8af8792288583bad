"""``cdg-prep view``: look at masks and judge them, on a page (a folder, or served) or as one picture."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.dataset import Where, dataset_options, default_masks, layout_option, outside, split_type
from pipelines.cli.entry import example
from pipelines.cli.parameters import FiniteRange, FrameCount, output_type, path_type
from pipelines.cli.progress import track
from pipelines.cli.serving import address_options, new_token, serve_app
from prep.units import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.review.site import Review, SharpnessMaps
    from prep.datasets.layouts import Dataset

_SAMPLE, _SHEET = 48, 6  # frames


@click.command(epilog=example("cdg-prep view --serve"))
@dataset_options
@layout_option
@click.option(
    "--masks", "folders", type=path_type, multiple=True, metavar="DIR",
    help="Masks folder; repeat the option to compare methods.  [default: masks/LAYOUT]",
)  # fmt: skip
@click.option("--split", type=split_type, default="all", show_default=True, help="Split of the data set.")
@click.option(
    "--frames", "count", type=FrameCount(), metavar="N|all",
    help=f"Number of frames, evenly spread.  [default: {_SAMPLE}; {_SHEET} with --sheet, all with --serve]",
)  # fmt: skip
@click.option("--out", type=output_type, metavar="DIR", help="Folder for the page.  [default: MASKS/view]")
@click.option(
    "--serve", is_flag=True, help="Serve the page instead of writing it; verdicts are saved to MASKS/verdicts.json."
)
@address_options(8765)
@click.option(
    "--sheet", type=output_type, metavar="FILE", help="Draw one picture instead of a page, such as sheet.png."
)
@click.option(
    "--mu", "mus", type=FiniteRange(0, 1), multiple=True, metavar="MU",
    help="Threshold of the sheet; repeat the option for several.  [default: that of the masks]",
)  # fmt: skip
def view(
    where: Where,
    layout: str | None,
    folders: tuple[Path, ...],
    split: str,
    count: int | None,
    out: Path | None,
    serve: bool,
    host: str,
    port: int,
    sheet: Path | None,
    mus: tuple[float, ...],
) -> None:
    """Look at masks in the browser: move mu, and accept or reject frames.

    Writes a page that opens without a server, serves it (--serve), or draws one picture (--sheet). cdg-prep pack
    --exclude verdicts.json leaves out the rejected frames.
    """
    _check_options(serve=serve, sheet=sheet, out=out, folders=folders, mus=mus)
    from pipelines.review import site, verdicts
    from pipelines.sampling import evenly_spaced
    from prep.masks import making

    dataset = where.find(layout)
    selected = dataset.select(split)
    maps = [site.open_maps(folder, selected) for folder in folders or (default_masks(dataset),)]
    if not folders:
        _show_others(maps[0], site.folders_beside(maps[0].folder.path, selected))
    if sheet:
        outside(dataset, sheet)
    target = outside(dataset, out or maps[0].folder.path / "view")
    pairs = site.pairs_with_masks(selected, maps[0])
    default = 0 if serve else _SHEET if sheet else _SAMPLE
    wanted = default if count is None else count
    review = site.Review(
        name=f"{dataset.layout} {dataset.variant}".rstrip(),
        pairs=evenly_spaced(pairs, wanted) if wanted else pairs,
        maps=maps,
        verdicts=maps[0].folder.path / "verdicts.json",
        is_served=serve,
    )
    for each in maps:
        making.check_frames(review.pairs, each.folder)
    verdicts.read(review.verdicts)  # a damaged file is an error here, not an empty page later
    if sheet:
        _draw_sheet(review, sheet, mus or (maps[0].mu,))
    elif serve:
        _serve(review, dataset, host, port)
    else:
        _write(review, target, len(pairs))


def _check_options(
    *, serve: bool, sheet: Path | None, out: Path | None, folders: tuple[Path, ...], mus: tuple[float, ...]
) -> None:
    if serve and sheet:
        raise click.UsageError("--serve cannot be used with --sheet; leave one out")
    if out and (serve or sheet):
        raise click.UsageError(f"--out cannot be used with --{'serve' if serve else 'sheet'}; leave it out")
    if sheet and len(folders) > 1:
        raise click.UsageError("--sheet draws one masks folder; use --masks once")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise click.UsageError("--masks lists the same folder twice; leave one out")
    if mus and not sheet:
        raise click.UsageError("--mu needs --sheet; on the page, mu is a slider")


def _show_others(maps: "SharpnessMaps", others: "Sequence[Path]") -> None:
    """Say which masks are shown, if there are others of the same frames."""
    options = " ".join(f"--masks {shlex.quote(str(folder))}" for folder in others)
    if options:
        click.echo(f"masks by {maps.method} in {maps.folder.path}; for others, or to compare: {options}")


def _write(review: "Review", target: Path, total: int) -> None:
    from pipelines.review import site

    for _ in track(site.write_folder(review, target, os.cpu_count() or 1), len(site.file_names(review)), "view"):
        pass
    shown = counted(total, "frame")
    if len(review.pairs) < total:
        shown = f"{len(review.pairs):,} of {shown} (--frames all or --serve shows all)"
    click.echo(f"wrote a page with {shown}; open it in a browser: {target / site.INDEX}")


def _serve(review: "Review", dataset: "Dataset", host: str, port: int) -> None:
    from pipelines.review import server

    outside(dataset, review.verdicts)
    token = new_token(host)

    def say(address: str) -> None:
        click.echo(f"{counted(len(review.pairs), 'frame')}; verdicts are saved to {review.verdicts}")
        click.echo(f"press Ctrl-C to stop; open in a browser: {address}")

    serve_app(server.make_app(review, token), host, port, token, say)


def _draw_sheet(review: "Review", path: Path, mus: tuple[float, ...]) -> None:
    from pipelines.review.sheet import SheetFrame, draw_masks
    from prep.io import frames

    if path.exists():
        raise click.ClickException(f"{path} exists; choose another --sheet, or remove it")
    folder = review.maps[0].folder
    drawn = [
        SheetFrame(
            key=pair.key,
            blurry=frames.read(pair.blurry),
            sharp=frames.read(pair.sharp),
            codes=folder.read_sharpness(pair.key),
        )
        for pair in track(review.pairs, len(review.pairs), "sheet")
    ]
    frames.write(path, draw_masks(drawn, mus))
    click.echo(f"wrote {path}: {counted(len(drawn), 'frame')}, M at mu = {', '.join(f'{mu:g}' for mu in mus)}")
