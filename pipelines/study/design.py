"""Studies, run: every row of a comparison trained alike over several seeds, and scored alike.

A study folder holds ``runs``, a run folder a training, shared by all studies: its name ends with a checksum of
everything that decides it, so that no row of any study is trained twice and nothing is mixed. In each, ``scores-PACK``
holds what it scored on a test pack, and pictures.
"""

import csv
import json
import math
import statistics
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from cdgnet import load_weights, to_bytes
from pipelines.errors import TrainingError
from pipelines.evaluate import folder as scores_folder
from pipelines.evaluate.frame_sources import PackFrames
from pipelines.evaluate.measures import MEASURES, FrameScores, measure_frame
from pipelines.evaluate.statistics import author_frames
from pipelines.packs import to_range
from pipelines.paper import PaperScore
from pipelines.restore.restorer import Restorer
from pipelines.sampling import evenly_spaced
from pipelines.study.definitions import FINE_TUNED, FIRST, TRANSFER, Study
from pipelines.train import runs
from pipelines.train.runs import Run
from pipelines.train.settings import TrainingConfig
from pipelines.train.split import split_by_source
from prep.io import files, frames
from prep.packs import store

SHOWN = 2  # frames that pictures are kept of
FIGURES = ("psnr", "psnr_m1", "psnr_m0", "ssim")  # of a table, from those of ``evaluation``


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a study's table: what is trained, but for the seed."""

    name: str  # the value that is varied
    masks: str  # method and mu; empty where the network looks at none
    config: TrainingConfig
    pack: Path
    paper: PaperScore | None
    after: "Row | None" = None  # which it goes on from, seed by seed

    @property
    def title(self) -> str:
        """Its name, and what sets it off from rows of the same name."""
        return f"{self.name}, {self.masks}" if self.masks else self.name


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training of a study."""

    row: Row
    seed: int
    config: TrainingConfig
    folder: Path  # the run's
    test: Path  # the pack that it is scored on
    scores: Path  # what it scores, under the run's folder
    first: "Job | None" = None  # whose weights it begins with

    @property
    def title(self) -> str:
        """Row and seed."""
        return f"{self.row.title}, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether it is trained and scored."""
        return (self.scores / "results.csv").exists()

    def plan(self, *, keep: bool) -> Run:
        """The run: see ``runs.prepare``. Before the weights that it begins with are there, what it would be."""
        is_early = self.first is not None and not self.first.is_done and not keep
        config = replace(self.config, init=None) if is_early else self.config
        return runs.prepare(config, [self.row.pack], self.folder, keep=keep)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one training came to."""

    job: Job
    means: Mapping[str, float]  # over the frames of the test pack, by the measures of ``evaluation``
    author: Mapping[str, float]  # over those that the author of VideoDeblurring scores; empty for other data sets
    seconds: float  # of training


def rows(study: Study, base: TrainingConfig, packs: Sequence[Path], only: Sequence[str] = ()) -> list[Row]:
    """The rows of a study, in the paper's order; those of networks that look at masks once a pack.

    Args:
        study: Which.
        base: Settings that all rows share.
        packs: Of the same crops with different masks.
        only: Names of the rows wanted; empty for all.

    Raises:
        TrainingError: If packs differ in more than their masks, or a row does not exist.
    """
    _refuse_other_frames(packs)
    names = {study.name(value): value for value in study.values}
    if unknown := [name for name in only if name not in names]:
        raise TrainingError(f"the study has no row {', '.join(unknown)}; it has {', '.join(names)}")
    found = []
    for name, value in names.items():
        config = study.config(base, value)
        has_masks = runs.learns_from_masks(config)
        for pack in packs if has_masks else packs[:1]:
            masks = _masks(pack, config, study) if has_masks else ""
            found.append(Row(name=name, masks=masks, config=config, pack=pack, paper=study.paper.get(name)))
    return [row for row in found if not only or row.name in only]


def transfer(study: Study, base: TrainingConfig, pack: Path, fine: Path, only: Sequence[str] = ()) -> list[Row]:
    """The rows of a study that goes from one data set to another; a row brings the one that it goes on from.

    Args:
        study: Which.
        base: Settings that all trainings share.
        pack: Of the first data set.
        fine: Of the second.
        only: Names of the rows wanted; empty for all.

    Raises:
        TrainingError: If a row does not exist.
    """
    if unknown := [name for name in only if name not in TRANSFER]:
        raise TrainingError(f"the study has no row {', '.join(unknown)}; it has {', '.join(TRANSFER)}")
    held: dict[str, Row] = {}
    for name in TRANSFER:
        place = pack if name == FIRST else fine
        held[name] = Row(
            name=name,
            masks="",  # those of each data set, which are not what is compared
            config=base,
            pack=place,
            paper=study.paper.get(name),
            after=held[FIRST] if name == FINE_TUNED else None,
        )
    wanted = {*only, *([FIRST] if FINE_TUNED in only else [])} or set(TRANSFER)
    return [row for row in held.values() if row.name in wanted]


def jobs(chosen: Sequence[Row], seeds: int, test: Path, folder: Path) -> list[Job]:
    """Every training of a study: all rows with the first seed, then with the next.

    Raises:
        DataError, PackError: If a pack cannot be trained on as asked.
    """
    scored = f"scores-{test.stem}-{store.content([test]):08x}"
    found: dict[tuple[str, int], Job] = {}
    for row in chosen:
        for seed in range(row.config.seed, row.config.seed + seeds):
            first = found[row.after.title, seed] if row.after else None
            config = replace(row.config, seed=seed)
            steps = runs.steps_of(config, split_by_source([row.pack], config.val))
            asked = {**runs.identity(config, [row.pack], steps), "steps": steps}
            if first is not None:  # whose weights need not be there yet
                asked["after"] = first.folder.name
                config = replace(config, init=str(first.folder / "weights.safetensors"))
            mark = zlib.crc32(json.dumps(asked, sort_keys=True).encode())
            place = folder / "runs" / f"{config.variant}-seed{seed}-{mark:08x}"
            found[row.title, seed] = Job(
                row=row, seed=seed, config=config, folder=place, test=test, scores=place / scored, first=first
            )
    return sorted(found.values(), key=lambda job: job.seed)


def score(job: Job, fabric: Fabric) -> Iterator[None]:
    """Score what a job has trained, on its last weights, giving a tick a frame."""
    restorer = Restorer(load_weights(job.folder / "weights.safetensors"), fabric)
    scenes = PackFrames(job.test)
    shown = list(evenly_spaced(range(len(scenes)), SHOWN))
    scored = []
    for number in range(len(scenes)):
        scene = scenes[number]
        assert scene.blurry is not None
        restored = to_bytes(restorer(to_range(scene.blurry[None])))[0]
        scored.append(measure_frame(scene, restored, restorer.device))
        if number in shown:
            pixels = restored.permute(1, 2, 0).cpu().numpy()
            frames.write(job.scores / f"{shown.index(number)}.png", np.ascontiguousarray(pixels))
        yield
    scores_folder.write_csv(job.scores / "results.csv", scored)


def results(asked: Sequence[Job]) -> list[Result]:
    """What is trained and scored by now, in the order of the jobs."""
    return [_read(job) for job in asked if job.is_done]


def _read(job: Job) -> Result:
    with (job.scores / "results.csv").open(encoding="utf-8", newline="") as file:
        *each, last = csv.DictReader(file)
    means = _figures(last)
    with store.open_pack(job.test) as pack:
        is_author = store.read_header(pack).layout == "videodeblurring"
    chosen = set(author_frames([row["key"] for row in each])) if is_author else set()
    alone = [_figures(row) for row in each if row["key"] in chosen]
    author = {name: statistics.fmean(row[name] for row in alone) for name in ("psnr", "ssim")} if alone else {}
    return Result(job=job, means=means, author=author, seconds=runs.training_seconds(job.folder))


def _figures(row: Mapping[str, str]) -> dict[str, float]:
    return {name: float(value or "nan") for name, value in row.items() if name.startswith(MEASURES)}


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a row came to over its seeds."""

    row: Row
    results: Sequence[Result]

    def values(self, figure: str) -> list[float]:
        """A score of each seed."""
        return [result.means[figure] for result in self.results]

    def mean(self, figure: str) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values(figure))

    def spread(self, figure: str) -> float:
        """Standard deviation over the seeds (n - 1); NaN of one."""
        values = self.values(figure)
        return statistics.stdev(values) if len(values) > 1 else math.nan

    @property
    def seconds(self) -> float:
        """Mean seconds of a training."""
        return statistics.fmean(result.seconds for result in self.results)


