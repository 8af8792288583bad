"""A data set's blurry frames -> S and M on disk: parallel, resumable, thresholded again without recomputing S.

A masks folder holds, for each frame, ``<key>.sharpness.png`` (16 bit) and ``<key>.mask.png`` (0 and 255), and one row
a frame in ``masks.jsonl``. A row is written after its files, so a row vouches for them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from prep import parallel
from prep.arrays import Codes
from prep.datasets.layouts import Dataset, Pair
from prep.errors import MaskError, ReadError
from prep.io import extents, files, frames, storage
from prep.io.storage import Source, Stamp
from prep.masks import equations
from prep.sharpness import METHODS, Method

MU = 0.96  # Wang et al. 2021, section 3.5
_LARGE_SHARE = 0.6


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How S was made: maps of different recipes never share a folder."""

    layout: str
    variant: str
    method: str
    parameters: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What ``masks.jsonl`` says of a frame."""

    key: str
    recipe: Recipe
    sources: Sequence[Stamp]  # of the frames S was made of: it is computed anew when they change
    mu: float | None  # None: the mask is being thresholded again
    sharpness_min: float
    sharpness_max: float
    mask_share: float  # share of M = 1, in [0, 1]
    shares: Sequence[float]  # what it would be at other thresholds: ``masks.mask_shares``
    top_share: float  # share of pixels that have sharpness_max
    warning: str  # empty when there is nothing to say


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A frame that could not be read, and why."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """One frame to do: all of it, or only the threshold."""

    key: str
    sources: Sequence[Source]  # the blurry frame; behind it what else the method looks at
    folder: Path
    recipe: Recipe
    mu: float
    stamps: Sequence[Stamp] | None  # of the sources, where S is stored already

    @property
    def has_sharpness(self) -> bool:
        return self.stamps is not None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a masks folder already holds of what is asked, and what is left to do."""

    folder: Path
    rows: Mapping[str, Row]
    done: Sequence[Row]
    tasks: Sequence[Task]


def recipe_of(dataset: Dataset, method: str) -> Recipe:
    """The recipe of a method, by name, on a data set."""
    return Recipe(
        layout=dataset.layout,
        variant=dataset.variant,
        method=method,
        parameters=dict(METHODS[method].parameters),
    )


def sharpness_path(folder: Path, key: str) -> Path:
    """Where S of a frame lies."""
    return folder / f"{key}.sharpness.png"


def mask_path(folder: Path, key: str) -> Path:
    """Where M of a frame lies."""
    return folder / f"{key}.mask.png"


def read_rows(folder: Path) -> dict[str, Row]:
    """Rows of a masks folder by key; none where there is no ``masks.jsonl``.

    Raises:
        MaskError: If a row is not one of ours.
    """
    path = folder / "masks.jsonl"
    try:
        rows = [_row(found) for found in files.read_rows(path)]
    except (TypeError, KeyError, ValueError) as error:
        raise MaskError(f"{path} is no list of masks ({error}); pass another folder, or remove this one") from error
    return {row.key: row for row in rows}


def _row(found: Mapping[str, Any]) -> Row:
    stamps = [Stamp(**stamp) for stamp in found["sources"]]
    return Row(**{**found, "recipe": Recipe(**found["recipe"]), "sources": stamps})


def plan(pairs: Sequence[Pair], folder: Path, recipe: Recipe, mu: float, *, keep_masks: bool = False) -> Plan:
    """Compare what is asked with what a masks folder holds.

    Args:
        pairs: The frames asked for.
        folder: Masks folder; need not exist.
        recipe: How S is to be made.
        mu: Threshold of the masks.
        keep_masks: Take a mask of any threshold as done: only S is wanted.

    Raises:
        MaskError: If the folder holds maps of another recipe, or nothing that says of which; or if a frame lacks the
            map of extents that the method wants.
        ReadError: If a frame cannot be read.
    """
    rows = read_rows(folder)
    if not (folder / "masks.jsonl").exists() and next(folder.rglob("*.sharpness.png"), None):
        raise MaskError(f"{folder} holds maps but no masks.jsonl; pass another folder, or remove this one")
    for held in rows.values():
        if held.recipe != recipe:
            raise MaskError(f"{folder} holds {_name(held.recipe)}; asked for {_name(recipe)}; pass another folder")
    done, tasks = [], []
    for pair in pairs:
        read = _read_for(pair, METHODS[recipe.method])
        row = rows.get(pair.key)
        stamps = _current(row, read, folder)
        if row and stamps:
            row = rows[pair.key] = replace(row, sources=stamps)
            # A row without mu vouches for no mask: one that was being written, or whose frame failed.
            if row.mu is not None and (keep_masks or (row.mu == mu and mask_path(folder, pair.key).exists())):
                done.append(row)
                continue
        task = Task(
            key=pair.key,
            sources=[storage.absolute(source) for source in read],
            folder=folder.absolute(),
            recipe=recipe,
            mu=mu,
            stamps=stamps,
        )
        tasks.append(task)
    return Plan(folder=folder, rows=rows, done=done, tasks=tasks)


