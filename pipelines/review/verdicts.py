"""What a person decided of frames: ``verdicts.json``, kept beside masks and read by ``cdg-prep pack --exclude``."""

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
    """Of one frame; ``verdict`` is empty where there is only a note."""

    verdict: str
    note: str

    def as_json(self) -> dict[str, str]:
        """As the file holds it."""
        return asdict(self)


def parse(found: Any) -> Verdict:
    """A verdict from what JSON gave.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(found, Mapping) or not {"verdict", "note"} >= set(found):
        raise ValueError(f"{found!r} is no verdict; wanted verdict and note")
    verdict, note = found.get("verdict", ""), found.get("note", "")
    if verdict not in KINDS or not isinstance(note, str) or len(note) > _LONGEST_NOTE:
        raise ValueError(f"{found!r} is no verdict; wanted accept or reject, and a note of at most {_LONGEST_NOTE}")
    return Verdict(verdict=verdict, note=note)


def read(path: Path) -> dict[str, Verdict]:
    """Verdicts by key; none where there is no file.

    Raises:
        MaskError: If it is no file of verdicts.
    """
    if not path.exists():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editors begin with a mark
        if held["format"] != FORMAT or held["version"] != VERSION:
            raise ValueError(f"format {held['format']!r}, version {held['version']!r}")
        return {str(key): parse(found) for key, found in held["verdicts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = "it lacks format, version or verdicts" if isinstance(error, KeyError | AttributeError) else error
        raise MaskError(
            f"{path} is no list of verdicts ({reason}); pass one that cdg-prep view saved or downloaded"
        ) from error


def write(path: Path, held: Mapping[str, Verdict]) -> None:
    """Write verdicts, whole or not at all."""
    listed = {key: held[key].as_json() for key in sorted(held) if held[key].verdict or held[key].note}
    file = {"format": FORMAT, "version": VERSION, "verdicts": listed}
    files.write_text(path, json.dumps(file, indent=2, ensure_ascii=False) + "\n")


def rejected(path: Path) -> set[str]:
    """Keys of the frames rejected.

    Raises:
        MaskError: If there is no such file, or it is none of verdicts.
    """
    if not path.exists():
        raise MaskError(f"{path} is not there; cdg-prep view saves verdicts, or downloads them")
    return {key for key, verdict in read(path).items() if verdict.verdict == "reject"}
