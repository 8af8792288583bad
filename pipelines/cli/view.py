"""``cdg-prep view``: masks judged by eye, on a page from a folder, served, or as one picture."""

import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.dataset import Where, dataset_options, default_masks, layout_option, outside, path_type, split_type
from pipelines.cli.entry import example
from pipelines.cli.parameters import FrameCount
from pipelines.cli.progress import track

if TYPE_CHECKING:
    from pipelines.review.site import Site
    from prep.datasets.layouts import Dataset

_SAMPLE, _SHEET = 48, 6  # frames


@click.command(epilog=example("cdg-prep view --serve"))
@dataset_options
@layout_option
@click.option(
    "--masks", "folders", type=path_type, multiple=True, metavar="DIR",
    help="Masks folder; may be repeated, to compare methods.  [default: masks/LAYOUT]",
)  # fmt: skip
@click.option("--split", type=split_type, default="all", show_default=True, help="Which half of the data set.")
@click.option(
    "--frames", "count", type=FrameCount(), metavar="N|all",
    help=f"Frames, evenly spread.  [default: all served, {_SAMPLE} in a folder, {_SHEET} on a sheet]",
)  # fmt: skip
@click.option("--out", type=path_type, metavar="DIR", help="The page's folder.  [default: view in the masks folder]")
@click.option("--serve", is_flag=True, help="Serve the page instead; verdicts are saved in the masks folder at once.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to serve; any other wants the token shown.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 for a free one.")
@click.option("--sheet", type=path_type, metavar="FILE", help="Draw one picture instead, as sheet.png.")
@click.option(
    "--mu", "mus", type=click.FloatRange(0, 1), multiple=True, metavar="MU",
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
    _refuse_conflicts(serve=serve, sheet=sheet, out=out)
    if sheet and len(folders) > 1:
        raise click.UsageError("--sheet draws the masks of one folder; pass --masks once")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise click.UsageError("--masks names one folder twice; pass it once")
    if mus and not sheet:
        raise click.UsageError("--mu is for --sheet; on the page mu is a slider")
    from pipelines.review import site, verdicts
    from pipelines.sampling import evenly_spaced

    dataset = where.find(layout)
    maps = [site.open_maps(folder) for folder in folders or (default_masks(dataset),)]
    if sheet:
        outside(dataset, sheet)
    target = outside(dataset, out or maps[0].folder.path / "view")
    pairs = site.ready(dataset.select(split), maps[0])
    usual = 0 if serve else _SHEET if sheet else _SAMPLE
    wanted = usual if count is None else count
    shown = site.Site(
        name=f"{dataset.layout} {dataset.variant}".rstrip(),
        pairs=evenly_spaced(pairs, wanted) if wanted else pairs,
        maps=maps,
        verdicts=maps[0].folder.path / "verdicts.json",
        is_served=serve,
    )
    verdicts.read(shown.verdicts)  # damaged ones are told now, not by an empty page
    if sheet:
        _draw(shown, sheet, mus or (maps[0].mu,))
    elif serve:
        _serve(shown, dataset, host, port)
    else:
        _write(shown, target, len(pairs))


def _refuse_conflicts(*, serve: bool, sheet: Path | None, out: Path | None) -> None:
    if serve and sheet:
        raise click.UsageError("--serve and --sheet do not go together; leave one out")
    if out and (serve or sheet):
        raise click.UsageError(f"--out is the page's folder; leave it out with --{'serve' if serve else 'sheet'}")


def _write(site: "Site", target: Path, total: int) -> None:
    from pipelines.review import site as files

    for _ in track(files.write(site, target, os.cpu_count() or 1), len(files.names(site)), "view"):
        pass
    some = "" if len(site.pairs) == total else f" of {total:,}; --frames all for all, --serve for all at once"
    click.echo(f"wrote {target / files.INDEX} ({len(site.pairs):,} frames{some}); open it in a browser")


def _serve(site: "Site", dataset: "Dataset", host: str, port: int) -> None:
    from pipelines.review import server

    outside(dataset, site.verdicts)
    token = None if host in server.LOOPBACK else secrets.token_urlsafe(24)

    def say(found: int) -> None:
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # others cannot open "any address"
        shown = f"[{name}]" if ":" in name else name
        click.echo(f"{len(site.pairs):,} frames at http://{shown}:{found}/{f'?token={token}' if token else ''}")
        click.echo(f"verdicts are saved in {site.verdicts}; Ctrl-C ends")

    try:
        server.serve(server.make_app(site, token), host, port, say)
    except OSError as error:
        raise click.ClickException(
            f"cannot serve on {host}:{port} ({error.strerror}); pass another --host or --port"
        ) from error


def _draw(site: "Site", path: Path, mus: tuple[float, ...]) -> None:
    from pipelines.review.sheet import Shown, sheet
    from prep.io import frames

    if path.exists():
        raise click.ClickException(f"{path} exists; pass another --sheet, or remove it")
    folder = site.maps[0].folder
    shown = [
        Shown(
            key=pair.key,
            blurry=frames.read(pair.blurry),
            sharp=frames.read(pair.sharp),
            codes=folder.read_sharpness(pair.key),
        )
        for pair in track(site.pairs, len(site.pairs), "sheet")
    ]
    frames.write(path, sheet(shown, mus))
    click.echo(f"wrote {path}: {len(shown)} frames, M at mu {', '.join(f'{mu:g}' for mu in mus)}")
