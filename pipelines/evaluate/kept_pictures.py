"""Pictures of scored frames, kept beside the rows that they are of: the same command need not restore them again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from prep.errors import ReadError
from prep.io import files

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class _Shown(Protocol):
    """A dataclass of what is shown of one frame."""

    @property
    def key(self) -> str: ...


Shown = TypeVar("Shown", bound=_Shown)


def read(path: Path, kind: type[Shown], row_of: Mapping[str, Any]) -> dict[str, Shown]:
    """What an earlier run kept of these very rows, by key.

    Args:
        path: Of the file; where it does not exist, or is damaged, nothing is kept.
        kind: What it holds of a frame, a dataclass.
        row_of: What the pictures are of, as JSON, by key.
    """
    try:
        content = files.read_object(path)
        kept = [files.as_type(each, kind, path.name) for each in content["shown"]]
        rows = list(content["rows"])
    except (FileNotFoundError, ReadError, KeyError, TypeError):
        return {}
    return {each.key: each for each, row in zip(kept, rows, strict=False) if row == row_of.get(each.key)}


def write(path: Path, shown: "Sequence[DataclassInstance]", row_of: Mapping[str, Any]) -> None:
    """Keep what is shown beside the rows that it is of; arguments as for ``read``."""
    examples = [asdict(each) for each in shown]
    content = {"rows": [row_of[each["key"]] for each in examples], "shown": examples}
    files.write_text(path, json.dumps(content) + "\n")
