"""``cdg-study``: the paper's comparisons, trained and scored at a budget of one's own."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli.devices import make_fabric
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE
from pipelines.cli.progress import announce_if_slow, print_table, track
from pipelines.cli.signals import StopOnSignal
from pipelines.cli.train import config_of, setting_options
from pipelines.study.definitions import STUDIES, Study
from prep.units import duration

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.study.comparisons import TableRow
    from pipelines.study.design import Training
    from pipelines.study.estimate import TimeEstimate
    from pipelines.train.runs import Run
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
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, metavar="N", help="Trainings a row."
)
@click.option("--only", multiple=True, metavar="ROW", help="Row to include; may be repeated.  [default: all]")
@setting_options("hours")
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

    list: how long each would take, here and on one H100; table1: the network beside others; table2: fine-tuned from
    GoPro to VideoDeblurring; table3: part by part; table4: attention; loss: Figure 10a; lambda: Figure 10b; mu: Figure
    11; masks: a pack for each kind of masks, and none; supervision: the component losses, with controls. The same
    command goes on; several processes, started by hand or by torchrun, share the trainings.
    """
    if name == _LIST:
        _list(config_of(settings, val), seeds)
        return
    if not packs or test is None:
        raise click.UsageError(f"{name} needs --h5, a pack to train on, and --test, one to score on")
    study = STUDIES[name]
    _refuse_unfit(study, packs, fine)
    from pipelines.restore.compilation import refuse_without_compiler
    from pipelines.study import design, tables

    base = config_of(settings, val)
    try:
        replace(base, seed=base.seed + seeds - 1)  # the last one
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _warn_of_test_data([*packs, *([fine] if fine else [])], test)
    rows = design.transfer_rows(study, base, packs[0], fine, only) if fine else design.rows(study, base, packs, only)
    trainings = design.trainings(rows, seeds, test, out)
    tables.refuse_other_tables(name, trainings, out)
    fabric = make_fabric(base.precision, _device())
    if base.compile:
        refuse_without_compiler(fabric.device)
    estimate = _say_plan(study, trainings, seeds, fabric)
    if dry_run:
        _say_trainings(trainings, estimate)
        return
    failures = _train_and_score(trainings, fabric, estimate)
    _publish(name, study, trainings, failures, fabric, out)


def _say_plan(study: Study, trainings: "Sequence[Training]", seeds: int, fabric: "Fabric") -> "TimeEstimate":
    from pipelines.study.estimate import TimeEstimate

    done = sum(training.is_done for training in trainings)
    rows = len({training.row.title for training in trainings})
    click.echo(f"{study.title}, {study.source}: {rows} rows x {seeds} seeds, {done} of {len(trainings)} trainings done")
    missing = {training.row.title for training in trainings if not training.is_done}
    with announce_if_slow(f"measuring a step of each of {len(missing)} rows"):
        estimate = TimeEstimate(trainings, fabric)
    precision = trainings[0].config.precision
    click.echo(f"on {_device_name(fabric)}, precision {precision}: {_left_text(estimate)}")
    return estimate


def _say_trainings(trainings: "Sequence[Training]", estimate: "TimeEstimate") -> None:
    for training in trainings:
        time_left = "done" if training.is_done else duration(estimate.seconds[training.row.title])
        click.echo(f"  {training.title}: {time_left}")
    click.echo("nothing done: --dry-run")


def _left_text(estimate: "TimeEstimate") -> str:
    missing = estimate.missing()
    if not missing:
        return "nothing left to train"
    count = f"{len(missing)} {'training' if len(missing) == 1 else 'trainings'}"
    return f"{count} to go, about {duration(estimate.seconds_left())}"


