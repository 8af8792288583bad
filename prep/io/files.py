"""Files that appear whole or not at all."""

import json
import os
import platform
import re
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec
import psutil

from prep.errors import ForeignFile, ReadError

Kind = TypeVar("Kind")

_MOST_DIGITS = 30  # of a whole number: more have no use, and thousands of them are no float
_HEAD = 4096  # bytes in which a file says what it is
_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"  # several may write to one folder, over the network
_PART = re.compile(r"\.(?P<process>\d+)-(?P<machine>[0-9a-f]{8})-[0-9a-f]{16}\.cdg\.part")  # no name but ours


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it is synced and takes the final name.

    A reader sees the old file or the new one, never a part. On an error the temporary file is removed. Its name cannot
    be foreseen, so that nobody can put a link there, and is short whatever the name of ``path``. Where ``path`` is a
    link, the file that it leads to is replaced.
    """
    path = followed(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}-{_MACHINE}-{secrets.token_hex(8)}.cdg.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # never what is there, nor through a link
    try:
        with naming(path):
            yield part
            with part.open("rb+") as handle:
                os.fsync(handle.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def followed(path: Path) -> Path:
    """The file that a link leads to, whether or not it is there; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def holds_others(folder: Path, besides: Sequence[str] = ()) -> bool:
    """Tell whether a folder is there and holds anything but temporary files of ours, of which dead ones are removed,
    and files of these names.
    """
    remove_leftovers(folder)
    return folder.exists() and not all(_PART.fullmatch(each.name) or each.name in besides for each in folder.iterdir())


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes of this machine that were killed."""
    for path in folder.glob(".*.cdg.part"):
        name = _PART.fullmatch(path.name)
        if name and name["machine"] == _MACHINE and not psutil.pid_exists(int(name["process"])):
            path.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the operating system within name a file: that of a full disk names none by itself."""
    try:
        yield
    except OSError as error:
        if error.errno:  # without it the name would be all that is printed
            error.filename = error.filename or str(path)
        raise


def write_bytes(path: Path, data: bytes | memoryview) -> None:
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
    if not path.is_file():
        raise ForeignFile(f"{path} is no regular file, so cdgnet did not write it; move it, or pass another --out")
    with path.open("rb") as file:
        if sign.encode() not in file.read(_HEAD):
            raise ForeignFile(f"{path} would be replaced, and cdgnet did not write it; move it, or pass another --out")


def to_line(row: Mapping[str, Any]) -> bytes:
    """One JSON object on one line, UTF-8, as ``.jsonl`` files hold it."""
    return encoded(json.dumps(row, ensure_ascii=False) + "\n")


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add JSON lines to a file; a kill tears at most the last one that it holds, which the next call takes away."""
    with naming(path), path.open("ab+") as file:
        _drop_torn_line(file)
        file.write(b"".join(to_line(row) for row in rows))


def _drop_torn_line(file: BinaryIO) -> None:
    """Cut off what follows a file's last line break."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, whole or not at all."""
    write_bytes(path, b"".join(to_line(row) for row in rows))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; a last line torn by a killed writer is left out, and a file that is not there holds none.

    Raises:
        ReadError: If a line other than the last is not a JSON object; the message names it.
    """
    if not path.exists():
        return []
    _check_is_file(path)
    # Only "\n" ends a line: the other line breaks that str.splitlines knows may lie in a file's name.
    *lines, _ = path.read_bytes().split(b"\n")
    return [_to_object(line, f"line {number} of {path}") for number, line in enumerate(lines, 1)]


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        ReadError: If it holds something else.
        FileNotFoundError: If it is not there.
    """
    _check_is_file(path)
    return _to_object(path.read_bytes(), str(path))


def _check_is_file(path: Path) -> None:
    """Refuse what would be read for ever, such as a pipe."""
    if path.exists() and not path.is_file():
        raise ReadError(f"{path} is no regular file")


def as_type(value: Any, kind: type[Kind], place: str) -> Kind:
    """What was read of JSON as a type: a dataclass, or a type of the standard library with the types of its items.

    Args:
        value: Objects, lists, texts, numbers.
        kind: Fields, items and bounds (``msgspec.Meta``) are checked; further fields are left out.
        place: Where it was read, for the message.

    Raises:
        ReadError: If it does not fit.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ReadError(f"{place}: {str(error)[:1].lower()}{str(error)[1:]}") from error


def _to_object(data: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), parse_int=_to_int)
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 too; JSON that is nested too deeply
        raise ReadError(f"{place} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ReadError(f"{place} is JSON, but not names with values")
    return value


def _to_int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)