def _read_for(pair: Pair, method: Method) -> tuple[Source, ...]:
    """What S of a frame is made of."""
    if not method.beside:
        return (pair.blurry,)
    beside = pair.sharp if method.beside == "sharp" else extents.find(pair.sharp)
    if beside is None:
        raise MaskError(
            f"{pair.key} has no extent/ beside its sharp/, where maps of extents lie; cdg-prep synth makes them; pass "
            "--method paired, which measures them"
        )
    return (pair.blurry, beside)


def _current(row: Row | None, read: Sequence[Source], folder: Path) -> Sequence[Stamp] | None:
    """Today's stamps of the frames that S was made of; None where they changed, or S is not there."""
    if row is None or len(row.sources) != len(read) or not sharpness_path(folder, row.key).exists():
        return None
    stamps = [storage.renewed(source, stamp) for source, stamp in zip(read, row.sources, strict=True)]
    return [stamp for stamp in stamps if stamp] if all(stamps) else None


def _name(recipe: Recipe) -> str:
    settings = ", ".join(f"{name} {value:g}" for name, value in recipe.parameters.items())
    return f"{recipe.method} maps of {recipe.layout} {recipe.variant}".rstrip() + f" ({settings})"


def make(plan: Plan, jobs: int, cluster: str | None = None) -> Iterator[Row | Failure]:
    """Do what a plan leaves to do; gives a row or a failure a frame as it is done, in the plan's order.

    Killed at any moment, a new plan goes on from the rows written so far. ``jobs`` and ``cluster`` as in
    ``parallel.over``.
    """
    if not plan.tasks and plan.rows == read_rows(plan.folder):
        return  # nothing to say: the folder may be on a disk that is read-only
    rows = dict(plan.rows)
    for task in plan.tasks:  # a mask about to change is vouched for by no row until it is written
        if task.key in rows:
            rows[task.key] = replace(rows[task.key], mu=None)
    path = plan.folder / "masks.jsonl"
    _write_rows(path, rows)
    for outcome in parallel.over(plan.tasks, _do, jobs, ahead=64, cluster=cluster):
        if isinstance(outcome, Row):
            rows[outcome.key] = outcome
            files.append_rows(path, [asdict(outcome)])
        elif outcome.key in plan.rows:
            rows[outcome.key] = plan.rows[outcome.key]  # its files are as they were
        yield outcome
    _write_rows(path, rows)


def _write_rows(path: Path, rows: Mapping[str, Row]) -> None:
    files.write_rows(path, [asdict(rows[key]) for key in sorted(rows)])


def _do(task: Task) -> Row | Failure:
    try:
        codes, stamps = _sharpness(task)
    except ReadError as error:
        return Failure(key=task.key, reason=str(error))
    except ValueError as error:
        return Failure(key=task.key, reason=f"{task.sources[0]}: {error}")
    mask = equations.mask_of_codes(codes, task.mu)
    frames.write(mask_path(task.folder, task.key), mask * np.uint8(255))
    return Row(
        key=task.key,
        recipe=task.recipe,
        sources=stamps,
        mu=task.mu,
        sharpness_min=int(codes.min()) / equations.LEVELS,
        sharpness_max=int(codes.max()) / equations.LEVELS,
        mask_share=float(mask.mean()),
        shares=equations.mask_shares(codes),
        top_share=float((codes == codes.max()).mean()),
        warning=warning(codes, float(mask.mean()), task.mu, METHODS[task.recipe.method]),
    )


def _sharpness(task: Task) -> tuple[Codes, Sequence[Stamp]]:
    """S of a frame, stored by now, and the stamps of what it was made of."""
    path = sharpness_path(task.folder, task.key)
    if task.stamps:
        with suppress(ReadError):  # a damaged map is ours: it is made again
            return frames.read_sharpness(path), task.stamps
    read = [storage.read(source) for source in task.sources]
    blurry, *others = (frames.decode(data, source) for data, source in zip(read, task.sources, strict=True))
    method = METHODS[task.recipe.method]
    beside = others[0] if others else None
    if beside is not None and method.beside == "sharp":
        beside = frames.to_rgb8(beside)
    codes = equations.to_codes(method.compute(frames.to_rgb8(blurry), beside))
    frames.write(path, codes)
    return codes, [storage.stamp(source, data) for data, source in zip(read, task.sources, strict=True)]


def warning(codes: Codes, share: float, mu: float, method: Method) -> str:
    """Say what is suspicious about a mask, and why it came out so; empty when nothing is.

    Frames of one kind have the same words, so that those of a whole data set can be told together.

    Args:
        codes: ``(H, W)`` uint16, S of the frame.
        share: Share of M = 1.
        mu: Threshold of the mask.
        method: Gave S.
    """
    if share > _LARGE_SHARE:
        return f"mask covers more than {_LARGE_SHARE:.0%} of the frame"
    if share > 0:
        return ""
    if mu >= method.ceiling:
        return f"mask is empty: mu {mu:g} is not below {method.ceiling:.5f}, the largest S that {method.name} can give"
    if codes.min() == codes.max():
        return "mask is empty: S is the same everywhere, no place shows evidence of sharpness"
    if method.is_relative and (codes > equations.LEVELS // 2).mean() > 0.5:
        cause = f"{method.name} scores a frame against itself, lbp-absolute does not"
        return f"mask is empty though S is above 0.5 on most of the frame: {cause}"
    return "mask is empty: S is nowhere above mu"