def _list(base: "TrainingConfig", seeds: int) -> None:
    from rich.table import Table

    from pipelines.study import budget

    fabric = make_fabric(base.precision, _device())
    with announce_if_slow("measuring a step"):
        budgets = budget.budgets(base, seeds, fabric)
    name = _device_name(fabric)
    table = Table("study", "", "in the paper", "rows x seeds", "new", f"on {name}", "on one H100")
    for one in budgets:
        own = one.trainings - one.known
        each = (one.seconds, one.h100_seconds)
        times = ["-" if seconds is None or not own else duration(seconds) for seconds in each]
        table.add_row(
            one.name, one.study.title, one.study.source, str(one.trainings), str(own) if own else "none", *times
        )
    print_table(table, width=160)
    length = f"{base.steps:,} steps" if base.steps else f"{base.epochs:,} epochs of {budget.FRAMES:,} frames"
    click.echo(
        f"{length}, {base.preset} widths, batches of {base.batch} x {base.crop} x {base.crop}, {seeds} seeds; "
        f"masks is counted with {', '.join(budget.MASKS)} and none; 'new' leaves out what a study above trains too"
    )
    click.echo(
        "A step of cdgnet was measured here; the time of other networks is in proportion to their multiply-accumulates."
        " Times on the H100 are estimated likewise, from the 32 ms that a step took there (docs/gpu.md)."
    )


def _refuse_unfit(study: Study, packs: Sequence[Path], fine: Path | None) -> None:
    """Refuse options that the study varies itself, and packs that it cannot use."""
    context = click.get_current_context()
    for field in (*study.fields, *study.fixed):
        if context.get_parameter_source(field) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{field.replace('_', '-')} is what this study varies; leave it out")
    if study.is_transfer != (fine is not None) or (fine and len(packs) > 1):
        raise click.UsageError("--fine is for table2 alone, which needs it, and one --h5")


def _warn_of_test_data(packs: Sequence[Path], test: Path) -> None:
    from prep.packs.reader import read_info

    scored = set(read_info(test).keys)
    for path in packs:
        pack = read_info(path)
        if pack.header.split == "test":
            click.echo(f"{path} holds the test split: scores on it will say nothing about these networks", err=True)
        if both := scored.intersection(pack.keys):
            click.echo(f"{len(both)} of the {len(scored)} frames of {test} are trained on too, in {path}", err=True)


def _device() -> int | list[int]:
    """One device a process: the one that a launcher assigns."""
    import torch

    return [int(os.environ.get("LOCAL_RANK", 0))] if torch.cuda.is_available() else 1


def _device_name(fabric: "Fabric") -> str:
    from pipelines import timing

    return timing.device_and_threads(fabric.device)


def _train_and_score(trainings: "Sequence[Training]", fabric: "Fabric", estimate: "TimeEstimate") -> list[str]:
    """Train and score what is missing and no other process trains; gives what failed."""
    from pipelines.errors import DataError, RunInUse, TrainingError
    from pipelines.study import scoring

    stopped = StopOnSignal()
    failures = []
    for place, training in enumerate(trainings, 1):
        if training.is_done or (training.first and not training.first.is_done):
            continue
        name = f"{place}/{len(trainings)} {training.title}"
        began = time.monotonic()
        plan = training.plan(keep=True)
        try:
            _train(training, plan, fabric, stopped, name)
            _score(training, fabric, stopped, name)
            estimate.correct(training, (plan.steps - plan.start) / plan.steps, time.monotonic() - began)
        except RunInUse:
            continue
        except (DataError, TrainingError) as error:
            failures.append(f"{training.title}: {error}")
            click.echo(failures[-1], err=True)
            continue
        (result,) = scoring.read_results([training])
        click.echo(f"{name}: {_scores_text(result.means)}; {_left_text(estimate)}")
    return failures


def _train(training: "Training", plan: "Run", fabric: "Fabric", stopped: StopOnSignal, name: str) -> None:
    """Bring a training to its end, or save it and end the command after a signal."""
    from pipelines.train import loop

    if not plan.is_done:
        for _ in track(loop.train(plan, fabric, stopped), plan.steps - plan.start, name):
            pass
    if stopped():
        raise stopped.stopped(f"stopped in {training.title}, saved in {training.folder}; the same command goes on")