def lines(found: Sequence[Result]) -> list[Line]:
    """The table: a line for each row that has a result."""
    grouped: dict[str, list[Result]] = {}
    for result in found:
        grouped.setdefault(result.job.row.title, []).append(result)
    return [Line(row=group[0].job.row, results=group) for group in grouped.values()]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Two lines of a table, seed against seed."""

    before: Line
    after: Line
    by_paper: float | None  # dB, as the authors state

    @property
    def gains(self) -> list[float]:
        """PSNR of the one less that of the other in dB, for each seed that both have."""
        first = {result.job.seed: result.means["psnr"] for result in self.before.results}
        return [
            result.means["psnr"] - first[result.job.seed] for result in self.after.results if result.job.seed in first
        ]

    def __str__(self) -> str:
        gains = self.gains
        higher = sum(gain > 0 for gain in gains)
        said = f"{self.after.row.title} against {self.before.row.title}: {statistics.fmean(gains):+.2f} dB"
        if len(gains) > 1:
            said += f" ± {statistics.stdev(gains):.2f}"
        said += f", higher in {higher} of {len(gains)} {'seed' if len(gains) == 1 else 'seeds'}"
        return said if self.by_paper is None else f"{said} (the authors: {self.by_paper:+.2f} dB)"


def steps(table: Sequence[Line]) -> list[Step]:
    """Each line against the one before it in the paper's order, masks by masks; then masks against masks."""
    found = []
    kinds = list(dict.fromkeys(line.row.masks for line in table if line.row.masks)) or [""]
    for masks in kinds:
        column = [line for line in table if line.row.masks in ("", masks)]
        for before, after in pairwise(column):
            if masks == kinds[0] or masks in (before.row.masks, after.row.masks):
                found.append(_step(before, after))
    for masks in kinds[1:]:
        pairs = {line.row.name: line for line in table if line.row.masks == kinds[0]}
        found += [_step(pairs[line.row.name], line) for line in table if line.row.masks == masks]
    return [step for step in found if step.gains]


