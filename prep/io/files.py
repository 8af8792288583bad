"""Write files atomically (whole or not at all); read and write JSON."""

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

_MOST_DIGITS = 30  # limit for a whole number: more are useless, and thousands do not fit a float
_HEAD = 4096  # bytes at the start of a file that show its kind
_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"  # several machines may write to one network folder
_PART = re.compile(
    r"\.(?P<process>\d+)-(?P<machine>[0-9a-f]{8})-[0-9a-f]{16}\.cdg\.part"
)  # no other program uses such names


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; on success it is synced and renamed to ``path``.

    A reader sees the old file or the new one, never a part. On an error the temporary file is removed. Its name cannot
    be predicted, so nobody can place a link there, and it is short even if the name of ``path`` is long. If ``path`` is
    a link, the file that it points to is replaced.
    """
    path = followed(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}-{_MACHINE}-{secrets.token_hex(8)}.cdg.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # fails if the file exists, also as a link
    try:
        with naming(path):
            yield part
            with part.open("rb+") as handle:
                os.fsync(handle.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def followed(path: Path) -> Path:
    """Return the file that a link points to, even if it does not exist; return any other path unchanged."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def holds_others(folder: Path, besides: Sequence[str] = ()) -> bool:
    """Check whether a folder contains anything other than our temporary files and files with these names.

    Temporary files of killed processes are removed.
    """
    remove_leftovers(folder)
    return folder.exists() and not all(_PART.fullmatch(each.name) or each.name in besides for each in folder.iterdir())


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes of this machine left behind."""
    for path in folder.glob(".*.cdg.part"):
        name = _PART.fullmatch(path.name)
        if name and name["machine"] == _MACHINE and not psutil.pid_exists(int(name["process"])):
            path.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the file name to errors of the operating system that lack it, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno:  # without an error number, only the file name would be printed
            error.filename = error.filename or str(path)
        raise


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write ``data`` to ``path`` atomically."""
    with replacing(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically; surrogates are written as by ``encoded``."""
    write_bytes(path, encoded(text))


def encoded(text: str) -> bytes:
    r"""Encode text as UTF-8; a lone surrogate, as in a file name that is not UTF-8, is written as ``\udcff``.

    JSON reads that back as the same surrogate.
    """
    return text.encode("utf-8", "backslashreplace")


def refuse_foreign(path: Path, sign: str) -> None:
    """Refuse to replace a file that this package did not write.

    Args:
        path: The file; it need not exist.
        sign: Text that every file of this kind has in its first 4096 bytes.

    Raises:
        ForeignFile: If the file exists without the sign, or is not a regular file.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise ForeignFile(f"{path} is not a regular file, so cdgnet did not write it; move it, or choose another --out")
    with path.open("rb") as file:
        if sign.encode() not in file.read(_HEAD):
            raise ForeignFile(
                f"{path} would be replaced, but cdgnet did not write it; move it, or choose another --out"
            )


def to_line(row: Mapping[str, Any]) -> bytes:
    """Encode a row as one line of a ``.jsonl`` file: a JSON object in UTF-8."""
    return encoded(json.dumps(row, ensure_ascii=False) + "\n")


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON lines to a file; a kill can leave only the last line incomplete, and the next call removes it."""
    with naming(path), path.open("ab+") as file:
        _drop_torn_line(file)
        file.write(b"".join(to_line(row) for row in rows))


def _drop_torn_line(file: BinaryIO) -> None:
    """Cut off all bytes after a file's last line break."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines atomically."""
    write_bytes(path, b"".join(to_line(row) for row in rows))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; a last line that a killed writer left incomplete is skipped. Empty if the file does not exist.

    Raises:
        ReadError: If a complete line is not a JSON object, and the message names it; or it is not a regular file.
    """
    if not path.exists():
        return []
    _check_is_file(path)
    # Only "\n" ends a line: the other line breaks that str.splitlines knows may be part of a file name.
    *lines, _ = path.read_bytes().split(b"\n")
    return [_to_object(line, f"line {number} of {path}") for number, line in enumerate(lines, 1)]


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that contains one JSON object.

    Raises:
        ReadError: If the file contains anything else, or is not a regular file.
        FileNotFoundError: If the file does not exist.
    """
    _check_is_file(path)
    return _to_object(path.read_bytes(), str(path))


def _check_is_file(path: Path) -> None:
    """Refuse an existing path that is not a regular file, such as a pipe: reading it might never end."""
    if path.exists() and not path.is_file():
        raise ReadError(f"{path} is not a regular file")


def as_type(value: Any, kind: type[Kind], place: str) -> Kind:
    """Convert parsed JSON to a type: a dataclass, or a built-in collection with the types of its items.

    Args:
        value: The parsed JSON: objects, lists, texts, numbers.
        kind: The type; its fields, items and bounds (``msgspec.Meta``) are checked, unknown fields are ignored.
        place: Where the value was read, for the error message.

    Raises:
        ReadError: If the value does not have this type.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ReadError(f"{place}: {str(error)[:1].lower()}{str(error)[1:]}") from error


def _to_object(data: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), parse_int=_to_int)
    except (
        ValueError,
        RecursionError,
    ) as error:  # also raised for bytes that are not UTF-8, and for JSON nested too deeply
        raise ReadError(f"{place} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ReadError(f"{place} is JSON, but not an object (names with values)")
    return value


def _to_int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number with {len(digits):,} digits")
    return int(digits)
