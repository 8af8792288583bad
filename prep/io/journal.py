"""A file that survives a kill or a power cut: opened again, it has the content of its last commit.

Committed bytes stay unchanged on disk. New bytes are appended after them, where a torn write does no harm; changed
bytes wait in memory, in pages. A commit syncs the appended bytes, atomically writes a log with the length and the
pages, and only then changes the file. Opening the file applies the log again (harmless if it was applied before) and
cuts off uncommitted bytes.

HDF5 uses a journal like any other file. It appends its chunks and changes only its tables in place, so few pages
change. HDF5 itself has no such protection: a killed writer leaves a file that does not open.
"""

import io
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prep.errors import ReadError
from prep.io import files
from prep.io.locks import Lock

_PAGE = 4096
_SIGNATURE = b"cdglog\x00\x01"
_HEAD = struct.Struct("<8sQQ")  # signature, committed length, number of pages; then each page's number and bytes
_NUMBER = struct.Struct("<Q")


class Journal(io.RawIOBase):
    """A file open for reading and writing, with its log ``NAME.log`` and its lock ``NAME.lock`` beside it.

    Opened again, it has the content of the last commit; without a commit it is empty. Not safe for several threads.

    Raises:
        locks.FileInUse: If another process has the file open.
        ReadError: If another program wrote the file or the log, the log is damaged, or the file is too short.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.log = path, _log_path(path)
        self._lock = Lock(path.with_name(f"{path.name}.lock"))
        try:
            files.remove_leftovers(path.parent)  # from a process killed while it wrote a log
            if not self.is_begun(path):
                self._begin()
            length, pages = _read_log(self.log)
            if path.stat().st_size < length:
                raise ReadError(f"{path} is shorter than {self.log} says; remove both to start again")
            self._file = path.open("r+b", buffering=0)
        except BaseException:
            self._lock.release()
            raise
        self._pages: dict[int, bytearray] = {}
        self._committed = self._size = length
        self._at = 0
        self._failure: OSError | None = None
        self._apply(pages)

    @staticmethod
    def is_begun(path: Path) -> bool:
        """Check whether ``path`` is the file of a journal: both it and its log exist."""
        return path.exists() and _log_path(path).exists()

    def _begin(self) -> None:
        """Create the log, then the empty file: a file without a log belongs to another program and is not touched."""
        if self.path.exists() and self.path.stat().st_size:
            raise ReadError(
                f"{self.path} was made by another program, or its {self.log.name} is missing; move it "
                "away, it would be overwritten"
            )
        _read_log(self.log)  # raises an error if another program wrote the log
        files.write_bytes(self.log, _log(0, {}))
        self.path.touch()

    def check(self) -> None:
        """Raise the error of a failed write.

        ``write`` never raises it, because HDF5 does not survive a full disk; after the first error it writes nothing.
        """
        if self._failure is not None:
            raise OSError(self._failure.errno, self._failure.strerror, str(self.path))

    def commit(self) -> None:
        """Commit the current content; after a kill the file returns to it."""
        self.check()
        os.fsync(self._file.fileno())
        pages = {number: bytes(page) for number, page in self._pages.items()}
        files.write_bytes(self.log, _log(self._size, pages))
        self._committed = self._size
        self._apply(pages)
        self._pages.clear()

    def finish(self, path: Path) -> None:
        """Commit, close the file, rename it to ``path``, and remove the log and the lock."""
        self.commit()
        os.fsync(self._file.fileno())
        self._file.close()  # Windows cannot rename an open file
        self.path.replace(path)
        self.log.unlink()
        self._lock.release(remove=True)
        super().close()

    def _apply(self, pages: Mapping[int, bytes]) -> None:
        for number, page in pages.items():
            _write_all(self._file, page, number * _PAGE)
        self._file.truncate(self._committed)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def truncate(self, size: int | None = None) -> int:
        size, before, at = self._at if size is None else size, self._size, self._at
        if size < before:  # the bytes cut off must read as zeros if the file grows again
            self.seek(size)
            self.write(bytes(max(0, min(before, self._safe) - size)))
            self._file.truncate(max(size, self._safe))
        self._size, self._at = size, at
        return size

    @property
    def _safe(self) -> int:
        """The first page boundary after all committed bytes."""
        return -(-self._committed // _PAGE) * _PAGE

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._at))
        _read_all(self._file, view[:count], self._at)
        for number in range(self._at // _PAGE, -(-(self._at + count) // _PAGE)):
            page = self._pages.get(number)
            if page is not None:
                first, last = max(number * _PAGE, self._at), min((number + 1) * _PAGE, self._at + count)
                view[first - self._at : last - self._at] = page[first - number * _PAGE : last - number * _PAGE]
        self._at += count
        return count

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        start, end = self._at, self._at + len(view)
        behind = max(start, min(end, self._safe))
        for number in range(start // _PAGE, -(-behind // _PAGE) if behind > start else 0):
            first, last = max(number * _PAGE, start), min((number + 1) * _PAGE, behind)
            self._page(number)[first - number * _PAGE : last - number * _PAGE] = view[first - start : last - start]
        if self._failure is None:
            try:
                _write_all(self._file, view[behind - start :], behind)
            except OSError as error:
                self._failure = error
        self._at, self._size = end, max(self._size, end)
        return len(view)

    def _page(self, number: int) -> bytearray:
        if number not in self._pages:
            page = bytearray(_PAGE)
            _read_all(self._file, memoryview(page), number * _PAGE)
            self._pages[number] = page
        return self._pages[number]

    def close(self) -> None:
        """Close the file; uncommitted bytes are lost."""
        if not self.closed:
            self._file.close()
            self._lock.release()
        super().close()


def _read_all(file: io.FileIO, view: memoryview, offset: int) -> None:
    """Fill ``view`` from ``offset`` on, with zeros beyond the end of the file."""
    file.seek(offset)
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            view[done:] = bytes(len(view) - done)
            return
        done += count


def _write_all(file: io.FileIO, data: bytes | memoryview, offset: int) -> None:
    view, done = memoryview(data), 0
    if view:
        file.seek(offset)
    while done < len(view):
        done += file.write(view[done:])


def _log(length: int, pages: Mapping[int, bytes]) -> bytes:
    body = b"".join(
        [_HEAD.pack(_SIGNATURE, length, len(pages)), *(_NUMBER.pack(n) + page for n, page in pages.items())]
    )
    return body + zlib.crc32(body).to_bytes(4, "little")


def _log_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.log")


def _read_log(path: Path) -> tuple[int, dict[int, bytes]]:
    """Return the committed length and pages; 0 and no pages if the log does not exist.

    Raises:
        ReadError: If the file is not a log, or is damaged.
    """
    if not path.exists():
        return 0, {}
    data = path.read_bytes()
    body, crc = data[:-4], int.from_bytes(data[-4:], "little")
    if not body.startswith(_SIGNATURE[: len(body)]) or not body:
        raise ReadError(f"{path} was made by another program and would be overwritten; move it away")
    if len(body) < _HEAD.size or zlib.crc32(body) != crc:
        raise ReadError(f"{path} is damaged; remove it and {path.with_suffix('').name} to start again")
    _, length, count = _HEAD.unpack_from(body)
    step = _NUMBER.size + _PAGE
    pages = {}
    for start in range(_HEAD.size, _HEAD.size + count * step, step):
        (number,) = _NUMBER.unpack_from(body, start)
        pages[number] = body[start + _NUMBER.size : start + step]
    return length, pages
