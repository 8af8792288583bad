"""``cdg-prep view``: masks judged by eye, on a page from a folder, served, or as one picture."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.dataset import Where, dataset_options, default_masks, layout_option, outside, path_type, split_type
from pipelines.cli.entry import example
from pipelines.cli.parameters import FiniteRange, FrameCount
from pipelines.cli.progress import track
from pipelines.cli.serving import address_options, new_token, serve_app

if TYPE_CHECKING:
    from pipelines.review.site import Review
    from prep.datasets.layouts import Dataset

_SAMPLE, _SHEET = 48, 6  # frames


@click.command(epilog=example("cdg-prep view --serve"))
@dataset_options
@layout_option
@click.option(
    "--masks", "folders", type=path_type, multiple=True, metavar="DIR",
    help="Masks folder; may be repeated, to compare methods.  [default: masks/LAYOUT]",
)  # fmt: skip
@click.option("--split", type=split_type, default="all", show_default=True, help="Which split of the data set.")
@click.option(
    "--frames", "count", type=FrameCount(), metavar="N|all",
    help=f"Frames, evenly spread.  [default: all served, {_SAMPLE} in a folder, {_SHEET} on a sheet]",
)  # fmt: skip
@click.option("--out", type=path_type, metavar="DIR", help="The page's folder.  [default: view in the masks folder]")
@click.option("--serve", is_flag=True, help="Serve the page instead; verdicts are saved in the masks folder at once.")
@address_options(8765)
@click.option("--sheet", type=path_type, metavar="FILE", help="Draw one picture instead, as sheet.png.")
@click.option(
    "--mu", "mus", type=FiniteRange(0, 1), multiple=True, metavar="MU",
    help="Threshold on the sheet; may be repeated.  [default: the masks']",
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
    """Show masks to a person: mu moves live, frames are accepted or rejected.

    Writes a folder with a page that needs nothing else; or serves it; or draws a picture. Rejected frames are left out
    by cdg-prep pack --exclude verdicts.json.
    """
    _check_options(serve=serve, sheet=sheet, out=out, folders=folders, mus=mus)
    from pipelines.review import site, verdicts
    from pipelines.sampling import evenly_spaced
    from prep.masks import making

    dataset = where.find(layout)
    maps = [site.open_maps(folder) for folder in folders or (default_masks(dataset),)]
    if sheet:
        outside(dataset, sheet)
    target = outside(dataset, out or maps[0].folder.path / "view")
    pairs = site.pairs_with_masks(dataset.select(split), maps[0])
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
        raise click.UsageError("--serve and --sheet do not go together; leave one out")
    if out and (serve or sheet):
        raise click.UsageError(f"--out is the page's folder; leave it out with --{'serve' if serve else 'sheet'}")
    if sheet and len(folders) > 1:
        raise click.UsageError("--sheet draws the masks of one folder; pass --masks once")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise click.UsageError("--masks names one folder twice; pass it once")
    if mus and not sheet:
        raise click.UsageError("--mu is for --sheet; on the page mu is a slider")


def _write(review: "Review", target: Path, total: int) -> None:
    from pipelines.review import site

    for _ in track(site.write_folder(review, target, os.cpu_count() or 1), len(site.file_names(review)), "view"):
        pass
    some = "" if len(review.pairs) == total else f" of {total:,}; --frames all for all, --serve for all at once"
    click.echo(f"wrote {target / site.INDEX} ({len(review.pairs):,} frames{some}); open it in a browser")


def _serve(review: "Review", dataset: "Dataset", host: str, port: int) -> None:
    from pipelines.review import server

    outside(dataset, review.verdicts)
    token = new_token(host)

    def say(address: str) -> None:
        click.echo(f"{len(review.pairs):,} frames at {address}")
        click.echo(f"verdicts are saved in {review.verdicts}; Ctrl-C ends")

    serve_app(server.make_app(review, token), host, port, token, say)


def _draw_sheet(review: "Review", path: Path, mus: tuple[float, ...]) -> None:
    from pipelines.review.sheet import SheetFrame, draw_masks
    from prep.io import frames

    if path.exists():
        raise click.ClickException(f"{path} exists; pass another --sheet, or remove it")
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
    click.echo(f"wrote {path}: {len(drawn)} frames, M at mu {', '.join(f'{mu:g}' for mu in mus)}")
