"""Plan from files, folders and patterns what to restore, with which settings, and the path of each result.

Needs no torch.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError
from prep.datasets import wildcards
from prep.datasets.path_patterns import COMPARISON, is_junk
from prep.errors import ReadError
from prep.io import photographs, video
from prep.io.folders import files_below
from prep.units import counted

_LONGEST_NAME = 255  # bytes
_KINDS = (*photographs.SUFFIXES, *video.SUFFIXES)


@dataclass(frozen=True, kw_only=True)
class RestoreJob:
    """One picture or video, and the path of its result."""

    source: Path
    target: Path

    @property
    def is_video(self) -> bool:
        """Whether the source is a video, by its name."""
        return self.source.suffix.lower() in video.SUFFIXES

    @property
    def parts(self) -> Path:
        """The folder that contains the parts of a video until it is done."""
        return self.target.with_name(self.target.name + ".parts")


@dataclass(frozen=True, kw_only=True)
class RestoreSettings:
    """Settings that affect the results, in addition to the restorer."""

    quality: int = 95  # 1 to 100, for lossy formats: JPEG, WebP, AVIF, HEIC, videos
    batch: int = 1  # frames of equal size restored at once
    identity: Mapping[str, object] | None = None  # restorer's identity, as JSON; its change discards a video's parts


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome for a picture or a video, or a report that one more frame of a video is done."""

    job: RestoreJob
    fault: str = ""  # error message; empty if the result was written
    is_done: bool = True  # False: one frame of an unfinished video


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """The files to restore and the files left out."""

    jobs: Sequence[RestoreJob]
    ignored: Mapping[str, int]  # number of files of other kinds in the folders, by suffix
    faults: Sequence[str]  # reasons why inputs are not restored, one line each


def plan_restore(inputs: Sequence[Path], out: Path) -> RestorePlan:
    """Choose a target for each picture and video: by its name, or by its path below the given folder.

    Faults are: an input that is missing or of another kind, a folder that contains nothing to restore or is in
    ``out``, and files with the same target as an earlier input.

    Raises:
        InputError: If nothing is left to restore, ``out`` is a file or a broken link, or a result would replace an
            input.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; use --out with a folder")
    if out.is_symlink() and not out.exists():
        raise InputError(f"{out} is a broken link; use --out with a folder")
    ignored: Counter[str] = Counter()
    jobs: list[RestoreJob] = []
    faults: list[str] = []
    for given in inputs:
        try:
            jobs += [job for path in _expand_pattern(given, ignored) for job in _jobs(path, out, ignored)]
        except InputError as error:
            faults.append(str(error))
    if faults and not jobs:
        raise InputError("; ".join(faults))
    _refuse_replacing(jobs)
    first_of: dict[Path, RestoreJob] = {}
    for job in jobs:
        first_of.setdefault(job.target, job)
    others = [job for job in dict.fromkeys(jobs) if first_of[job.target] != job]
    if others:
        faults.append(_same_target(others, first_of[others[0].target]))
    return RestorePlan(jobs=list(first_of.values()), ignored=ignored, faults=faults)


def _refuse_replacing(jobs: Iterable[RestoreJob]) -> None:
    """Refuse results that would replace an input."""
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() == job.source.resolve():
            raise InputError(f"{job.source} would be replaced by its own result; use another --out")
        if job.target.resolve() in sources:
            raise InputError(f"{job.target} would be replaced by the result of {job.source}; use another --out")


def _same_target(others: Sequence[RestoreJob], first: RestoreJob) -> str:
    """Return why files with the same target as an earlier input are not restored."""
    job, count = others[0], len(others)
    them = "it" if count == 1 else f"it, and {counted(count - 1, 'other file')} with the same problem,"
    return (
        f"{job.source} was left out, because {job.target} is the result of {first.source}; restore {them} with "
        "another --out"
    )


def _expand_pattern(path: Path, ignored: Counter[str]) -> Sequence[Path]:
    """Return the files that match a pattern, if the shell has not expanded it; any other path unchanged."""
    if not wildcards.is_pattern(path):
        return [path]
    known = _known_files((match for match, _ in wildcards.matches(path)), ignored)
    if not known:
        raise InputError(f"no picture or video matches {path}; pass files or folders")
    return known


def _known_files(paths: Iterable[Path], ignored: Counter[str]) -> list[Path]:
    """Return the pictures and videos among files; count the others in ``ignored``."""
    paths = [path for path in paths if path.is_file()]
    is_known = {path: photographs.is_photo(path) or video.is_video(path) for path in paths}
    ignored.update(path.suffix.lower() or path.name for path in paths if not is_known[path])
    return [path for path in paths if is_known[path]]


def _jobs(path: Path, out: Path, ignored: Counter[str]) -> Iterable[RestoreJob]:
    if path.is_file():
        if path.suffix.lower() == ".gif":
            raise InputError(f"{path}: GIF is not supported; convert it to PNG, or to MP4 if it is animated")
        if path.suffix.lower() not in _KINDS:
            raise InputError(f"{path} is not a supported picture or video; convert it to one of {', '.join(_KINDS)}")
        return [RestoreJob(source=path, target=_target(out / path.name))]
    if not path.is_dir():
        found = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise InputError(f"{path} {found}; pass pictures, videos or folders")
    results = out.resolve()
    below = [each for each in files_below(path) if not each.resolve().is_relative_to(results)]
    ignored.update(COMPARISON for each in below if each.name.endswith(COMPARISON))
    below = [each for each in below if not is_junk(each.name)]
    maps = {each for each in below if _is_map(each)}
    ignored.update({"maps of cdg-prep": len(maps)} if maps else {})
    sources = _known_files((each for each in below if each not in maps), ignored)
    if not sources and path.resolve().is_relative_to(results):
        raise InputError(f"{path} is in the output folder, {out}; pass other inputs, or use another --out")
    if not sources:
        raise InputError(f"{path} contains no picture or video; supported are {', '.join(_KINDS)}")
    return [RestoreJob(source=source, target=_target(out / source.relative_to(path))) for source in sources]


def _is_map(path: Path) -> bool:
    """Return whether a file in a folder is a map written by ``cdg-prep`` (S, M or extents), not a photograph."""
    is_extent = path.parent.name == "extent" and (path.parent.parent / "sharp").is_dir()
    return path.suffix == ".png" and (is_extent or path.name.endswith((".sharpness.png", ".mask.png")))


def name_fault(path: Path) -> str:
    """Return why a result cannot have this name; empty if it can. File systems allow 255 bytes."""
    excess = len(os.fsencode(path.name)) - _LONGEST_NAME
    if excess <= 0:
        return ""
    return f"the file name {path} is {counted(excess, 'byte')} too long; give its source a shorter name"


def fault_of(job: RestoreJob) -> str:
    """Return why an input cannot be restored, judged by its header and name; empty if there is no reason."""
    try:
        if job.is_video:
            video.describe(job.source)
        else:
            photographs.check(job.source)
    except ReadError as error:
        return str(error)
    return name_fault(job.parts if job.is_video else job.target)


def _target(path: Path) -> Path:
    """Return the path itself; with the suffix ``.mkv`` for a video in a container that cannot be written."""
    is_other = video.is_video(path) and path.suffix.lower() not in video.KEPT
    return path.with_suffix(".mkv") if is_other else path
