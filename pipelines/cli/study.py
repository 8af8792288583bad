"""``cdg-study``: the paper's comparisons, trained and scored at a budget of one's own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli.devices import make_fabric
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE
from pipelines.cli.progress import announce_if_slow, duration, track
from pipelines.cli.signals import StopOnSignal
from pipelines.cli.train import config_of, setting_options
from pipelines.study.definitions import STUDIES, Study

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.study.design import Job
    from pipelines.train.settings import TrainingConfig

path_type = click.Path(path_type=Path)
_LIST = "list"
_EXAMPLE = "cdg-study table3 --h5 gopro.h5 --test gopro-test.h5 --steps 20000 --seeds 3"


@click.command("cdg-study", context_settings=SETTINGS, epilog=example(_EXAMPLE))
@click.version_option(package_name="cdgnet")
@click.argument("name", metavar=f"[{_LIST}|{'|'.join(STUDIES)}]", type=click.Choice([_LIST, *STUDIES]))
@click.option(
    "--h5", "packs", type=PACK_FILE, multiple=True, metavar="FILE",
    help="Pack to train on; may be repeated, with the same crops and other masks, to compare these too.",
)  # fmt: skip
@click.option("--fine", type=PACK_FILE, metavar="FILE", help="table2: the pack of VideoDeblurring, to fine-tune on.")
@click.option("--test", type=PACK_FILE, metavar="FILE", help="Pack to score on; its masks divide M.")
@click.option("--out", type=path_type, default="studies", show_default=True, metavar="DIR", help="Study folder.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Trainings a row.")
@click.option("--only", multiple=True, metavar="ROW", help="Row to include; may be repeated.  [default: all]")
@setting_options
@click.option("--dry-run", is_flag=True, help="Say what would be trained and for how long, and stop.")
def command(
    name: str,
    packs: tuple[Path, ...],
    fine: Path | None,
    test: Path | None,
    out: Path,
    seeds: int,
    only: tuple[str, ...],
    val: tuple[str, ...],
    dry_run: bool,
    **settings: Any,
) -> None:
    """Train every row of one of the paper's comparisons alike, score them alike, and write a page and tables.

    list: what each would take, here and on one H100; table1: the network beside others; table2: fine-tuned from GoPro
    to VideoDeblurring; table3: part by part; table4: attention; loss: Figure 10a; lambda: Figure 10b; mu: Figure 11;
    masks: a pack for each kind of masks, and none. The same command goes on; started again beside the first, by hand or
    by torchrun, it takes trainings that no other process has in hand.
    """
    if name == _LIST:
        _list(config_of(settings, val), seeds)
        return
    if not packs or test is None:
        raise click.UsageError(f"{name} wants --h5, a pack to train on, and --test, one to score on")
    study = STUDIES[name]
    _refuse_varied(study)
    if study.is_transfer != (fine is not None) or (fine and len(packs) > 1):
        raise click.UsageError("--fine is for table2 alone, which wants it, and one --h5")
    from pipelines.study import design

    base = config_of(settings, val)
    _warn_of_test_data([*packs, *([fine] if fine else [])], test)
    chosen = design.transfer(study, base, packs[0], fine, only) if fine else design.rows(study, base, packs, only)
    jobs = design.jobs(chosen, seeds, test, out)
    design.refuse_other_tables(name, jobs, out)
    fabric = make_fabric(base.precision, _device())
    done = sum(job.is_done for job in jobs)
    rows = len({job.row.title for job in jobs})
    click.echo(f"{study.title}, {study.source}: {rows} rows x {seeds} seeds, {done} of {len(jobs)} trainings done")
    left = _Left(jobs, fabric)
    click.echo(f"on {_device_name(fabric)}, precision {base.precision}: {left}")
    if dry_run:
        for job in jobs:
            click.echo(f"  {job.title}: {'done' if job.is_done else duration(left.seconds[job.row.title])}")
        click.echo("nothing done: --dry-run")
        return
    failed = _work(jobs, fabric, left)
    found = design.results(jobs)
    for text in failed:
        click.echo(text, err=True)
    if not found:
        raise click.ClickException("no training has come to an end, so there is no table")
    _publish(name, study, found, test, fabric, out)
    if busy := len(jobs) - len(found) - len(failed):
        click.echo(f"in the hands of other processes: {busy} of {len(jobs)}; the last to end writes the whole table")
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(jobs)} trainings failed; the tables leave them out")


def _list(base: "TrainingConfig", seeds: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipelines.study import budget

    fabric = make_fabric(base.precision, _device())
    with announce_if_slow("measuring a step"):
        found = budget.budgets(base, seeds, fabric)
    name = _device_name(fabric)
    table = Table("study", "", "in the paper", "rows x seeds", "new", f"on {name}", "on one H100, predicted")
    for one in found:
        own = one.trainings - one.known
        each = (one.seconds, one.h100_seconds)
        times = ["-" if seconds is None or not own else duration(seconds) for seconds in each]
        table.add_row(
            one.name, one.study.title, one.study.source, str(one.trainings), str(own) if own else "none", *times
        )
    Console(width=None if Console().is_terminal else 160).print(table)
    budget_ = f"{base.steps:,} steps" if base.steps else f"{base.epochs:,} epochs of {budget.FRAMES:,} frames"
    click.echo(
        f"{budget_}, {base.preset} widths, batches of {base.batch} x {base.crop} x {base.crop}, {seeds} seeds; "
        f"masks is counted with {', '.join(budget.MASKS)} and none; 'new' leaves out what a study above trains too"
    )
    click.echo(
        "A step of cdgnet was measured here; other networks go by their multiply-accumulates. No H100 was measured: "
        "that column is the prediction of docs/gpu.md."
    )


def _refuse_varied(study: Study) -> None:
    context = click.get_current_context()
    for field in (*study.fields, *study.fixed):
        if context.get_parameter_source(field) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{field.replace('_', '-')} is what this study varies; leave it out")


def _warn_of_test_data(packs: Sequence[Path], test: Path) -> None:
    from prep.packs import store

    with store.open_pack(test) as file:
        scored = set(store.read_keys(file))
    for pack in packs:
        if store.describe(pack)["split"] == "test":
            click.echo(f"{pack} holds the test split: scores on it will say nothing about these networks", err=True)
        with store.open_pack(pack) as file:
            both = scored & set(store.read_keys(file))
        if both:
            click.echo(f"{len(both)} of the {len(scored)} frames of {test} are trained on too, in {pack}", err=True)


def _device() -> int | list[int]:
    """One device a process: the one that a launcher assigns."""
    import torch

    return [int(os.environ.get("LOCAL_RANK", 0))] if torch.cuda.is_available() else 1


def _device_name(fabric: "Fabric") -> str:
    from pipelines import timing

    return timing.device_and_threads(fabric.device)


class _Left:
    """How long the trainings that are not done will take: a step of each row measured once, mended by what was seen."""

    def __init__(self, jobs: "Sequence[Job]", fabric: "Fabric") -> None:
        from pipelines.train import forecast

        self.jobs = jobs
        self.seconds: dict[str, float] = {}  # of a training, by row
        self.spent = self.expected = 0.0
        open_ = {job.row.title: job for job in jobs if not job.is_done}
        with announce_if_slow(f"measuring a step of each of {len(open_)} rows"):
            for title, job in open_.items():
                plan = job.plan(keep=False)
                step = forecast.seconds_a_step(job.config, fabric)
                validation = forecast.validations_left(plan) * forecast.seconds_a_validation(plan, step)
                self.seconds[title] = step * plan.steps + validation

    def saw(self, job: "Job", share: float, seconds: float) -> None:
        """So much of a training took so long."""
        self.spent += seconds
        self.expected += share * self.seconds[job.row.title]

    def __str__(self) -> str:
        waiting = [job for job in self.jobs if not job.is_done]
        pace = self.spent / self.expected if self.expected else 1.0
        left = pace * sum(self.seconds[job.row.title] for job in waiting)
        if not waiting:
            return "nothing left to train"
        return f"{len(waiting)} {'training' if len(waiting) == 1 else 'trainings'} to go, about {duration(left)}"


def _work(jobs: "Sequence[Job]", fabric: "Fabric", left: _Left) -> list[str]:
    """Train and score what is open and nobody else has in hand; gives what failed."""
    import time

    from pipelines.errors import DataError, RunInUse, TrainingError
    from pipelines.study import design
    from pipelines.train import loop, runs
    from prep.packs import store

    stopped = StopOnSignal()
    failed = []
    for place, job in enumerate(jobs, 1):
        if job.is_done or (job.first and not job.first.is_done):
            continue
        began = time.monotonic()
        plan = job.plan(keep=True)
        what = f"{place}/{len(jobs)} {job.title}"
        try:
            if not plan.is_done:
                for _ in track(loop.train(plan, fabric, stopped), plan.steps - plan.start, what):
                    pass
            if stopped():
                raise stopped.stopped(f"stopped in {job.title}, saved in {job.folder}; the same command goes on")
            left.saw(job, (plan.steps - plan.start) / plan.steps, time.monotonic() - began)
            with runs.held(plan):
                for _ in track(design.score(job, fabric), store.describe(job.test)["crops"], f"score {what}"):
                    pass
        except RunInUse:
            continue
        except (DataError, TrainingError) as error:
            failed.append(f"{job.title}: {error}")
            click.echo(failed[-1], err=True)
            continue
        (found,) = design.results([job])
        click.echo(f"{what}: {_said(found.means)}; {left}")
    return failed


def _said(means: Mapping[str, float]) -> str:
    parts = (("psnr", "PSNR"), ("psnr_m1", "M=1"), ("psnr_m0", "M=0"))
    return ", ".join(f"{title} {means[f'{name}_blurry']:.2f} → {means[name]:.2f} dB" for name, title in parts)


def _publish(name: str, study: Study, found: "Sequence[Any]", test: Path, fabric: "Fabric", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipelines.study import design, page

    lines = design.lines(found)
    table = Table("row", "masks", "PSNR, dB", "M = 1", "M = 0", "SSIM", "seeds")
    for line in lines:
        cells = [
            f"{line.mean(figure):.{2 if figure.startswith('psnr') else 4}f}"
            + (f" ± {line.spread(figure):.{2 if figure.startswith('psnr') else 4}f}" if len(line.results) > 1 else "")
            for figure in design.FIGURES
        ]
        table.add_row(line.row.name, line.row.masks, *cells, str(len(line.results)))
    Console(width=None if Console().is_terminal else 140).print(table)
    for step in design.steps(lines):
        click.echo(str(step))
    for text in (*design.of_author(lines), *design.verdict(lines)):
        click.echo(text)
    paths = [page.write(name, study, found, test, _device_name(fabric), out)]
    paths += design.write_tables(name, lines, out)
    click.echo(f"wrote {', '.join(map(str, paths))}")


def main() -> None:
    """Entry point."""
    run(command)
