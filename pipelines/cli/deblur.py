"""``cdg-deblur``: restore pictures, folders and videos."""

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli import tryout
from pipelines.cli.devices import device_options, make_restorer
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import WEIGHTS_FILE, WEIGHTS_SUFFIXES, output_type, path_type, weights_or_pretrained
from pipelines.cli.progress import Parts, track
from pipelines.cli.serving import address_options
from prep.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.restore.jobs import Outcome, RestoreJob, RestorePlan, RestoreSettings
    from pipelines.restore.origins import Network
    from pipelines.restore.restorer import Restorer


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
    help="Weights: a file of cdg-train or another project (.pth), or pretrained, the weights that come with cdgnet.  "
    "[default: pretrained]",
)
@click.option(
    "--out", type=output_type, default="restored", metavar="DIR", help="Folder for the results.  [default: restored]"
)
@click.option("--force", is_flag=True, help="Overwrite existing results.")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    metavar="N",
    help="Quality of JPEG, WebP, AVIF, HEIC and videos, from 1 to 100. Lossless formats stay lossless.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Pictures of one size, or video frames, restored at once. More is faster on a GPU and takes more memory.",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Also write a picture of before and after beside each result: photo.jpg.compare.jpg. Not for videos.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, and which files cannot be read, and exit.")
@click.option("--serve", is_flag=True, help="Serve a web page instead: drop pictures on it, compare, download.")
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
    strength: float,
) -> int:
    """Deblur pictures (up to 500 megapixels) and videos.

    Results keep their name, size and bit depth; pictures also alpha, colour profile and EXIF, videos frame rate and
    sound. INPUTS are files, folders (searched recursively; the results keep their structure) and patterns in quotes.

    Existing results are skipped; if they were made from other pictures, with other weights or another strength, the
    command stops. Run the same command again to continue after an interruption, also within a video.
    """
    _refuse_weights(inputs)
    tryout.check_options(click.get_current_context(), inputs, is_served=serve)
    if serve:
        weights = weights_or_pretrained(weights)
        making = partial(make_restorer, weights, precision, is_compiled, tile, is_ensemble, 1)
        return tryout.serve_page(making, weights, strength, quality, host, port)
    from pipelines.restore.jobs import plan_restore
    from pipelines.restore.origins import Origins

    plan = plan_restore(inputs, out)
    existing = [] if force else [job for job in plan.jobs if job.target.exists()]
    missing = [job for job in plan.jobs if force or not job.target.exists()]
    origins = Origins(out)
    if existing:
        origins.check(existing, _network(weights, is_ensemble, strength))
    _print_plan(plan, len(existing), out)
    if dry_run:
        return 1 if _show_dry_run(plan, missing, compare=compare, force=force) else 0
    outcomes: list[Outcome] = []
    if missing:
        from pipelines.restore.jobs import RestoreSettings

        weights = weights_or_pretrained(weights)
        restorer = make_restorer(weights, precision, is_compiled, tile, is_ensemble, strength, batch=batch)
        network = _network(weights, is_ensemble, strength)
        identity = {**asdict(network), "precision": precision}
        settings = RestoreSettings(quality=quality, batch=batch, identity=identity)
        outcomes = _restore(missing, restorer, settings, partial(origins.add, network=network))
    faults = [*plan.faults, *(outcome.fault for outcome in outcomes if outcome.fault)]
    written = [outcome.job for outcome in outcomes if not outcome.fault]
    compared = plan.jobs if compare else [job for job in written if _has_comparison(job)]
    if compared:
        faults += _compare(compared, out, force=force)
    failed = [f"{len(faults)} failed"] if faults else []
    if written or faults:
        wrote = f"wrote {_counted(written)} to {out}" if written else "wrote nothing"
        click.echo("; ".join([wrote, *failed]))
    return 1 if faults else 0


def _refuse_weights(inputs: "Sequence[Path]") -> None:
    """Refuse files of weights among the inputs: the option takes one file, and a person may pass several."""
    if found := [path for path in inputs if path.suffix.lower() in WEIGHTS_SUFFIXES]:
        raise click.UsageError(
            f"{found[0]} is a weights file, not a picture; --weights takes one file, and cdg-eval compares several"
        )


