"""Make S and M of blurry frames in a masks folder: in parallel, resumable; a new threshold reuses S."""

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

_LARGE_SHARE = 0.6
_SAMPLE = 48  # most frames to read if file times do not show whether they changed


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A frame without a mask, and the reason."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class MaskTask:
    """The work for one frame, sent to a worker process: S and M, or only M."""

    key: str
    sources: Sequence[Source]  # the blurry frame, then the method's other file if any; absolute paths
    sharpness_path: Path  # absolute
    mask_path: Path  # absolute
    recipe: Recipe
    mu: float
    stamps: Sequence[FileStamp] | None  # stamps of the sources if S is already stored; else None

    @property
    def has_sharpness(self) -> bool:
        return self.stamps is not None


@dataclass(frozen=True, kw_only=True)
class MaskPlan:
    """Which of the requested masks exist, and which must be made."""

    folder: MasksFolder
    records: Mapping[str, MaskRecord]  # records of the whole folder, with current stamps
    done: Sequence[MaskRecord]  # records of the requested masks that exist
    tasks: Sequence[MaskTask]  # for the masks to make


def recipe_of(dataset: Dataset, method: str) -> Recipe:
    """Return the recipe of a method, given by name, for a data set."""
    return Recipe(
        layout=dataset.layout,
        variant=dataset.variant,
        method=method,
        parameters=dict(METHODS[method].parameters),
    )


def plan(
    pairs: Sequence[BlurryFrame], folder: MasksFolder, recipe: Recipe, mu: float, *, keep_masks: bool = False
) -> MaskPlan:
    """Compare the requested masks with those in a masks folder.

    Args:
        pairs: The requested frames; a method that reads more than the blurry frame needs pairs.
        folder: The masks folder.
        recipe: How to make S.
        mu: Threshold of the masks.
        keep_masks: Count a mask of any threshold as done, because only S is needed.

    Raises:
        MaskError: If the folder contains maps of another recipe or another data set, maps without a ``masks.jsonl``, or
            a mask that would be overwritten but was not made by this project; or if a frame lacks the sharp frame or
            the blur-length map that the method needs.
        ReadError: If a frame cannot be read.
    """
    folder.check_recipe(recipe)
    records, done, tasks = dict(folder.records), [], []
    for pair in pairs:
        sources = _sources(pair, METHODS[recipe.method])
        record = records.get(pair.key)
        if record is None and _is_foreign(pair.key, folder):
            raise MaskError(
                f"{folder.mask_path(pair.key)} would be overwritten but was not written by cdg-prep masks; move it "
                "away, or use another masks folder"
            )
        stamps = _current_stamps(record, sources) if record else None
        if record and not stamps:
            _refuse_other_frames(folder, record, sources)
        if not folder.sharpness_path(pair.key).exists():
            stamps = None
        if record and stamps:
            record = records[pair.key] = replace(record, sources=stamps, paths=_paths(sources))
            # A record without mu belongs to an unfinished mask or a failed frame.
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
    """Return whether a mask without a record is the user's own. A mask of a killed run has S beside it."""
    return folder.mask_path(key).exists() and not folder.sharpness_path(key).exists()


def _sources(pair: BlurryFrame, method: Method) -> tuple[Source, ...]:
    """Return the files that S of a frame is made from."""
    if not method.beside:
        return (pair.blurry,)
    if not isinstance(pair, Pair):
        raise MaskError(f"--method {method.name} needs sharp partners; add --sharp DIR, or use --method lbp")
    beside = pair.sharp if method.beside == "sharp" else extents.find(pair.sharp)
    if beside is None:
        raise MaskError(
            f"{pair.key} has no blur-length map: there is no extent/ folder beside sharp/ (cdg-prep synth writes one); "
            "use --method paired, which measures the blur"
        )
    return (pair.blurry, beside)


def _current_stamps(record: MaskRecord, sources: Sequence[Source]) -> Sequence[FileStamp] | None:
    """Return the current stamps of the files that S was made from; None if a file changed."""
    if len(record.sources) != len(sources):
        return None
    stamps = [storage.current_stamp(source, stamp) for source, stamp in zip(sources, record.sources, strict=True)]
    return [stamp for stamp in stamps if stamp] if all(stamps) else None


