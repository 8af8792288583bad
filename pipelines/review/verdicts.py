"""A person's verdicts on masks: ``verdicts.json`` in the masks folder, read by ``cdg-prep pack --exclude``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prep.errors import MaskError
from prep.io import files

FORMAT, VERSION = "cdg-verdicts", 2
_READABLE = (1, VERSION)  # version 1 has no method and no mu
KINDS = ("accept", "reject", "")
_LONGEST_NOTE, _LONGEST_METHOD = 2000, 100  # characters


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A person's verdict on one frame: ``accept``, ``reject``, or empty if there is only a note.

    ``method`` and ``mu`` describe the mask that was shown; they are empty and None if unknown, as in version 1 files.
    """

    verdict: str
    note: str
    method: str = ""
    mu: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as in the file, without an unknown method or mu."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name in ("verdict", "note") or value not in ("", None)
        }


def parse(value: Any) -> Verdict:
    """Parse a verdict from a JSON value.

    Raises:
        ValueError: If the value is not a verdict.
    """
    if not isinstance(value, Mapping) or not {"verdict", "note", "method", "mu"} >= set(value):
        raise ValueError(f"{value!r} is not a verdict; it must hold verdict, note, method and mu alone")
    verdict, note, method, mu = (
        value.get("verdict", ""),
        value.get("note", ""),
        value.get("method", ""),
        value.get("mu"),
    )
    if not isinstance(method, str) or len(method) > _LONGEST_METHOD or not _is_mu(mu):
        raise ValueError(f"{value!r} is not a verdict; method must be a name and mu a number from 0 to 1")
    if verdict not in KINDS or not isinstance(note, str) or len(note) > _LONGEST_NOTE:
        raise ValueError(
            f"{value!r} is not a verdict; use accept or reject, and a note of up to {_LONGEST_NOTE:,} characters"
        )
    return Verdict(verdict=verdict, note=note, method=method, mu=None if mu is None else float(mu))


def _is_mu(value: Any) -> bool:
    """Return whether a JSON value is a threshold or None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (is_number and 0 <= value <= 1)


def read(path: Path) -> dict[str, Verdict]:
    """Read verdicts by key; empty if the file does not exist.

    Raises:
        MaskError: If the file is not a file of verdicts, or is damaged.
    """
    if not path.exists():
        return {}
    if not path.is_file():
        raise MaskError(f"{path} is not a regular file; give one that cdg-prep view saved or downloaded")
    try:
        file = json.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows write a byte order mark
        if file["format"] != FORMAT or file["version"] not in _READABLE:
            raise ValueError(f"format {file['format']!r}, version {file['version']!r}")
        return {str(key): parse(value) for key, value in file["verdicts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = "it lacks format, version or verdicts" if isinstance(error, KeyError | AttributeError) else error
        raise MaskError(
            f"{path} is not a list of verdicts ({reason}); give one that cdg-prep view saved or downloaded"
        ) from error


def modified(path: Path) -> float:
    """Return the time of the last change of the file, in seconds since 1970; 0 if it does not exist."""
    return path.stat().st_mtime if path.exists() else 0


def write(path: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Write verdicts by key, completely or not at all; empty verdicts are left out."""
    sorted_ = {key: verdict.as_json() for key, verdict in sorted(verdicts.items()) if verdict.verdict or verdict.note}
    file = {"format": FORMAT, "version": VERSION, "verdicts": sorted_}
    files.write_text(path, json.dumps(file, indent=2, ensure_ascii=False) + "\n")


def rejected(path: Path) -> set[str]:
    """Return the keys of the rejected frames.

    Raises:
        MaskError: If the file does not exist or is not a file of verdicts.
    """
    if not path.exists():
        raise MaskError(f"{path} does not exist; judge masks with cdg-prep view, which saves it")
    return {key for key, verdict in read(path).items() if verdict.verdict == "reject"}
