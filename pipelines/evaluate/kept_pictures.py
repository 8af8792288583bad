"""Pictures of scored frames, saved with their rows, so that the same command need not restore the frames again."""

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
    """A dataclass with the pictures of one frame."""

    @property
    def key(self) -> str: ...


Shown = TypeVar("Shown", bound=_Shown)


def read(path: Path, kind: type[Shown], row_of: Mapping[str, Any]) -> dict[str, Shown]:
    """Read the pictures that an earlier run saved, by key, if their rows are the same as now.

    Args:
        path: The file; if it does not exist or is damaged, the result is empty.
        kind: The dataclass that it holds for each frame.
        row_of: The rows, by key, as JSON. Pictures of another row are left out.
    """
    try:
        content = files.read_object(path)
        kept = [files.as_type(each, kind, path.name) for each in content["shown"]]
        rows = list(content["rows"])
    except (FileNotFoundError, ReadError, KeyError, TypeError):
        return {}
    return {each.key: each for each, row in zip(kept, rows, strict=False) if row == row_of.get(each.key)}


def write(path: Path, shown: "Sequence[DataclassInstance]", row_of: Mapping[str, Any]) -> None:
    """Save pictures with the rows that they show; arguments as for ``read``."""
    examples = [asdict(each) for each in shown]
    content = {"rows": [row_of[each["key"]] for each in examples], "shown": examples}
    files.write_text(path, json.dumps(content) + "\n")