def _show_dry_run(plan: "RestorePlan", missing: "Sequence[RestoreJob]", *, compare: bool, force: bool) -> bool:
    """Show what would be written; returns whether anything would fail."""
    from pipelines.restore import comparison
    from pipelines.restore.jobs import fault_of

    fault_of_job = {job: fault for job in missing if (fault := fault_of(job))}
    for job in missing:
        if job not in fault_of_job:
            click.echo(f"{job.source} -> {job.target}")
    for job in plan.jobs if compare else ():
        if not job.is_video and job not in fault_of_job and (force or not comparison.is_current(job.target)):
            click.echo(f"{job.source} -> {comparison.path_of(job.target)}")
    for fault in fault_of_job.values():
        click.echo(fault, err=True)
    failing = f"; {len(fault_of_job)} would fail" if fault_of_job else ""
    click.echo(f"dry run: nothing was written{failing}")
    return bool(fault_of_job or plan.faults)


def _network(weights: Path | None, is_ensemble: bool, strength: float) -> "Network":
    """The network that restores."""
    from cdgnet import PRETRAINED
    from pipelines.restore.origins import Network
    from pipelines.restore.weights_files import weights_checksum

    return Network(weights=weights_checksum(weights or PRETRAINED), is_ensemble=is_ensemble, strength=strength)


def _restore(
    jobs: "Sequence[RestoreJob]",
    restorer: "Restorer",
    settings: "RestoreSettings",
    note: "Callable[[RestoreJob, os.stat_result], None]",
) -> "list[Outcome]":
    """Restore what is missing, and report what went wrong. ``note`` is called for each written result."""
    from pipelines.restore import deblurring

    parts, status_of = Parts(), {job: job.source.stat() for job in jobs if job.source.exists()}
    restoring = deblurring.deblur(jobs, restorer, settings, on_tile=parts)
    frames, lines = deblurring.survey(jobs)
    for line in lines:
        click.echo(line, err=True)
    steps = track(restoring, frames, f"deblurring on {restorer.device.type}", parts, unit="frames")
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


def _compare(jobs: "Sequence[RestoreJob]", out: Path, *, force: bool) -> list[str]:
    """Draw the comparisons that are missing or of an earlier result; returns what went wrong, one line each."""
    from pipelines.restore import comparison
    from pipelines.restore.jobs import name_fault
    from prep.errors import ReadError

    done = [job for job in jobs if not job.is_video and job.target.exists()]
    faults = [fault for job in done if (fault := name_fault(comparison.path_of(job.target)))]
    named = [job for job in done if not name_fault(comparison.path_of(job.target))]
    missing = [job for job in named if force or not comparison.is_current(job.target)]
    if existing := len(named) - len(missing):
        click.echo(f"{counted(existing, 'comparison')} already in {out}; skipped (--force draws again)")
    drawn = 0
    for job in track(missing, len(missing), "drawing comparisons", unit="pictures"):
        try:
            comparison.write(job.source, job.target)
            drawn += 1
        except ReadError as error:
            faults.append(str(error))
    for fault in faults:
        click.echo(fault, err=True)
    if drawn:
        first = comparison.path_of(missing[0].target)
        click.echo(f"drew {first}" if drawn == 1 else f"drew {counted(drawn, 'comparison')}, such as {first}")
    return faults


def _has_comparison(job: "RestoreJob") -> bool:
    from pipelines.restore import comparison
    from pipelines.restore.jobs import name_fault

    path = comparison.path_of(job.target)
    return not name_fault(path) and path.exists()


def _print_plan(plan: "RestorePlan", existing: int, out: Path) -> None:
    skipped = f"; {existing} already in {out}, skipped (--force overwrites)" if existing else ""
    click.echo(f"found {_counted(plan.jobs)}{skipped}")
    for fault in plan.faults:
        click.echo(fault, err=True)
    if plan.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(plan.ignored.items()))
        click.echo(f"ignored other files: {kinds}")


def _counted(jobs: "Sequence[RestoreJob]") -> str:
    videos = sum(job.is_video for job in jobs)
    pictures = len(jobs) - videos
    parts = [counted(pictures, "picture")] if pictures or not videos else []
    return " and ".join([*parts, *([counted(videos, "video")] if videos else [])])


def main() -> None:
    """Entry point."""
    run(command)