def _refuse_other_frames(folder: MasksFolder, record: MaskRecord, sources: Sequence[Source]) -> None:
    """Refuse changed frames at another path: they belong to another data set, and masks must not mix.

    A frame that changed in place belongs to the same data set, and S is computed again. A frame that moved with its
    content unchanged also belongs to it.

    Raises:
        MaskError: If they belong to another data set.
    """
    if list(record.paths) != _paths(sources):
        was = record.paths[0] if record.paths else "another frame"
        raise MaskError(
            f"{folder.path} contains masks of another data set: {record.key} is of {was}, not {sources[0]}; "
            "use another masks folder (--out DIR for cdg-prep masks, --masks DIR for the other commands)"
        )


def _paths(sources: Sequence[Source]) -> list[str]:
    """Return the resolved paths of sources: one path per file, however the user spelled it."""
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
    """Refuse a masks folder whose masks were made from other frames or other versions of these frames.

    Frames without a mask are accepted. In a copied data set, file times do not show whether frames changed, so the
    bytes of a sample are read.

    Raises:
        MaskError: If a frame changed after its mask was made, or belongs to another data set.
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
            raise MaskError(f"{folder.path}: {sources[0]} changed after its mask was made; run cdg-prep masks again")


def make(plan: MaskPlan, jobs: int, cluster: str | None = None) -> Iterator[MaskRecord | Failure]:
    """Make the missing masks of a plan, and yield a record or a failure per frame, in the order of the plan.

    After a kill, a new plan continues from the records written so far. ``jobs`` and ``cluster`` are as in
    ``parallel.over``.

    Raises:
        MaskError: If another process is filling the folder, or has filled it since its records were read.
    """
    stamps = {key: record.sources for key, record in plan.records.items()}
    if not plan.tasks and stamps == {key: record.sources for key, record in plan.folder.records.items()}:
        return  # nothing to write: the folder may be read-only
    with plan.folder.held():
        yield from _fill(plan, jobs, cluster)


def _fill(plan: MaskPlan, jobs: int, cluster: str | None) -> Iterator[MaskRecord | Failure]:
    records = dict(plan.records)
    for task in plan.tasks:  # the record counts as unfinished until the mask is written again
        if task.key in records:
            records[task.key] = replace(records[task.key], mu=None)
    plan.folder.write(records)
    for outcome in parallel.over(plan.tasks, _do, jobs, ahead=64, cluster=cluster):
        if isinstance(outcome, MaskRecord):
            records[outcome.key] = outcome
            plan.folder.append(outcome)
        elif outcome.key in plan.records:
            records[outcome.key] = plan.records[outcome.key]  # its files did not change
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
    """Return S of a frame and the stamps of its sources; store S if it is not stored yet."""
    if task.stamps:
        with suppress(ReadError):  # a damaged map is computed again
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
    """Describe what looks wrong with a mask, and the likely cause; return an empty string if nothing does.

    The text is the same for all frames with the same fault, so that they can be counted.

    Args:
        codes: ``(H, W)`` uint16, S of the frame.
        share: Share of pixels with M = 1.
        mu: Threshold of the mask.
        method: The method that computed S.
    """
    if share > _LARGE_SHARE and not method.beside:  # S of the other methods is a length: most of a frame may be sharp
        return f"mask covers more than {_LARGE_SHARE:.0%} of the frame"
    if share > 0:
        return ""
    if mu >= method.ceiling:
        return f"mask is empty: mu = {mu:g} must be below {method.ceiling:.5f}, the largest S of {method.name}"
    if codes.min() == codes.max():
        return "mask is empty: S is the same everywhere, so nothing in the frame looks sharp"
    if method.is_relative and (codes > equations.LEVELS // 2).mean() > 0.5:
        cause = f"{method.name} is relative to the frame, lbp-absolute is not"
        return f"mask is empty, although S is above 0.5 on most of the frame: {cause}"
    return "mask is empty: S is nowhere above mu"
