"""``cdg-deblur``: pictures, folders and videos in, the same out, sharper."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli.devices import device_options, make_restorer
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import WEIGHTS_FILE
from pipelines.cli.progress import track

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.restore.inputs import Job

path_type = click.Path(path_type=Path)


@click.command(
    "cdg-deblur",
    context_settings=SETTINGS,
    epilog=example("cdg-deblur photo.jpg clip.mp4 holiday/ --weights runs/gopro/weights.safetensors --out restored"),
)
@click.version_option(package_name="cdgnet")
@click.argument("inputs", nargs=-1, required=True, type=path_type)
@click.option("--weights", type=WEIGHTS_FILE, required=True, metavar="FILE", help="Written by cdg-train.")
@click.option("--out", type=path_type, default="restored", metavar="DIR", help="Results.  [default: restored]")
@click.option("--force", is_flag=True, help="Replace results that are there.")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help="Of JPEG, WebP, AVIF, HEIC and videos; what had no loss gets none.",
)
@click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="Frames of one size restored at once."
)
@click.option("--dry-run", is_flag=True, help="Say what would become what, and do nothing.")
@device_options
def command(
    inputs: tuple[Path, ...],
    weights: Path,
    out: Path,
    force: bool,
    quality: int,
    batch: int,
    dry_run: bool,
    precision: str,
    is_compiled: bool,
    tile: int | None,
    is_ensemble: bool,
) -> int:
    """Deblur pictures and videos of any size; names, sizes, depth, alpha, profiles, EXIF, rate and sound stay.

    Folders are searched to the bottom and their structure is kept; patterns in quotes are expanded. Results that are
    there are passed over, and a video that was killed goes on.
    """
    from pipelines.restore.inputs import plan_jobs

    plan = plan_jobs(inputs, out)
    left = [job for job in plan.jobs if force or not job.target.exists()]
    _announce(plan.jobs, left, plan.others, out)
    if dry_run:
        for job in left:
            click.echo(f"{job.source} -> {job.target}")
        return 0
    from pipelines.evaluate.scores import checksum
    from pipelines.restore import deblurring

    restorer = make_restorer(weights, precision, is_compiled, tile, is_ensemble, batch)
    marks: dict[str, str | int | bool] = {
        "weights": checksum(weights),
        "precision": precision,
        "is_ensemble": is_ensemble,
    }
    settings = deblurring.Settings(quality=quality, batch=batch, marks=marks)
    work = deblurring.deblur(left, restorer, settings)
    total = deblurring.count_frames(left)
    outcomes = [outcome for outcome in track(work, total, f"deblur on {restorer.device.type}") if outcome.is_done]
    faults = [outcome.fault for outcome in outcomes if outcome.fault]
    for fault in faults:
        click.echo(fault, err=True)
    failed = f", {len(faults)} failed" if faults else ""
    click.echo(f"wrote {_counted([each.job for each in outcomes if not each.fault])} into {out}{failed}")
    return 1 if faults else 0


def _announce(jobs: "Sequence[Job]", left: "Sequence[Job]", others: "Mapping[str, int]", out: Path) -> None:
    there = len(jobs) - len(left)
    passed = f"; {there} are in {out} already, passed over (--force)" if there else ""
    click.echo(_counted(jobs) + passed)
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        click.echo(f"passed over, neither picture nor video: {kinds}")


def _counted(jobs: "Sequence[Job]") -> str:
    from prep.datasets.layouts import counted

    films = sum(job.is_video for job in jobs)
    parts = [counted(len(jobs) - films, "picture")] if len(jobs) > films or not films else []
    return " and ".join([*parts, *([counted(films, "video")] if films else [])])


def main() -> None:
    """Entry point."""
    run(command)
