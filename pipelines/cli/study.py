"""``cdg-study``: repeat the paper's comparisons, trained and scored within your own budget."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pipelines.cli.devices import make_fabric
from pipelines.cli.entry import SETTINGS, example, run
from pipelines.cli.parameters import PACK_FILE, output_type
from pipelines.cli.progress import announce_if_slow, track
from pipelines.cli.signals import StopOnSignal
from pipelines.cli.study_report import print_differences, print_list_of_studies, print_rows, scores_text
from pipelines.cli.tables import print_wrapped
from pipelines.cli.train import config_of, setting_options
from pipelines.study.definitions import STUDIES, Study
from prep.units import about, counted, duration

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.study.design import Training
    from pipelines.study.estimate import TimeEstimate
    from pipelines.train.runs import Run

_LIST = "list"
_EXAMPLE = "cdg-study table3 --h5 gopro.h5 --test gopro-test.h5 --steps 20000 --seeds 3"


@click.command("cdg-study", context_settings=SETTINGS, epilog=example(_EXAMPLE))
@click.version_option(package_name="cdgnet")
@click.argument("name", metavar="STUDY", type=click.Choice([_LIST, *STUDIES]))
@click.option(
    "--h5", "packs", type=PACK_FILE, multiple=True, metavar="FILE",
    help="Pack to train on. May be repeated with packs of the same crops and other masks, to compare the masks.",
)  # fmt: skip
@click.option("--fine", type=PACK_FILE, metavar="FILE", help="table2 only: pack of VideoDeblurring to fine-tune on.")
@click.option("--test", type=PACK_FILE, metavar="FILE", help="Pack to score on.")
@click.option(
    "--out", type=output_type, default="studies", show_default=True, metavar="DIR", help="Folder of the studies."
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="Trainings per row, each with its own random seed.",
)
@click.option(
    "--only", multiple=True, metavar="ROW", help="Name of a row to include; may be repeated.  [default: all rows]"
)
@setting_options("hours")
@click.option("--dry-run", is_flag=True, help="Show what would be trained and how long it would take, and exit.")
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
    """Repeat one of the paper's comparisons: train and score every row in the same way; write tables and a page.

    \b
    list         how long each study takes, on this machine and on one H100
    table1       CDGNet and other methods on GoPro
    table2       fine-tuning from GoPro to VideoDeblurring
    table3       the network, part by part
    table4       the attention of the large branch
    loss         Figure 10a: the loss function
    lambda       Figure 10b: the weight of the branches' losses
    masks        packs with different masks, and training without masks
    supervision  the component losses, compared with controls
    mu           Figure 11: the threshold of the masks

    Results: NAME.html, NAME.csv and NAME-runs.csv in the folder of the studies. Run the same command again to continue
    after an interruption. Several processes, started by hand or by torchrun, share the trainings.
    """
    if name == _LIST:
        config = config_of(settings, val)
        fabric = make_fabric(config.precision, _device())
        print_list_of_studies(config, seeds, fabric, _device_name(fabric))
        return
    if not packs or test is None:
        raise click.UsageError(f"{name} needs two packs; pass --h5 FILE to train on and --test FILE to score on")
    study = STUDIES[name]
    _refuse_unfit(study, packs, fine)
    base = config_of(settings, val)
    try:
        replace(base, seed=base.seed + seeds - 1)  # the last one
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    from pipelines.study import design

    _warn_of_test_data([*packs, *([fine] if fine else [])], test)
    rows = design.transfer_rows(study, base, packs[0], fine, only) if fine else design.rows(study, base, packs, only)
    trainings = design.trainings(rows, seeds, test, out)
    from pipelines.restore.compilation import refuse_without_compiler
    from pipelines.study import tables

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
    count = f"{counted(rows, 'row')} x {counted(seeds, 'seed')}"
    done_text = f"{done} of {counted(len(trainings), 'training')} done"
    click.echo(f"{study.title} ({study.source}): {count}, {done_text}")
    missing = {training.row.title for training in trainings if not training.is_done}
    with announce_if_slow(f"timing one training step of each row ({counted(len(missing), 'row')})"):
        estimate = TimeEstimate(trainings, fabric)
    precision = trainings[0].config.precision
    click.echo(f"on {_device_name(fabric)}, precision {precision}: {_left_text(estimate)}")
    return estimate


def _say_trainings(trainings: "Sequence[Training]", estimate: "TimeEstimate") -> None:
    for training in trainings:
        time_left = "done" if training.is_done else duration(estimate.seconds[training.row.title])
        click.echo(f"  {training.title}: {time_left}")
    click.echo("dry run: nothing was trained")


def _left_text(estimate: "TimeEstimate") -> str:
    missing = estimate.missing()
    if not missing:
        return "nothing left to train"
    return f"{counted(len(missing), 'training')} left, {about(estimate.seconds_left())}"


def _refuse_unfit(study: Study, packs: Sequence[Path], fine: Path | None) -> None:
    """Refuse options that the study sets itself, and packs that it cannot use."""
    context = click.get_current_context()
    for field in (*study.fields, *study.fixed):
        if context.get_parameter_source(field) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{field.replace('_', '-')} is varied or fixed by this study; leave it out")
    if study.is_transfer != (fine is not None) or (fine and len(packs) > 1):
        if fine is None:
            raise click.UsageError("table2 needs --fine FILE, a pack of VideoDeblurring to fine-tune on")
        found = "table2 takes one --h5" if study.is_transfer else "--fine is for table2 only; leave it out"
        raise click.UsageError(found)


def _warn_of_test_data(packs: Sequence[Path], test: Path) -> None:
    from prep.packs.reader import read_info

    scored = set(read_info(test).keys)
    for path in packs:
        pack = read_info(path)
        if pack.header.split == "test":
            click.echo(f"warning: {path} is a test split; networks trained on it cannot be compared by it", err=True)
        if both := scored.intersection(pack.keys):
            count = counted(len(scored), "frame")
            click.echo(f"warning: {len(both)} of {count} of {test} are also in {path}, for training", err=True)


def _device() -> int | list[int]:
    """One device per process: the one that a launcher assigns."""
    import torch

    return [int(os.environ.get("LOCAL_RANK", 0))] if torch.cuda.is_available() else 1


def _device_name(fabric: "Fabric") -> str:
    from pipelines import timing

    return timing.device_and_threads(fabric.device)


def _train_and_score(trainings: "Sequence[Training]", fabric: "Fabric", estimate: "TimeEstimate") -> list[str]:
    """Train and score what is missing and no other process trains; returns what failed."""
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
        click.echo(f"{name}: {scores_text(result.means)}; {_left_text(estimate)}")
    return failures


def _train(training: "Training", plan: "Run", fabric: "Fabric", stopped: StopOnSignal, name: str) -> None:
    """Finish a training, or save it and end the command after a signal."""
    from pipelines.train import loop

    if not plan.is_done:
        reports = loop.train(plan, fabric, stopped)
        for _ in track(reports, plan.steps, name, unit="steps", start=plan.start, position=lambda each: each.step):
            pass
    if stopped():
        raise stopped.stopped(
            f"stopped during {training.title}, saved in {training.folder}; run the same command again to continue"
        )


def _score(training: "Training", fabric: "Fabric", stopped: StopOnSignal, name: str) -> None:
    """Score a training, or end the command at once after a signal; its frames are then scored again next time."""
    from pipelines.study import scoring
    from pipelines.train import run_folder
    from prep.packs.reader import read_info

    count = len(read_info(training.test).frames)
    try:
        with run_folder.locked(training.folder), stopped.at_once():
            for _ in track(scoring.score(training, fabric), count, f"score {name}", unit="frames"):
                pass
    except KeyboardInterrupt as interrupt:
        message = f"stopped while scoring {training.title}; run the same command again to score it"
        raise stopped.stopped(message) from interrupt


def _publish(
    name: str,
    study: Study,
    trainings: "Sequence[Training]",
    failures: Sequence[str],
    fabric: "Fabric",
    out: Path,
) -> None:
    """Write the page and the tables of all results, and print them."""
    from pipelines.study import comparisons, page, scoring, sentences, tables

    results = scoring.read_results(trainings)
    for failure in failures:
        click.echo(failure, err=True)
    if not results:
        raise click.ClickException("no training has finished, so there is no table; see the messages above")
    table = comparisons.table_rows(results)
    print_rows(table)
    print_differences(table, study)
    for comparison in comparisons.compare(table, study.controls):
        print_wrapped(sentences.comparison_text(comparison))
    for sentence in (*sentences.author_sentences(table), *sentences.verdict(table)):
        print_wrapped(sentence)
    paths = [page.write(name, study, results, trainings[0].test, _device_name(fabric), out)]
    paths += tables.write_tables(name, table, out)
    click.echo(f"wrote {', '.join(map(str, paths))}")
    if others := len(trainings) - len(results) - len(failures):
        count = counted(len(trainings), "training")
        click.echo(f"{others} of {count} belong to other processes; the last process writes the complete table")
    if failures:
        raise click.ClickException(
            f"{len(failures)} of {counted(len(trainings), 'training')} failed; the tables leave them out"
        )


def main() -> None:
    """Entry point."""
    run(command)
