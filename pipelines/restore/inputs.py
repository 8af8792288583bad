"""Files, folders and patterns -> what is to be restored, and where each result goes. Needs no torch."""

import glob
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError
from prep.io import photographs, video


@dataclass(frozen=True, kw_only=True)
class Job:
    """One picture or video: where from, where to."""

    source: Path
    target: Path

    @property
    def is_video(self) -> bool:
        """Whether it is one, by its name."""
        return video.is_video(self.source)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done, and what was found beside it."""

    jobs: Sequence[Job]
    others: Mapping[str, int]  # files of other kinds in the folders, by suffix


def plan_jobs(inputs: Sequence[Path], out: Path) -> Plan:
    """Name a target for each picture and video: a file by its name, a folder's by their path below it.

    Raises:
        InputError: If an input is missing, a folder holds nothing to restore, two share a target, or one would replace
            itself.
    """
    others: Counter[str] = Counter()
    jobs = [job for path in inputs for each in _expanded(path, others) for job in _jobs(each, out, others)]
    targets: dict[Path, Path] = {}
    for job in jobs:
        other = targets.setdefault(job.target, job.source)
        if other != job.source:
            raise InputError(f"{other} and {job.source} would both become {job.target}; run them apart")
        if job.target.resolve() == job.source.resolve():
            raise InputError(f"{job.source} would be replaced by its own result; pass another --out")
    return Plan(jobs=list(dict.fromkeys(jobs)), others=others)


def _expanded(path: Path, others: Counter[str]) -> Sequence[Path]:
    """What a pattern names, where the shell has not seen to it."""
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    named = sorted(Path(name) for name in matches)
    found = [each for each in named if each.is_file() and _is_known(each)]
    others.update(each.suffix.lower() or each.name for each in named if each.is_file() and not _is_known(each))
    if not found:
        raise InputError(f"{path} matches no picture and no video; pass files or folders")
    return found


def _is_known(path: Path) -> bool:
    return photographs.is_photo(path) or video.is_video(path)


def _jobs(path: Path, out: Path, others: Counter[str]) -> Iterable[Job]:
    if path.is_file():
        return [Job(source=path, target=_target(out / path.name))]
    if not path.is_dir():
        raise InputError(f"{path} is not there; pass pictures, videos or folders")
    place = out.resolve()
    held = [
        each
        for each in sorted(path.rglob("*"))
        if each.is_file() and not each.name.startswith(".") and not each.resolve().is_relative_to(place)
    ]
    found = [each for each in held if _is_known(each)]
    others.update(each.suffix.lower() or each.name for each in held if not _is_known(each))
    if not found:
        raise InputError(f"{path} holds nothing to restore ({', '.join((*photographs.SUFFIXES, *video.SUFFIXES))})")
    return [Job(source=each, target=_target(out / each.relative_to(path))) for each in found]


def _target(path: Path) -> Path:
    """Its own name; a video's container that is not written becomes Matroska."""
    is_other = video.is_video(path) and path.suffix.lower() not in video.KEPT
    return path.with_suffix(".mkv") if is_other else path
