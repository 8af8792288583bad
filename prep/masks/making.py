"""A data set's blurry frames -> S and M in a masks folder: parallel, resumable; a new threshold re-uses S."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from prep import parallel
from prep.arrays import Codes
from prep.datasets.layouts import BlurryFrame, Dataset, Pair
from prep.errors import MaskError, ReadError
from prep.io import extents, frames, storage
from prep.io.storage import ArchiveMember, FileStamp, Source
from prep.masks import equations
from prep.masks.folder import MaskRecord, MasksFolder, Recipe
from prep.sharpness import METHODS, Method

MU = 0.96  # Wang et al. 2021, section 3.5
_LARGE_SHARE = 0.6
_SAMPLE = 48  # frames, of those of which only the bytes can tell whether they changed


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A frame that could not be read, and why."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class MaskTask:
    """One frame to do, sent to a worker process: all of it, or only the threshold."""

    key: str
    sources: Sequence[Source]  # the blurry frame, then what else the method reads; absolute paths
    sharpness_path: Path  # absolute, as the next
    mask_path: Path
    recipe: Recipe
    mu: float
    stamps: Sequence[FileStamp] | None  # of the sources, where S is stored already

    @property
    def has_sharpness(self) -> bool:
        return self.stamps is not None


@dataclass(frozen=True, kw_only=True)
class MaskPlan:
    """What a masks folder already holds of what is asked, and what is left to do."""

    folder: MasksFolder
    records: Mapping[str, MaskRecord]  # all of the folder, with today's stamps
    done: Sequence[MaskRecord]
    tasks: Sequence[MaskTask]


def recipe_of(dataset: Dataset, method: str) -> Recipe:
    """The recipe of a method, by name, on a data set."""
    return Recipe(
        layout=dataset.layout,
        variant=dataset.variant,
        method=method,
        parameters=dict(METHODS[method].parameters),
    )


def plan(
    pairs: Sequence[BlurryFrame], folder: MasksFolder, recipe: Recipe, mu: float, *, keep_masks: bool = False
) -> MaskPlan:
    """Compare what is asked with what a masks folder holds.

    Args:
        pairs: The frames asked for; a method that reads more than the blurry one needs pairs.
        folder: Where S and M are to be.
        recipe: How S is to be made.
        mu: Threshold of the masks.
        keep_masks: Take a mask of any threshold as done: only S is wanted.

    Raises:
        MaskError: If the folder holds maps of another recipe or another data set, maps without a ``masks.jsonl``, or
            somebody else's mask of a frame; or if a frame lacks the sharp frame or the map of extents that the method
            needs.
        ReadError: If a frame cannot be read.
    """
    folder.check_recipe(recipe)
    records, done, tasks = dict(folder.records), [], []
    for pair in pairs:
        sources = _sources(pair, METHODS[recipe.method])
        record = records.get(pair.key)
        if record is None and _is_foreign(pair.key, folder):
            raise MaskError(
                f"{folder.mask_path(pair.key)} would be replaced, and cdg-prep masks did not write it; move it, "
                "or pass another --out"
            )
        stamps = _current_stamps(record, sources) if record else None
        if record and not stamps:
            _refuse_other_frames(folder, record, sources)
        if not folder.sharpness_path(pair.key).exists():
            stamps = None
        if record and stamps:
            record = records[pair.key] = replace(record, sources=stamps, paths=_paths(sources))
            # A record without mu vouches for no mask: one that was being written, or whose frame failed.
            if record.mu is not None and (keep_masks or (record.mu == mu and folder.mask_path(pair.key).exists())):
                done.append(record)
                continue
        task = MaskTask(
            key=pair.key,
            sources=[storage.absolute(source) for source in sources],
            sharpness_path=folder.sharpness_path(pair.key).absolute(),
            mask_path=folder.mask_path(pair.key).absolute(),
            recipe=recipe,
            mu=mu,
            stamps=stamps,
        )
        tasks.append(task)
    return MaskPlan(folder=folder, records=records, done=done, tasks=tasks)


def _is_foreign(key: str, folder: MasksFolder) -> bool:
    """Whether a mask without a record is a person's own: ours, after a kill, has the map beside it."""
    return folder.mask_path(key).exists() and not folder.sharpness_path(key).exists()


def _sources(pair: BlurryFrame, method: Method) -> tuple[Source, ...]:
    """The files that S of a frame is made of."""
    if not method.beside:
        return (pair.blurry,)
    if not isinstance(pair, Pair):
        raise MaskError(f"{method.name} measures against sharp frames; pass them as --sharp, or --method lbp")
    beside = pair.sharp if method.beside == "sharp" else extents.find(pair.sharp)
    if beside is None:
        raise MaskError(
            f"{pair.key} has no extent/ beside its sharp/, where maps of extents lie; cdg-prep synth makes them; pass "
            "--method paired, which measures them"
        )
    return (pair.blurry, beside)


def _current_stamps(record: MaskRecord, sources: Sequence[Source]) -> Sequence[FileStamp] | None:
    """Today's stamps of the files that S was made of; None where they changed."""
    if len(record.sources) != len(sources):
        return None
    stamps = [storage.current_stamp(source, stamp) for source, stamp in zip(sources, record.sources, strict=True)]
    return [stamp for stamp in stamps if stamp] if all(stamps) else None


