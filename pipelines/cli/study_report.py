"""What ``cdg-study`` prints: how long studies take, and their tables."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pipelines.cli.progress import announce_if_slow
from pipelines.cli.tables import print_list, print_table, print_wrapped
from prep.units import counted, duration

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.study.comparisons import TableRow
    from pipelines.study.definitions import Study
    from pipelines.train.settings import TrainingConfig


def print_list_of_studies(base: "TrainingConfig", seeds: int, fabric: "Fabric", device: str) -> None:
    """How long each study takes, here and on one H100."""
    from pipelines.study import budget

    with announce_if_slow("timing one training step"):
        budgets = budget.budgets(base, seeds, fabric)
    rows = []
    for one in budgets:
        own = one.trainings - one.known
        each = (one.seconds, one.h100_seconds)
        times = ["-" if seconds is None or not own else duration(seconds) for seconds in each]
        rows.append([one.name, str(one.trainings), str(own), *times])
    print_table(["study", "trainings", "new", "time\nhere", "time on\none H100"], rows)
    length = counted(base.steps, "step") if base.steps else f"{base.epochs:,} epochs of {budget.FRAMES:,} frames"
    click.echo()
    for one in budgets:
        click.echo(f"{one.name:11}  {one.study.title} ({one.study.source})")
    print_list(
        "\nnotes",
        [
            f"each training: {length}, preset {base.preset}, {base.batch} crops of {base.crop} x {base.crop} per step",
            f"trainings: rows x {counted(seeds, 'seed')}; masks with {', '.join(budget.MASKS)} and without masks",
            "new: trainings that no study above shares",
            f"here: {device}; one step of cdgnet was timed, and other networks are estimated from their GMac",
            f"H100: the same estimate, from {1000 * budget.H100_STEP:.0f} ms per step measured there (docs/gpu.md)",
        ],
    )


def scores_text(means: Mapping[str, float]) -> str:
    """The PSNR of a training before and after, whole and of both components, in one line."""
    parts = (("psnr", "PSNR"), ("psnr_m1", "M = 1"), ("psnr_m0", "M = 0"))
    known = [(title, means[f"{name}_blurry"], means[name]) for name, title in parts if not math.isnan(means[name])]
    return ", ".join(f"{title} {before:.2f} -> {after:.2f} dB" for title, before, after in known)


def print_rows(table: "Sequence[TableRow]") -> None:
    """The scores of each row, and whether its branches divide the frame."""
    from pipelines.study.comparisons import DIVISION, MEASURES, dividing_rows

    print_table(["", "PSNR,\ndB", "M = 1,\ndB", "M = 0,\ndB", "SSIM"], [_named(line, MEASURES) for line in table])
    is_spread = any(len(line.results) > 1 for line in table)
    print_wrapped(f"{'means ± standard deviations' if is_spread else 'scores'} of {_seeds_text(table)}")
    print_wrapped("PSNR: RGB, 8 bits; M = 1 where blur is small, M = 0 where it is large")
    print_wrapped("SSIM: as in scikit-image, Gaussian window, mean of the channels")
    dividing = dividing_rows(table)
    aucs, leads = ([name for name in DIVISION if name.startswith(start)] for start in ("auc", "lead"))
    for title, names in (("attention", aucs), ("each branch against the other", leads)) if dividing else ():
        click.echo()
        heads = [DIVISION[name].replace(", ", ",\n").replace(" where ", "\nwhere ") for name in names]
        print_table([title, *heads], [_named(line, names) for line in dividing])
    if dividing:
        print_wrapped("AUC of small against large blur: 0.5 is chance, 1 is perfect")
    click.echo()


def _seeds_text(table: "Sequence[TableRow]") -> str:
    """How many seeds the rows have; by row if not all have as many."""
    counts = {line.row.title: len(line.results) for line in table}
    if len(set(counts.values())) == 1:
        return counted(next(iter(counts.values())), "seed")
    return "; ".join(f"{counted(count, 'seed')} of {title}" for title, count in counts.items())


def _named(line: "TableRow", measures: Sequence[str]) -> list[str]:
    """A row's name and its scores."""
    from pipelines.study.comparisons import with_spread

    return [line.row.title, *(with_spread(line, measure) for measure in measures)]


def print_differences(table: "Sequence[TableRow]", study: "Study") -> None:
    """Each row against the study's controls, if it has some."""
    from pipelines.study.comparisons import WHERE, against_controls
    from pipelines.study.sentences import difference_text

    for measure, where in WHERE.items():
        controls, lines = against_controls(table, study.controls, measure)
        if not lines:
            return
        heads = [f"PSNR, {where}:\ndifference in dB", *(f"against\n{line.row.title}" for line in controls)]
        print_table(
            heads, [[line.row.title, *(difference_text(cell) or "-" for cell in cells)] for line, cells in lines]
        )
        click.echo()
    if max(len(line.results) for line in table) < 2:
        print_wrapped("No intervals: one seed shows no variation between seeds.")
        return
    print_wrapped(
        "95 % intervals of the differences, paired by seed; * where an interval excludes 0 (1 in 20 does by chance)"
    )
