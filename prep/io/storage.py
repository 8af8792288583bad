"""Read a picture's bytes from its source: a file, or a member of a zip archive that stays packed.

A source is never written to.
"""

import functools
import lzma
import os
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from prep.errors import ReadError
from prep.units import file_size

MOST_BYTES = 2_000_000_000
"""Limit for a file or an unpacked archive member: no picture is larger, and a small archive may unpack to any size."""


@dataclass(frozen=True, kw_only=True)
class ArchiveMember:
    """A file in a zip archive."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix


Source = Path | ArchiveMember


def is_text(name: str) -> bool:
    """Check whether a name is valid text: Python puts surrogates into a file name that is not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


@dataclass(frozen=True, kw_only=True)
class FileStamp:
    """Size, checksum and modification time of a source, to detect whether it has changed since it was read."""

    bytes: int
    crc32: int  # checksum of the bytes, the same for a file and an archive member
    modified: int  # nanoseconds; 0 for an archive member


def absolute(source: Source) -> Source:
    """Make the path of a source absolute, for a worker process, which may run in another folder."""
    if isinstance(source, ArchiveMember):
        return ArchiveMember(archive=source.archive.absolute(), name=source.name)
    return source.absolute()


def read(source: Source, count: int = -1) -> bytes:
    """Read all bytes of a source, or only the first ``count``; a whole archive member's checksum is verified.

    Raises:
        ReadError: If the source cannot be opened, is larger than ``MOST_BYTES``, or its archive is damaged.
    """
    try:
        if isinstance(source, ArchiveMember):
            archive = open_archive(source.archive)
            _check_bytes(source, count, archive.getinfo(source.name).file_size)
            with archive.open(source.name) as member:
                return member.read(count)
        with source.open("rb") as file:
            _check_bytes(source, count, os.fstat(file.fileno()).st_size)
            return file.read(count)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, UnicodeDecodeError) as error:
        raise ReadError(f"{source} is damaged in its archive ({error}); copy or download the archive again") from error
    except (
        RuntimeError,
        NotImplementedError,
    ) as error:  # zipfile raises these for a password or unknown compression
        raise ReadError(
            f"{source} cannot be read from its archive ({error}); unpack the archive, and use the folder"
        ) from error
    except OSError as error:
        raise ReadError(f"{source} cannot be read ({error.strerror or error})") from error


def opened(source: Source) -> IO[bytes]:
    """Open a source to read parts of it; errors of ``open`` and ``zipfile`` are not converted."""
    if isinstance(source, ArchiveMember):
        return open_archive(source.archive).open(source.name)
    return source.open("rb")


def read_stamped(source: Source) -> tuple[bytes, FileStamp]:
    """Read all bytes of a source, and its stamp; the stamp no longer matches if the source changes later.

    Raises:
        ReadError: As for ``read``.
    """
    try:
        modified = 0 if isinstance(source, ArchiveMember) else source.stat().st_mtime_ns
    except OSError as error:
        raise ReadError(f"{source} cannot be read ({error.strerror or error})") from error
    data = read(source)
    return data, FileStamp(bytes=len(data), crc32=zlib.crc32(data), modified=modified)


def _check_bytes(source: Source, wanted: int, found: int) -> None:
    if wanted < 0 and found > MOST_BYTES:
        raise ReadError(
            f"{source} has {file_size(found)}; the limit for a picture is {file_size(MOST_BYTES)}; "
            "compress it, or cut it up"
        )


@functools.lru_cache(maxsize=4)
def open_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive; it stays open for later calls in this process (at most four archives).

    Raises:
        ReadError: If the file is not a zip archive, or cut short.
    """
    try:
        return zipfile.ZipFile(path)
    except (NotImplementedError, UnicodeDecodeError) as error:  # a newer zip format, or names that are not UTF-8
        raise ReadError(f"{path} cannot be read as a zip archive ({error}); unpack it, and use the folder") from error
    except zipfile.BadZipFile as error:
        raise ReadError(f"{path} is not a complete zip archive ({error}); copy or download it again") from error
    except OSError as error:
        raise ReadError(f"{path} cannot be read ({error.strerror or error})") from error


def is_decided_by_bytes(source: Source, old: FileStamp) -> bool:
    """Check whether a source has the same size but another time, so that only its bytes show if it has changed."""
    if isinstance(source, ArchiveMember):
        return False
    status = source.stat()
    return status.st_size == old.bytes and status.st_mtime_ns != old.modified


def current_stamp(source: Source, old: FileStamp) -> FileStamp | None:
    """Return the current stamp of a source if its bytes are those of ``old``, else None.

    The bytes are read only if the size is the same but the time is not, as in a copied data set.
    """
    if isinstance(source, ArchiveMember):
        member = open_archive(source.archive).getinfo(source.name)
        return replace(old, modified=0) if (member.file_size, member.CRC) == (old.bytes, old.crc32) else None
    status = source.stat()
    if status.st_size != old.bytes:
        return None
    if status.st_mtime_ns == old.modified:
        return old
    return replace(old, modified=status.st_mtime_ns) if zlib.crc32(read(source)) == old.crc32 else None
