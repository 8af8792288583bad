"""A person's verdicts on masks: ``verdicts.json`` in the masks folder, read by ``cdg-prep pack --exclude``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prep.errors import MaskError
from prep.io import files

FORMAT, VERSION = "cdg-verdicts", 1
KINDS = ("accept", "reject", "")
_LONGEST_NOTE = 2000  # characters


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """On one frame; ``verdict`` is ``accept``, ``reject``, or empty where there is only a note."""

    verdict: str
    note: str

    def as_json(self) -> dict[str, str]:
        """As the file has it."""
        return asdict(self)


def parse(value: Any) -> Verdict:
    """A verdict from a value of JSON.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, Mapping) or not {"verdict", "note"} >= set(value):
        raise ValueError(f"{value!r} is no verdict; wanted verdict and note")
    verdict, note = value.get("verdict", ""), value.get("note", "")
    if verdict not in KINDS or not isinstance(note, str) or len(note) > _LONGEST_NOTE:
        raise ValueError(f"{value!r} is no verdict; wanted accept or reject, and a note of at most {_LONGEST_NOTE}")
    return Verdict(verdict=verdict, note=note)


def read(path: Path) -> dict[str, Verdict]:
    """Verdicts by key; none where there is no file.

    Raises:
        MaskError: If it is no file of verdicts, or one that is damaged.
    """
    if not path.exists():
        return {}
    if not path.is_file():
        raise MaskError(f"{path} is no regular file; pass one that cdg-prep view saved or downloaded")
    try:
        file = json.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows write a byte order mark
        if file["format"] != FORMAT or file["version"] != VERSION:
            raise ValueError(f"format {file['format']!r}, version {file['version']!r}")
        return {str(key): parse(value) for key, value in file["verdicts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = "it lacks format, version or verdicts" if isinstance(error, KeyError | AttributeError) else error
        raise MaskError(
            f"{path} is no list of verdicts ({reason}); pass one that cdg-prep view saved or downloaded"
        ) from error


def modified(path: Path) -> float:
    """When verdicts were last written, in seconds since 1970; 0 where there is no file."""
    return path.stat().st_mtime if path.exists() else 0


def write(path: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Write verdicts by key, whole or not at all; empty ones are left out."""
    sorted_ = {key: verdict.as_json() for key, verdict in sorted(verdicts.items()) if verdict.verdict or verdict.note}
    file = {"format": FORMAT, "version": VERSION, "verdicts": sorted_}
    files.write_text(path, json.dumps(file, indent=2, ensure_ascii=False) + "\n")


def rejected(path: Path) -> set[str]:
    """Keys of the rejected frames.

    Raises:
        MaskError: If there is no such file, or it holds no verdicts.
    """
    if not path.exists():
        raise MaskError(f"{path} is not there; cdg-prep view saves verdicts, or downloads them")
    return {key for key, verdict in read(path).items() if verdict.verdict == "reject"}
