"""Accuracy of each sharpness map on frames with known blur; truth.py describes the groups (a), (b) and (c).

Usage: ``python benchmarks/supervision.py --data DIR [--save]``. DIR contains GOPRO_Large, GOPRO_Large_all and
blur_detection. ``--save`` writes benchmarks/results/supervision-DATE.json and a figure next to it.

Pixels with a blur length of at most 3 pixels have small blur, those with 8 pixels or more have large blur. Only
textured pixels of these two classes count, and maps are sampled at every fourth row and column.

* AUC: area under the ROC curve of S, with small blur as the positive class, over all frames of a group; median: the
  median of the frames' own AUCs.
* prec., recall, F1: precision, recall and F1 score of the mask M = S > 0.96.
* strict: precision if blur lengths between 3 and 8 pixels count as errors, too.
* share: mean share of the frame with M = 1; empty: share of frames without any such pixel.

The method ``extent`` is excluded, because its input is the blur length used as ground truth here.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from surroundings import add_save, save, surroundings
from truth import SEEDS, Photograph, Recording, Scene, find

from prep import parallel
from prep.sharpness import METHODS
from prep.sharpness.paired import extent

MU = 0.96
SMALL, LARGE = 3.0, 8.0  # pixels
LONGEST = 20.0  # pixels, largest blur length included in the relative error
STRIDE = 4
GROUPS = {"a": "scenes", "b": "240 fps GoPro", "c": "CUHK"}
MEASURED = tuple(name for name, method in METHODS.items() if method.beside != "extent")

Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One method on one frame: S and blur length of the pixels that count, and mask share of the whole frame."""

    group: str
    method: str
    sharpness: Numbers
    extent: Numbers
    mask_share: float


@dataclass(frozen=True, kw_only=True)
class Extents:
    """Blur lengths of the pixels that count on one frame: as measured by ``paired``, and true."""

    group: str
    measured: Numbers
    true: Numbers


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of the table: one method on one group of frames; NaN if a measure does not apply."""

    group: str
    method: str
    frames: int
    auc: float
    auc_median: float
    precision: float
    strict: float
    recall: float
    f1: float
    mask_share: float
    empty: float


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Error of the blur length measured by ``paired``, for true lengths from 3 to 20 pixels."""

    group: str
    median_error: float  # relative
    curve: list[tuple[float, float, float, float]]  # true blur length, quartiles of the measured one


@dataclass(frozen=True, kw_only=True)
class Task:
    """A source of frames and the methods to run on it."""

    source: Scene | Recording | Photograph
    methods: tuple[str, ...]


def measure(task: Task) -> tuple[list[Outcome], list[Extents]]:
    """Run all methods on the frames of one source."""
    outcomes: list[Outcome] = []
    extents: list[Extents] = []
    for case in task.source.make():
        every = slice(None, None, STRIDE)
        counted = case.counted[every, every]
        maps = {
            name: METHODS[name].compute(case.blurry, case.sharp)
            for name in task.methods
            if case.sharp is not None or not METHODS[name].beside
        }
        if case.sharp is not None and "paired" in maps:
            measured = extent(case.blurry, case.sharp)[every, every][counted]
            extents.append(Extents(group=case.group, measured=measured, true=case.extent[every, every][counted]))
        outcomes += [
            Outcome(
                group=case.group,
                method=name,
                sharpness=sharpness[every, every][counted],
                extent=case.extent[every, every][counted],
                mask_share=float((sharpness > MU).mean()),
            )
            for name, sharpness in maps.items()
        ]
    return outcomes, extents


def auc(small: Numbers, large: Numbers) -> float:
    """Compute the area under the ROC curve, from the S of pixels with small and with large blur.

    It is the probability that S is higher at a random pixel with small blur than at one with large blur, where ties
    count one half (Mann & Whitney 1947). NaN if a class is empty.
    """
    if not small.size or not large.size:
        return float("nan")
    _, place, count = np.unique(np.concatenate([small, large]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[: small.size].sum() - small.size * (small.size + 1) / 2) / (small.size * large.size))


def score(outcomes: Sequence[Outcome]) -> Line:
    """Compute one row of the table: one method on all frames of one group."""
    sharpness = np.concatenate([each.sharpness for each in outcomes])
    true = np.concatenate([each.extent for each in outcomes])
    small, large = true <= SMALL, true >= LARGE
    marked = sharpness > MU
    hits = int((marked & small).sum())
    precision, strict = (hits / max(int(n), 1) for n in ((marked & (small | large)).sum(), marked.sum()))
    recall = hits / max(int(small.sum()), 1)
    areas = [
        auc(each.sharpness[each.extent <= SMALL], each.sharpness[each.extent >= LARGE])
        for each in outcomes
        if min((each.extent <= SMALL).sum(), (each.extent >= LARGE).sum()) >= 50
    ]
    return Line(
        group=outcomes[0].group,
        method=outcomes[0].method,
        frames=len(outcomes),
        auc=auc(sharpness[small], sharpness[large]),
        auc_median=float(np.median(areas)) if areas else float("nan"),
        precision=precision,
        strict=strict,
        recall=recall,
        f1=2 * precision * recall / ((precision + recall) or 1),
        mask_share=float(np.mean([each.mask_share for each in outcomes])),
        empty=float(np.mean([each.mask_share == 0 for each in outcomes])),
    )


