"""``cdg-deblur``: pictures, folders and videos in, the same out, sharper."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import tryout
from pipelines.cli.devices import device_options, make_restorer
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import WEIGHTS_FILE, weights_or_pretrained
from pipelines.cli.progress import Parts, track
from pipelines.cli.serving import address_options
from prep.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.restore.jobs import Outcome, RestoreJob, RestorePlan, RestoreSettings
    from pipelines.restore.origins import Network
    from pipelines.restore.restorer import Restorer


class NamedPath(click.Path):
    """A path; an empty one, as of a variable that is not set, would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        if not str(value):
            self.fail("found an empty name; pass a file or a folder, . for the current one", param, ctx)
        return Path(value)


path_type = NamedPath()


@click.command(
    "cdg-deblur",
    context_settings=SETTINGS,
    epilog=example("cdg-deblur photo.jpg clip.mp4 holiday/ --out restored"),
)
@click.version_option(package_name="cdgnet")
@click.argument("inputs", nargs=-1, type=path_type)
@click.option(
    "--weights",
    type=WEIGHTS_FILE,
    metavar="FILE",
    help="Of cdg-train, or of a published deblurrer (.pth).  [default: those that come with cdgnet]",
)
@click.option("--out", type=path_type, default="restored", metavar="DIR", help="Results.  [default: restored]")
@click.option("--force", is_flag=True, help="Overwrite results that exist.")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help="Of JPEG, WebP, AVIF, HEIC and videos; lossless formats stay lossless.",
)
@click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="Frames of one size restored at once."
)
@click.option(
    "--compare", is_flag=True, help="Beside each result a picture of before and after: photo.jpg.compare.jpg."
)
@click.option("--dry-run", is_flag=True, help="Print what would be written, and do nothing.")
@click.option("--serve", is_flag=True, help="Serve a page instead, on which pictures are dropped and compared.")
@address_options(tryout.PORT)
@device_options
def command(
    inputs: tuple[Path, ...],
    weights: Path | None,
    out: Path,
    force: bool,
    quality: int,
    batch: int,
    compare: bool,
    dry_run: bool,
    serve: bool,
    host: str,
    port: int,
    precision: str,
    is_compiled: bool,
    tile: int | None,
    is_ensemble: bool,
) -> int:
    """Deblur pictures (up to 500 megapixels) and videos; names, sizes, depth, alpha, profiles, EXIF, rate, sound stay.

    Folders are searched recursively and their structure is kept; patterns in quotes are expanded. Results that exist
    are skipped, unless they are of other pictures or weights, and the same command resumes an interrupted video.
    """
    tryout.check_options(click.get_current_context(), inputs, is_served=serve)
    if serve:
        weights = weights_or_pretrained(weights)
        making = partial(make_restorer, weights, precision, is_compiled, tile, is_ensemble)
        return tryout.serve_page(making, weights, quality, host, port)
    from pipelines.restore.jobs import plan_restore
    from pipelines.restore.origins import Origins

    plan = plan_restore(inputs, out)
    existing = [] if force else [job for job in plan.jobs if job.target.exists()]
    missing = [job for job in plan.jobs if force or not job.target.exists()]
    origins = Origins(out)
    if existing:
        origins.check(existing, _network(weights, is_ensemble))
    _print_plan(plan, len(existing), out)
    if dry_run:
        for job in missing:
            click.echo(f"{job.source} -> {job.target}")
        return 1 if plan.faults else 0
    outcomes: list[Outcome] = []
    if missing:
        from pipelines.restore.jobs import RestoreSettings

        weights = weights_or_pretrained(weights)
        restorer = make_restorer(weights, precision, is_compiled, tile, is_ensemble, batch=batch)
        network = _network(weights, is_ensemble)
        identity = {"weights": network.weights, "precision": precision, "is_ensemble": is_ensemble}
        settings = RestoreSettings(quality=quality, batch=batch, identity=identity)
        outcomes = _restore(missing, restorer, settings, partial(origins.add, network=network))
    faults = [*plan.faults, *(outcome.fault for outcome in outcomes if outcome.fault)]
    if compare:
        faults += _compare(plan.jobs, force=force)
    failed = f", {len(faults)} failed" if faults else ""
    written = [outcome.job for outcome in outcomes if not outcome.fault]
    if written or faults:
        click.echo(f"wrote {_counted(written)} into {out}{failed}")
    return 1 if faults else 0


