"""Files that appear whole or not at all."""

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from prep.errors import ForeignFile

_HEAD = 4096  # bytes in which a file says what it is
_PART = re.compile(r"\.(?P<process>\d+)-[0-9a-f]{16}\.cdg\.part")  # no name of anybody else's


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it is synced and takes the final name.

    A reader sees the old file or the new one, never a part. On an error the temporary file is removed. Its name cannot
    be foreseen, so that nobody can put a link there, and is short whatever the name of ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.cdg.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # never what is there, nor through a link
    try:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk's error names no file
        raise
    finally:
        part.unlink(missing_ok=True)


def holds_others(folder: Path) -> bool:
    """Tell whether a folder is there and holds anything but temporary files of ours, of which dead ones are removed."""
    remove_leftovers(folder)
    return folder.exists() and not all(_PART.fullmatch(each.name) for each in folder.iterdir())


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed."""
    for path in folder.glob(".*.cdg.part"):
        name = _PART.fullmatch(path.name)
        if name and not psutil.pid_exists(int(name["process"])):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` under ``path``, whole or not at all."""
    with replacing(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) under ``path``, whole or not at all; surrogates as in ``encoded``."""
    write_bytes(path, encoded(text))


def encoded(text: str) -> bytes:
    r"""The text as UTF-8. A lone surrogate, as in a file's name that is no UTF-8, is written as ``\udcff``.

    JSON reads that back as the same surrogate.
    """
    return text.encode("utf-8", "backslashreplace")


def refuse_foreign(path: Path, sign: str) -> None:
    """Refuse to replace a file that this package did not write.

    Args:
        path: Need not exist.
        sign: Text that all files of its kind begin with, or have near their beginning.

    Raises:
        ForeignFile: If it is there without the sign.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        if sign.encode() not in file.read(_HEAD):
            raise ForeignFile(f"{path} would be replaced, and cdgnet did not write it; move it, or pass another --out")


def to_line(row: Mapping[str, Any]) -> str:
    """One JSON object on one line, as ``.jsonl`` files hold it."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add JSON lines to a file; a kill tears at most the last one that it holds."""
    with path.open("ab+") as file:
        _drop_torn_line(file)
        file.write(encoded("".join(to_line(row) for row in rows)))


def _drop_torn_line(file: BinaryIO) -> None:
    """Cut off what follows the last line's end, or the next row would be a part of it."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 1))
    if end and file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, whole or not at all."""
    write_text(path, "".join(to_line(row) for row in rows))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; a last line torn by a killed writer is left out.

    Raises:
        ValueError: If a line other than the last is not JSON.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")  # what follows the last line's end is torn, or nothing
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise ValueError(f"{path} holds a line that is not JSON ({error}); remove the file to begin anew") from error