def errors(extents: Sequence[Extents]) -> Errors:
    """Compare measured with true blur lengths."""
    measured = np.concatenate([each.measured for each in extents])
    true = np.concatenate([each.true for each in extents])
    inside = (true >= SMALL) & (true <= LONGEST)
    curve = []
    for low in range(30):
        part = measured[(true >= low) & (true < low + 1)]
        if part.size >= 100:
            first, median, third = np.quantile(part, (0.25, 0.5, 0.75))
            curve.append((low + 0.5, float(first), float(median), float(third)))
    return Errors(
        group=extents[0].group,
        median_error=float(np.median(np.abs(measured[inside] / true[inside] - 1))),
        curve=curve,
    )


def draw(lines: Sequence[Line], measured: Sequence[Errors], path: Path) -> None:
    """Plot the AUC of each method and group, and measured against true blur length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    bars, extents = figure.subplots(1, 2)
    methods = list(dict.fromkeys(line.method for line in lines))
    for place, (group, name) in enumerate(GROUPS.items()):
        chosen = [line for line in lines if line.group == group]
        left = [methods.index(line.method) + 0.27 * (place - 1) for line in chosen]
        bars.bar(left, [line.auc for line in chosen], width=0.25, label=f"({group}) {name}")
    bars.axhline(0.5, color="k", linestyle=":", linewidth=1)
    bars.set_xticks(range(len(methods)), methods, rotation=20)
    bars.set(ylabel="AUC, blur up to 3 against 8 or more pixels", ylim=(0, 1.2), title="0.5 is chance")
    bars.legend(loc="upper center", ncols=3)
    for each in filter(lambda each: each.curve, measured):
        true, low, middle, high = np.array(each.curve).T
        (line,) = extents.plot(true, middle, label=f"({each.group}) {GROUPS[each.group]}")
        extents.fill_between(true, low, high, alpha=0.25, color=line.get_color())
    extents.plot([0, 30], [0, 30], "k:", linewidth=1)
    extents.set(xlabel="true blur length, pixels", ylabel="measured by paired: median and quartiles", ylim=(0, 40))
    extents.legend(loc="upper left")
    figure.savefig(path, dpi=110)


def show(lines: Iterable[Line], measured: Iterable[Errors]) -> None:
    names = ("AUC", "median", "prec.", "strict", "recall", "F1", "share", "empty")
    print(f"{'':3}{'method':14}{'frames':>7}" + "".join(f"{name:>8}" for name in names))
    for line in lines:
        values = (line.auc, line.auc_median, line.precision, line.strict, line.recall, line.f1)
        shares = f"{line.mask_share:8.1%}{line.empty:8.0%}"
        print(f"{line.group:3}{line.method:14}{line.frames:7}" + "".join(f"{value:8.3f}" for value in values) + shares)
    for each in measured:
        print(
            f"{each.group}: median relative error of the blur length by paired, 3 to 20 pixels: {each.median_error:.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the test data")
    parser.add_argument("--methods", nargs="+", choices=MEASURED, default=MEASURED, help="maps to measure [all]")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=SEEDS, help="seeds of the scenes, five scenes each [10 11 12]"
    )
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 for one per core [%(default)s]")
    add_save(parser)
    options = parser.parse_args()
    tasks = [Task(source=source, methods=tuple(options.methods)) for source in find(options.data, options.seeds)]
    if not tasks:
        parser.error(f"{options.data} contains none of GOPRO_Large, GOPRO_Large_all, blur_detection; use --data DIR")
    outcomes: list[Outcome] = []
    extents: list[Extents] = []
    start = time.monotonic()
    for done, (maps, lengths) in enumerate(parallel.over(tasks, measure, options.jobs, ahead=4), 1):
        outcomes += maps
        extents += lengths
        spent = time.monotonic() - start
        left = spent / done * (len(tasks) - done)
        print(f"{done} of {len(tasks)}, about {left / 60:.0f} min left", file=sys.stderr)
    chosen = [
        [each for each in outcomes if (each.group, each.method) == (group, method)]
        for group in GROUPS
        for method in options.methods
    ]
    lines = [score(each) for each in chosen if each]
    measured = [errors(each) for each in ([one for one in extents if one.group == group] for group in GROUPS) if each]
    about = surroundings() | {"opencv": cv2.__version__}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    show(lines, measured)
    if options.save:
        rows = {"lines": [asdict(line) for line in lines], "extents": [asdict(each) for each in measured]}
        draw(lines, measured, save(options.save, "supervision", about, rows).with_suffix(".png"))


if __name__ == "__main__":
    main()