def _network(weights: Path | None, is_ensemble: bool) -> "Network":
    """What restores; weights that are none are refused even where there is nothing to do."""
    from cdgnet import PRETRAINED
    from pipelines.restore import networks
    from pipelines.restore.origins import Network
    from pipelines.restore.restorer import weights_checksum

    if weights is not None:
        networks.check_kind(weights)
    return Network(weights=weights_checksum(weights or PRETRAINED), is_ensemble=is_ensemble)


def _restore(
    jobs: "Sequence[RestoreJob]",
    restorer: "Restorer",
    settings: "RestoreSettings",
    note: "Callable[[RestoreJob, os.stat_result], None]",
) -> "list[Outcome]":
    """Restore what is missing; says what went wrong. ``note`` is called of each result that is there."""
    from pipelines.restore import deblurring

    parts, status_of = Parts(), {job: job.source.stat() for job in jobs if job.source.exists()}
    restoring = deblurring.deblur(jobs, restorer, settings, on_tile=parts)
    frames, lines = deblurring.survey(jobs)
    for line in lines:
        click.echo(line, err=True)
    steps = track(restoring, frames, f"deblur on {restorer.device.type}", parts)
    outcomes = []
    for outcome in steps:
        if outcome.is_done:
            outcomes.append(outcome)
            if not outcome.fault and outcome.job in status_of:
                note(outcome.job, status_of[outcome.job])
    for outcome in outcomes:
        if outcome.fault:
            click.echo(outcome.fault, err=True)
    return outcomes


def _compare(jobs: "Sequence[RestoreJob]", *, force: bool) -> list[str]:
    """Draw the comparisons that are missing, of results of earlier runs too; gives what went wrong, a line each."""
    from pipelines.restore import comparison
    from pipelines.restore.jobs import name_fault
    from prep.errors import ReadError

    done = [job for job in jobs if not job.is_video and job.target.exists()]
    faults = [fault for job in done if (fault := name_fault(comparison.path_of(job.target)))]
    named = [job for job in done if not name_fault(comparison.path_of(job.target))]
    missing = [job for job in named if force or not comparison.path_of(job.target).exists()]
    drawn = 0
    for job in track(missing, len(missing), "compare"):
        try:
            comparison.write(job.source, job.target)
            drawn += 1
        except ReadError as error:
            faults.append(str(error))
    for fault in faults:
        click.echo(fault, err=True)
    if drawn:
        first = comparison.path_of(missing[0].target)
        click.echo(f"drew {first}" if drawn == 1 else f"drew {drawn} comparisons, such as {first}")
    return faults


def _print_plan(plan: "RestorePlan", existing: int, out: Path) -> None:
    skipped = f"; {existing} already in {out}: skipped; --force overwrites" if existing else ""
    click.echo(_counted(plan.jobs) + skipped)
    for fault in plan.faults:
        click.echo(fault, err=True)
    if plan.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(plan.ignored.items()))
        click.echo(f"skipped, neither picture nor video: {kinds}")


def _counted(jobs: "Sequence[RestoreJob]") -> str:

    videos = sum(job.is_video for job in jobs)
    pictures = len(jobs) - videos
    parts = [counted(pictures, "picture")] if pictures or not videos else []
    return " and ".join([*parts, *([counted(videos, "video")] if videos else [])])


def main() -> None:
    """Entry point."""
    run(command)
