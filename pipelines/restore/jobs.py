"""Files, folders and patterns -> what is to be restored, where each result goes, how. Needs no torch."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError
from prep.datasets import wildcards
from prep.datasets.path_patterns import is_junk
from prep.io import photographs, video
from prep.io.folders import files_below

_LONGEST_NAME = 255  # bytes


@dataclass(frozen=True, kw_only=True)
class RestoreJob:
    """One picture or video: where from, where to."""

    source: Path
    target: Path

    @property
    def is_video(self) -> bool:
        """Whether it is one, by its name."""
        return self.source.suffix.lower() in video.SUFFIXES

    @property
    def parts(self) -> Path:
        """Where the parts of a video lie until it is done."""
        return self.target.with_name(self.target.name + ".parts")


@dataclass(frozen=True, kw_only=True)
class RestoreSettings:
    """What decides the results besides the restorer."""

    quality: int = 95  # 1 to 100, of lossy formats: JPEG, WebP, AVIF, HEIC, videos
    batch: int = 1  # frames of one size that are restored at once
    identity: Mapping[str, object] | None = None  # of the restorer, as JSON; parts of a video of another are discarded


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a picture or a video, or that one more frame of a video is done."""

    job: RestoreJob
    fault: str = ""  # empty when it was written
    is_done: bool = True  # False: a frame of a video that goes on


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """What is to be restored, and which files are not."""

    jobs: Sequence[RestoreJob]
    ignored: Mapping[str, int]  # files of other kinds in the folders: how many, by suffix
    faults: Sequence[str]  # inputs of which nothing is restored, and why: a line each


def plan_restore(inputs: Sequence[Path], out: Path) -> RestorePlan:
    """Name a target for each picture and video: a file by its name, a folder's by their path below it.

    An input that is missing, of another kind, or a folder that holds nothing to restore or is ``out``, is a fault.

    Raises:
        InputError: If nothing is left to restore, ``out`` is a file, two share a target, or one would replace another.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; pass --out with a folder")
    if out.is_symlink() and not out.exists():
        raise InputError(f"{out} is a link that leads nowhere; pass --out with a folder")
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
    _check_targets(jobs)
    return RestorePlan(jobs=list(dict.fromkeys(jobs)), ignored=ignored, faults=faults)


def _check_targets(jobs: Iterable[RestoreJob]) -> None:
    """Refuse two results in one place, and a result in the place of any input."""
    sources = {job.source.resolve() for job in jobs}
    source_of: dict[Path, Path] = {}
    for job in jobs:
        other = source_of.setdefault(job.target, job.source)
        if other != job.source:
            raise InputError(
                f"{other} and {job.source} would both become {job.target}; pass one of them alone, with another --out"
            )
        if job.target.resolve() == job.source.resolve():
            raise InputError(f"{job.source} would be replaced by its own result; pass another --out")
        if job.target.resolve() in sources:
            raise InputError(f"{job.target} would be replaced by the result of {job.source}; pass another --out")


def _expand_pattern(path: Path, ignored: Counter[str]) -> Sequence[Path]:
    """The files that a pattern matches, where the shell has not expanded it; any other path as it is."""
    if not wildcards.is_pattern(path):
        return [path]
    known = _known_files((match for match, _ in wildcards.matches(path)), ignored)
    if not known:
        raise InputError(f"{path} matches no picture and no video; pass files or folders")
    return known


def _known_files(paths: Iterable[Path], ignored: Counter[str]) -> list[Path]:
    """Those that are pictures or videos; other files are counted."""
    paths = [path for path in paths if path.is_file()]
    is_known = {path: photographs.is_photo(path) or video.is_video(path) for path in paths}
    ignored.update(path.suffix.lower() or path.name for path in paths if not is_known[path])
    return [path for path in paths if is_known[path]]


def _jobs(path: Path, out: Path, ignored: Counter[str]) -> Iterable[RestoreJob]:
    if path.is_file():
        kinds = (*photographs.SUFFIXES, *video.SUFFIXES)
        if path.suffix.lower() not in kinds:
            raise InputError(f"{path} is neither picture nor video by its name ({', '.join(kinds)}); convert it")
        return [RestoreJob(source=path, target=_target(out / path.name))]
    if not path.is_dir():
        found = "neither a file nor a folder" if path.exists() else "not there"
        raise InputError(f"{path} is {found}; pass pictures, videos or folders")
    results = out.resolve()
    below = [each for each in files_below(path) if not is_junk(each.name)]
    below = [each for each in below if not each.resolve().is_relative_to(results)]
    maps = {each for each in below if _is_map(each)}
    ignored.update({"maps of cdg-prep": len(maps)} if maps else {})
    sources = _known_files((each for each in below if each not in maps), ignored)
    if not sources and path.resolve().is_relative_to(results):
        raise InputError(f"{path} is where results go; pass another --out")
    if not sources:
        raise InputError(f"{path} holds nothing to restore ({', '.join((*photographs.SUFFIXES, *video.SUFFIXES))})")
    return [RestoreJob(source=source, target=_target(out / source.relative_to(path))) for source in sources]


def _is_map(path: Path) -> bool:
    """Whether a file in a folder is a map that ``cdg-prep`` wrote, of S, of M or of extents, and no photograph."""
    is_extent = path.parent.name == "extent" and (path.parent.parent / "sharp").is_dir()
    return path.suffix == ".png" and (is_extent or path.name.endswith((".sharpness.png", ".mask.png")))


def name_fault(path: Path) -> str:
    """Why a file of ours cannot have this name; empty where it can. File systems take 255 bytes."""
    excess = len(os.fsencode(path.name)) - _LONGEST_NAME
    return f"the name of {path} is {excess} bytes too long; give its source a shorter one" if excess > 0 else ""


def _target(path: Path) -> Path:
    """The path itself; ``.mkv`` for a video in a container that cannot be written."""
    is_other = video.is_video(path) and path.suffix.lower() not in video.KEPT
    return path.with_suffix(".mkv") if is_other else path