def _step(before: Line, after: Line) -> Step:
    by_paper = None
    if before.row.paper and after.row.paper and before.row.name != after.row.name:
        by_paper = after.row.paper.psnr - before.row.paper.psnr
    return Step(before=before, after=after, by_paper=by_paper)


def of_author(table: Sequence[Line]) -> list[str]:
    """Scores on the frames that the author of VideoDeblurring scores, a sentence a row; none of other data sets."""
    said = []
    for line in table:
        held = [result.author for result in line.results]
        if all(held):
            psnr, ssim = (statistics.fmean(author[name] for author in held) for name in ("psnr", "ssim"))
            said.append(f"{line.row.title}, the author's 30 frames of each video alone: {psnr:.2f} dB, SSIM {ssim:.4f}")
    return said


def verdict(table: Sequence[Line]) -> list[str]:
    """What a table says, in sentences: whether the authors' order of its rows held, for each kind of masks; where they
    state none, which row is highest.
    """
    return _kept_orders(table) or [_highest(table)]


def _highest(table: Sequence[Line]) -> str:
    first, best = table[0], max(table, key=lambda line: line.mean("psnr"))
    name, paper = next(((line.row.title, line.row.paper) for line in table if line.row.paper), ("", None))
    stated = f" The authors state {paper.psnr:.2f} dB, SSIM {paper.ssim:.3f} of {name}." if paper else ""
    if best is first:
        kind = f"is the highest of {len(table)} rows" if len(table) > 1 else "stands alone"
        return f"{first.row.title} {kind}, {first.mean('psnr'):.2f} dB in the mean.{stated}"
    return f"Highest in the mean: {_step(first, best)}.{stated}"


