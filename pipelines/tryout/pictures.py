"""An uploaded picture: its facts, its tasks, and its files in the temporary folder."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from prep.io import photographs, video
from prep.units import file_size

MOST_PIXELS = 200_000_000
MOST_BYTES = 500_000_000
_LONGEST_NAME = 400  # characters; no file system allows more
_LONGEST_STEM = 100  # characters in the name of a download
_MOST_OF_A_COMMAND = 80  # characters of a name in a command to type
_KINDS = "PNG, JPEG, WebP, TIFF, BMP, AVIF or HEIC"


class State(StrEnum):
    """The state of a task."""

    NONE = "none"  # not requested
    SENDING = "sending"  # the picture is on its way to the server
    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


@dataclass(kw_only=True)
class Task:
    """One piece of work on a picture; the queue's lock guards it."""

    state: State = State.NONE
    reason: str = ""  # why it failed, one line
    share: float = 0.0  # of the work done
    started: float = 0.0  # by time.monotonic
    seconds: float = 0.0  # duration


@dataclass(kw_only=True)
class Picture:
    """A picture of the list. Its files have fixed names: the uploaded name is never used on disk."""

    number: int
    name: str  # as uploaded; may contain anything
    size: int  # bytes, of the file
    folder: Path
    suffix: str = ""  # one of ``photographs.SUFFIXES``
    height: int = 0  # pixels, upright
    width: int = 0
    thumb: bytes = b""  # JPEG
    is_received: bool = False
    strength: float = 1.0  # factor on the change that the network makes
    restoring: Task = field(default_factory=lambda: Task(state=State.SENDING))
    branches: Task = field(default_factory=Task)
    parts: Sequence[dict[str, Any]] = ()  # the results of the branches

    @property
    def source(self) -> Path:
        """The uploaded file."""
        return self.folder / f"blurry{self.suffix}"

    @property
    def restored(self) -> Path:
        """The result."""
        return self.folder / f"restored{self.suffix}"

    @property
    def exact(self) -> Path:
        """The result without loss, beside ``restored``; only written if that is in a lossy format."""
        return self.folder / "exact.png"

    @property
    def download_name(self) -> str:
        """The file name of the download, safe in a path and in an HTTP header."""
        stem = PurePosixPath(self.name.replace("\\", "/")).stem
        kept = "".join(letter if letter.isprintable() and letter not in '<>:"/\\|?*;%' else "_" for letter in stem)
        return f"{kept[:_LONGEST_STEM].strip('. ') or 'picture'}-restored{self.suffix}"


def suffix_of(name: str) -> str:
    """The suffix of a name, if it is in ``photographs.SUFFIXES``; else empty."""
    lowered = name.lower()
    return next((suffix for suffix in photographs.SUFFIXES if lowered.endswith(suffix)), "")


def shown_name(name: str) -> str:
    """A name as the page shows it: cut if it is too long."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def reason_to_refuse(name: str, size: int) -> str:
    """Why a file with this name and size (bytes) is refused, in one line; empty if it is accepted."""
    if video.is_video(PurePosixPath(name)):
        shown = name if len(name) <= _MOST_OF_A_COMMAND and name.isprintable() else "clip.mp4"
        return f"This page restores pictures only; for a video, run cdg-deblur {shlex.quote(shown)}"
    if not suffix_of(name):
        return f"This page cannot read this kind of file; convert it to {_KINDS}"
    if size == 0:
        return "This file is empty; copy or download it again"
    if size > MOST_BYTES:
        return (
            f"This file has {file_size(size)}; the limit is {file_size(MOST_BYTES)}; use cdg-deblur on the command line"
        )
    return ""
