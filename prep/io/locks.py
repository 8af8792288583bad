"""Lock files on every platform; warn on file systems without locks."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

# Errors of file systems without locks: NFS without its lock daemon, some FUSE and Lustre mounts.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class FileInUse(OSError):
    """The error for a file that another process has locked."""


class Lock:
    """A lock on a file, which it creates; the lock ends with the process, even if that is killed.

    If the file system has no locks, a warning says so and the work continues: the user must then make sure that no
    second process writes the same files.

    Args:
        path: The lock file; it stays empty.

    Raises:
        FileInUse: If another process has locked it.
        FileExistsError: If the file is not empty, because locking would empty it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size:
            raise FileExistsError(
                errno.EEXIST, "is not empty, so it is not a lock file of cdgnet; move it away", str(path)
            )
        self.path = path
        self._lock = FileLock(path, timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise FileInUse(errno.EBUSY, "in use by another process", str(path)) from error
        except NotImplementedError:
            self._warn("not supported")
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self._warn(error.strerror or str(error))

    def _warn(self, reason: str) -> None:
        logging.getLogger(__name__).warning(
            "%s: this file system has no locks (%s); make sure that no other process writes here", self.path, reason
        )

    def release(self, *, remove: bool = False) -> None:
        """Unlock; with ``remove``, also delete the lock file because it is not needed again."""
        is_left = False
        if remove:
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:  # Windows cannot remove an open file
                is_left = True
        self._lock.release()
        if is_left:
            with suppress(PermissionError):  # another process has locked it by now
                self.path.unlink(missing_ok=True)


@contextmanager
def hold(path: Path, *, remove: bool = False, refusal: Exception | None = None) -> Iterator[None]:
    """Lock a file for the duration of a ``with`` block; see ``Lock``.

    Args:
        path: The lock file.
        remove: Delete the lock file at the end.
        refusal: Error to raise instead of ``FileInUse``.
    """
    try:
        lock = Lock(path)
    except FileInUse as error:
        raise refusal or error from error
    try:
        yield
    finally:
        lock.release(remove=remove)
