"""Restore videos; size, frame rate, colours and sound stay the same.

A video is restored in parts, ``TARGET.parts/000000.nut`` and so on, which are joined at the end. After an interruption
the same command restores only the missing parts. In the same folder ``asked.json`` records source and settings of the
parts, and ``ends.jsonl`` the last frame of each part, from which reading continues.
"""

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from cdgnet.images import restore_all
from pipelines.restore.jobs import Outcome, RestoreJob, RestoreSettings, name_fault
from pipelines.restore.restorer import Restorer
from pipelines.restore.threads import map_in_order, read_ahead
from prep.errors import FrameError, ReadError
from prep.io import files, locks, video, video_parts
from prep.io.video import Moment

_ASKED, _ENDS, _LOCK = "asked.json", "ends.jsonl", "lock"
_END_FIELDS = {"part", "ticks", "crc32"}
PART_FRAMES = 48  # frames per part, the most that an interruption loses; each part begins with a key frame


def restore_video(job: RestoreJob, restorer: Restorer, settings: RestoreSettings) -> Iterator[Outcome]:
    """Restore a video; yield one outcome per frame with ``is_done=False``, then a last one that is done.

    Raises:
        ReadError: If the video cannot be read, or the folder of its parts contains other files.
        OSError: If the result cannot be written.
    """
    about = video.describe(job.source)
    folder = job.parts
    _check_place(folder)
    with locks.hold(folder / _LOCK, remove=True):
        _check_parts(folder)
        done = _count_usable_parts(folder, job, settings)
        yield from (Outcome(job=job, is_done=False) for _ in range(done * PART_FRAMES))
        ends: dict[int, dict[str, int]] = {}
        rest = _note_ends(_read_from(job.source, folder, done), done, ends)
        moments = _restore(rest, restorer, settings.batch)
        for number, part in enumerate(_split(moments), done):
            with video_parts.writing(
                _part(folder, number), about, settings.quality, job.target.suffix.lower()
            ) as write:
                for _ in map_in_order(write, part):
                    yield Outcome(job=job, is_done=False)
            if number in ends:
                files.append_rows(folder / _ENDS, [ends.pop(number)])
        if (folder / _ASKED).read_text(encoding="utf-8") != _asked(job, settings):
            raise FrameError(f"{job.source} changed while it was being restored; run the same command again")
        seconds = video_parts.join(_parts(folder), job.source, job.target, settings.quality) + float(1 / about.rate)
    _remove(folder)  # after the lock file in it is closed, because Windows removes no open file
    is_cut = seconds < 0.9 * about.seconds - 0.25  # tolerant, because some containers only estimate their duration
    fault = f"{job.source} ends after {seconds:.1f} s of {about.seconds:.1f} s; these were restored"
    yield Outcome(job=job, fault=fault if is_cut else "")


def _check_place(folder: Path) -> None:
    """Refuse a folder for parts in which no lock can be taken."""
    if fault := name_fault(folder):
        raise FrameError(fault)
    lock = folder / _LOCK
    if folder.exists() and (not folder.is_dir() or (lock.exists() and not _is_ours(lock))):
        raise _foreign(folder)


def _check_parts(folder: Path) -> None:
    """Refuse a folder that contains foreign files, because the folder is removed in the end.

    The caller must hold the lock, because files that another process is writing would look foreign.
    """
    files.remove_leftovers(folder)
    if any(not _is_ours(path) for path in folder.iterdir()) or (_parts(folder) and not (folder / _ASKED).exists()):
        raise _foreign(folder)


def _foreign(folder: Path) -> FrameError:
    return FrameError(f"{folder} contains files that are not parts of a video; move it away, or use another --out")


def _is_ours(path: Path) -> bool:
    if path.name == _LOCK:
        return path.stat().st_size == 0
    if path.name not in (_ASKED, _ENDS):
        return re.fullmatch(r"\d{6}\.nut", path.name) is not None
    try:
        if path.name == _ENDS:
            return all(map(_is_end, files.read_rows(path)))
        return set(files.read_object(path)) >= {"bytes", "modified", "quality", "suffix"}
    except ReadError:
        return False


def _remove(folder: Path) -> None:
    """Remove our own files from a folder of parts, then the folder if it is empty."""
    for path in [*_parts(folder), folder / _ASKED, folder / _ENDS, folder / _LOCK]:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # another file was put there in the meantime
        folder.rmdir()


def _count_usable_parts(folder: Path, job: RestoreJob, settings: RestoreSettings) -> int:
    """Count the parts of this video by this network with these settings; remove all parts if they are of another."""
    path, text = folder / _ASKED, _asked(job, settings)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        for part in folder.glob("*.nut"):  # _check_parts has made sure that all are ours
            part.unlink()
        (folder / _ENDS).unlink(missing_ok=True)
        files.write_text(path, text)
    return len(_parts(folder))


def _asked(job: RestoreJob, settings: RestoreSettings) -> str:
    """Return the content of ``asked.json``: all that the parts of a video depend on."""
    status = job.source.stat()
    asked: dict[str, Any] = {"bytes": status.st_size, "modified": status.st_mtime_ns, "quality": settings.quality}
    return json.dumps({**asked, "suffix": job.target.suffix.lower(), **(settings.identity or {})}, indent=1) + "\n"


def _parts(folder: Path) -> list[Path]:
    """Return the paths of the parts from the first up to the first gap."""
    parts: list[Path] = []
    while (part := _part(folder, len(parts))).exists():
        parts.append(part)
    return parts


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.nut"


def _read_from(source: Path, folder: Path, parts: int) -> Iterator[Moment]:
    """Return the frames after those of the first ``parts`` parts.

    Decoding begins near the last part whose end is recorded, if the same frame is found there again. Otherwise it
    begins at the start, because not every video yields the same frames after a seek.
    """
    end = next((row for row in reversed(files.read_rows(folder / _ENDS)) if row["part"] < parts), None)
    if end is not None:
        with suppress(FrameError):
            moments = video.read(source, since=end["ticks"])
            if (moment := next(moments, None)) and _end(end["part"], moment) == end:
                return islice(moments, (parts - 1 - end["part"]) * PART_FRAMES, None)
    return islice(video.read(source), parts * PART_FRAMES, None)


def _note_ends(moments: Iterator[Moment], parts: int, ends: dict[int, dict[str, int]]) -> Iterator[Moment]:
    """Yield ``moments``, the frames after the first ``parts`` parts; add the last frame of each part to ``ends``."""
    for number, moment in enumerate(moments, parts * PART_FRAMES + 1):
        if number % PART_FRAMES == 0:
            part = number // PART_FRAMES - 1
            ends[part] = _end(part, moment)
        yield moment


def _end(part: int, moment: Moment) -> dict[str, int]:
    return {"part": part, "ticks": moment.ticks, "crc32": zlib.crc32(moment.pixels.data)}


def _is_end(row: dict[str, Any]) -> bool:
    return set(row) == _END_FIELDS and all(isinstance(value, int) and abs(value) < 2**62 for value in row.values())


def _split(moments: Iterator[Moment]) -> Iterator[Iterator[Moment]]:
    for first in moments:
        yield chain([first], islice(moments, PART_FRAMES - 1))


def _restore(moments: Iterator[Moment], restorer: Restorer, batch_size: int) -> Iterator[Moment]:
    moments = read_ahead(moments)
    while batch := list(islice(moments, batch_size)):
        restored = restore_all([moment.pixels for moment in batch], restorer)
        yield from (replace(moment, pixels=pixels) for moment, pixels in zip(batch, restored, strict=True))