def _refuse_other_frames(folder: MasksFolder, record: MaskRecord, sources: Sequence[Source]) -> None:
    """Refuse frames of other content at another place: they are another data set's, whose masks must not be mixed.

    Frames that changed where they lie are the same data set's, and S is computed again. So is a moved data set, its
    content being the same.

    Raises:
        MaskError: If they are.
    """
    if list(record.paths) != _paths(sources):
        was = f"of {record.paths[0]}" if record.paths else "of another frame"
        raise MaskError(
            f"{folder.path} holds masks of another data set: {record.key} {was}, now {sources[0]}; pass another folder "
            "(--out DIR of cdg-prep masks, --masks DIR of the others)"
        )


def _paths(sources: Sequence[Source]) -> list[str]:
    """Where sources lie, one text for each file however it was named."""
    return [
        f"{_resolved(source.archive)}/{source.name}"
        if isinstance(source, ArchiveMember)
        else str(_resolved(source.parent) / source.name)
        for source in sources
    ]


@lru_cache(maxsize=256)
def _resolved(path: Path) -> Path:
    return path.resolve()


def check_frames(pairs: Sequence[Pair], folder: MasksFolder) -> None:
    """Refuse a masks folder whose masks are not of these frames as they are today; frames without a mask pass.

    In a copied data set, where times say nothing, the bytes of a sample are read.

    Raises:
        MaskError: If a frame has changed since, or is another data set's.
        ReadError: If a frame cannot be read.
    """
    known: list[tuple[MaskRecord, tuple[Source, ...]]] = []
    to_read: list[tuple[MaskRecord, tuple[Source, ...]]] = []
    for pair in pairs:
        record = folder.records.get(pair.key)
        if record and record.recipe.method in METHODS:
            sources = _sources(pair, METHODS[record.recipe.method])
            is_open = any(map(storage.is_decided_by_bytes, sources, record.sources))
            (to_read if is_open else known).append((record, sources))
    for record, sources in [*known, *to_read[:: len(to_read) // _SAMPLE + 1]]:
        if not _current_stamps(record, sources):
            _refuse_other_frames(folder, record, sources)
            raise MaskError(
                f"{folder.path}: {sources[0]} has changed since its mask was made; run cdg-prep masks again"
            )


def make(plan: MaskPlan, jobs: int, cluster: str | None = None) -> Iterator[MaskRecord | Failure]:
    """Do what a plan leaves to do; gives a record or a failure a frame as it is done, in the plan's order.

    Killed at any moment, a new plan resumes from the records written so far. ``jobs`` and ``cluster`` as in
    ``parallel.over``.

    Raises:
        MaskError: If another process fills the folder, or has filled it since its records were read.
    """
    stamps = {key: record.sources for key, record in plan.records.items()}
    if not plan.tasks and stamps == {key: record.sources for key, record in plan.folder.records.items()}:
        return  # the folder may be on a read-only disk
    with plan.folder.held():
        yield from _fill(plan, jobs, cluster)


def _fill(plan: MaskPlan, jobs: int, cluster: str | None) -> Iterator[MaskRecord | Failure]:
    records = dict(plan.records)
    for task in plan.tasks:  # no record vouches for a mask that is about to change until it is written
        if task.key in records:
            records[task.key] = replace(records[task.key], mu=None)
    plan.folder.write(records)
    for outcome in parallel.over(plan.tasks, _do, jobs, ahead=64, cluster=cluster):
        if isinstance(outcome, MaskRecord):
            records[outcome.key] = outcome
            plan.folder.append(outcome)
        elif outcome.key in plan.records:
            records[outcome.key] = plan.records[outcome.key]  # its files are as they were
        yield outcome
    plan.folder.write(records)


def _do(task: MaskTask) -> MaskRecord | Failure:
    try:
        codes, stamps = _sharpness(task)
    except ReadError as error:
        return Failure(key=task.key, reason=str(error))
    except ValueError as error:
        return Failure(key=task.key, reason=f"{task.sources[0]}: {error}")
    mask = equations.mask_of_codes(codes, task.mu)
    frames.write(task.mask_path, mask * np.uint8(255))
    return MaskRecord(
        key=task.key,
        recipe=task.recipe,
        sources=stamps,
        paths=_paths(task.sources),
        mu=task.mu,
        sharpness_min=int(codes.min()) / equations.LEVELS,
        sharpness_max=int(codes.max()) / equations.LEVELS,
        mask_share=float(mask.mean()),
        shares=equations.mask_shares(codes),
        top_share=float((codes == codes.max()).mean()),
        warning=warning(codes, float(mask.mean()), task.mu, METHODS[task.recipe.method]),
    )


def _sharpness(task: MaskTask) -> tuple[Codes, Sequence[FileStamp]]:
    """S of a frame, stored by now, and the stamps of what it was made of."""
    if task.stamps:
        with suppress(ReadError):  # a damaged map is ours: it is made again
            return frames.read_sharpness(task.sharpness_path), task.stamps
    contents, stamps = zip(*map(storage.read_stamped, task.sources), strict=True)
    blurry, *others = (frames.decode(data, source) for data, source in zip(contents, task.sources, strict=True))
    method = METHODS[task.recipe.method]
    beside = others[0] if others else None
    if beside is not None and method.beside == "sharp":
        beside = frames.to_rgb8(beside)
    codes = equations.to_codes(method.compute(frames.to_rgb8(blurry), beside))
    frames.write(task.sharpness_path, codes)
    return codes, list(stamps)


def warning(codes: Codes, share: float, mu: float, method: Method) -> str:
    """Say what is suspicious about a mask, and its likely cause; empty when nothing is.

    Frames with the same fault get the same text, so that a whole data set can be summed up.

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