def _kept_orders(table: Sequence[Line]) -> list[str]:
    said = []
    kinds = list(dict.fromkeys(line.row.masks for line in table if line.row.masks)) or [""]
    for masks in kinds:
        column = [line for line in table if line.row.masks in ("", masks) and line.row.paper]
        if len(column) < 2:
            continue
        theirs = sorted(column, key=lambda line: line.row.paper.psnr if line.row.paper else 0)
        pairs = [(one, other) for place, one in enumerate(theirs) for other in theirs[place + 1 :]]
        alike = sum(one.mean("psnr") < other.mean("psnr") for one, other in pairs)
        certain = sum(_is_certain(one, other) for one, other in pairs)
        kept = "did not hold"
        if alike == len(pairs):
            kept = "held in every seed" if certain == alike else "held in the means, but not in every seed"
        with_ = f" with {masks}" if masks else ""
        counts = f"{alike} of {len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'}"
        said.append(
            f"The authors' order of {len(column)} rows {kept}{with_}: {counts} of rows stand as theirs in the means, "
            f"{certain} in every seed."
        )
    return said


def _is_certain(lower: Line, higher: Line) -> bool:
    gains = _step(lower, higher).gains
    return bool(gains) and all(gain > 0 for gain in gains)


def refuse_other_tables(name: str, asked: Sequence[Job], folder: Path) -> None:
    """Refuse to replace a table of other trainings.

    Raises:
        TrainingError: If the study's folder holds one with trainings that are not asked for.
    """
    path = folder / f"{name}-runs.csv"
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        held = {row.get("run", "") for row in csv.DictReader(file)}
    other = held - {job.folder.name for job in asked}
    if other:
        raise TrainingError(
            f"{path} holds {len(other)} trainings that are not asked for, as {min(other)}; ask for them too, or pass "
            "another --out"
        )


def write_tables(name: str, table: Sequence[Line], folder: Path) -> list[Path]:
    """Write ``NAME.csv``, a line a row with means and standard deviations, and ``NAME-runs.csv``, a line a training."""
    summary: list[FrameScores] = [
        {
            "row": line.row.name,
            "masks": line.row.masks,
            "seeds": len(line.results),
            **{f"{figure}_{kind}": value for figure in FIGURES for kind, value in _both(line, figure)},
            "psnr_paper": line.row.paper.psnr if line.row.paper else "",
            "ssim_paper": line.row.paper.ssim if line.row.paper else "",
            "minutes": line.seconds / 60,  # of a training
        }
        for line in table
    ]
    each: list[FrameScores] = [
        {
            "row": line.row.name,
            "masks": line.row.masks,
            "seed": result.job.seed,
            **result.means,
            "run": result.job.folder.name,
        }
        for line in table
        for result in line.results
    ]
    paths = [folder / f"{name}.csv", folder / f"{name}-runs.csv"]
    for path, written in zip(paths, (summary, each), strict=True):
        files.write_text(path, scores_folder.to_csv(written))
    return paths


def _both(line: Line, figure: str) -> Iterator[tuple[str, float]]:
    yield "mean", line.mean(figure)
    yield "spread", line.spread(figure)


def _masks(pack: Path, config: TrainingConfig, study: Study) -> str:
    with store.open_pack(pack) as file:
        header = store.read_header(file)
    if "mu" in study.fields:  # then it is the row's name
        return header.method
    return f"{header.method} {header.mu if config.mu is None else config.mu:g}"


def _refuse_other_frames(packs: Sequence[Path]) -> None:
    """Packs that are compared must be alike but for their masks."""
    contents = []
    for pack in packs:
        with store.open_pack(pack) as file:
            keys, origins, header = store.read_keys(file), file["origin"][:].tolist(), store.read_header(file)
        contents.append((keys, origins, header.crop, header.layout, header.variant))
        if contents[-1] != contents[0]:
            raise TrainingError(f"{packs[0]} and {pack} hold other crops; pass packs that differ in their masks alone")
