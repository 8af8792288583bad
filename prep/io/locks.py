"""Files held against other processes, on every platform and, as far as it goes, on file systems without locks."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

# What file systems answer that have no locks: NFS without its lock daemon, some FUSE and Lustre mounts.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class FileInUse(OSError):
    """A file that another process holds."""


class Lock:
    """Hold a lock file, which is made; the end of the process that holds it, however sudden, frees it.

    Where the file system has no locks a warning says so and the work goes on: it is then up to the user that no second
    process writes the same files.

    Args:
        path: The lock file. Nothing is written into it.

    Raises:
        FileInUse: If another process holds it.
        FileExistsError: If the file holds something: taking the lock would empty it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size:
            raise FileExistsError(errno.EEXIST, "holds something, so it is no lock of ours; move it away", str(path))
        self.path = path
        self._lock = FileLock(path, timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise FileInUse(errno.EBUSY, "another process holds it", str(path)) from error
        except NotImplementedError:
            self._warn("it knows none")
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self._warn(error.strerror or str(error))

    def _warn(self, reason: str) -> None:
        logging.getLogger(__name__).warning(
            "%s: this file system has no locks (%s); make sure that no other process writes here", self.path, reason
        )

    def release(self, *, remove: bool = False) -> None:
        """Let it go; with ``remove`` delete the file too, when what it guarded is finished."""
        is_left = False
        if remove:
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:  # Windows removes no file that is open
                is_left = True
        self._lock.release()
        if is_left:
            with suppress(PermissionError):  # another process holds it by now
                self.path.unlink(missing_ok=True)


@contextmanager
def hold(path: Path, *, remove: bool = False, refusal: Exception | None = None) -> Iterator[None]:
    """Hold a lock file for the time of a ``with`` block; see ``Lock``.

    Args:
        path: The lock file.
        remove: Remove it in the end.
        refusal: Is raised in place of ``FileInUse``.
    """
    try:
        lock = Lock(path)
    except FileInUse as error:
        raise refusal or error from error
    try:
        yield
    finally:
        lock.release(remove=remove)