def _score(training: "Training", fabric: "Fabric", stopped: StopOnSignal, name: str) -> None:
    """Score a training, or end the command at once after a signal: its frames are scored again next time."""
    from pipelines.study import scoring
    from pipelines.train import run_folder
    from prep.packs.reader import read_info

    count = len(read_info(training.test).frames)
    try:
        with run_folder.locked(training.folder), stopped.at_once():
            for _ in track(scoring.score(training, fabric), count, f"score {name}"):
                pass
    except KeyboardInterrupt as interrupt:
        message = f"stopped while scoring {training.title}; the same command scores it again"
        raise stopped.stopped(message) from interrupt


def _scores_text(means: Mapping[str, float]) -> str:
    parts = (("psnr", "PSNR"), ("psnr_m1", "M=1"), ("psnr_m0", "M=0"))
    return ", ".join(f"{title} {means[f'{name}_blurry']:.2f} → {means[name]:.2f} dB" for name, title in parts)


def _publish(
    name: str,
    study: Study,
    trainings: "Sequence[Training]",
    failures: Sequence[str],
    fabric: "Fabric",
    out: Path,
) -> None:
    """Write the page and the tables of all results, and say what they say."""
    from pipelines.study import comparisons, page, scoring, sentences, tables

    results = scoring.read_results(trainings)
    for failure in failures:
        click.echo(failure, err=True)
    if not results:
        raise click.ClickException("no training has come to an end, so there is no table")
    table = comparisons.table_rows(results)
    _print_table(table)
    _print_differences(table, study)
    for comparison in comparisons.compare(table, study.controls):
        click.echo(sentences.comparison_text(comparison))
    for sentence in (*sentences.author_sentences(table), *sentences.verdict(table)):
        click.echo(sentence)
    paths = [page.write(name, study, results, trainings[0].test, _device_name(fabric), out)]
    paths += tables.write_tables(name, table, out)
    click.echo(f"wrote {', '.join(map(str, paths))}")
    if others := len(trainings) - len(results) - len(failures):
        click.echo(f"trained by other processes: {others} of {len(trainings)}; the last to end writes the whole table")
    if failures:
        raise click.ClickException(f"{len(failures)} of {len(trainings)} trainings failed; the tables leave them out")


def _print_table(table: "Sequence[TableRow]") -> None:
    from rich.table import Table

    from pipelines.study.comparisons import DIVISION, MEASURES, dividing_rows, with_spread

    printed = Table("row", "masks", "PSNR, dB", "M = 1", "M = 0", "SSIM", "seeds")
    for line in table:
        cells = [with_spread(line, measure) for measure in MEASURES]
        printed.add_row(line.row.name, line.row.masks, *cells, str(len(line.results)))
    print_table(printed)
    if dividing := dividing_rows(table):
        printed = Table("is the division learnt?", "masks", *DIVISION.values())
        for line in dividing:
            printed.add_row(line.row.name, line.row.masks, *(with_spread(line, name) for name in DIVISION))
        print_table(printed)


def _print_differences(table: "Sequence[TableRow]", study: Study) -> None:
    """Each row against the study's controls, where it has some."""
    from rich.table import Table

    from pipelines.study.comparisons import WHERE, against_controls
    from pipelines.study.sentences import difference_text

    for measure, where in WHERE.items():
        controls, lines = against_controls(table, study.controls, measure)
        if not lines:
            return
        printed = Table(f"PSNR, {where}:\ndifference in dB", *(f"against\n{line.row.title}" for line in controls))
        for line, cells in lines:
            printed.add_row(line.row.title, *map(difference_text, cells))
        print_table(printed)
    click.echo("95 % intervals of the differences seed by seed; * where one excludes 0, as 1 in 20 does by chance")


def main() -> None:
    """Entry point."""
    run(command)
