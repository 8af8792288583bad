"""Processes that read for a DataLoader: one that dies is named where the next batch is asked for."""

import signal
import threading
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from pipelines.errors import DataError


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """The batches of a loader. If one of its processes dies, this raises, within seconds, and nothing else does.

    torch's own handler would raise wherever the program happens to be, such as in the middle of a checkpoint.

    Raises:
        DataError: If so.
    """
    batches = _without_child_handler(loader)
    try:
        yield from batches
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a process that reads frames ended ({' '.join(str(error).split())[:120]}); the same command goes on "
            "from what is saved, with --workers 0 in one process"
        ) from error


def _without_child_handler(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start a loader's processes, and put back the handler of SIGCHLD that torch replaces; Windows has neither."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return iter(loader)
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    signal.signal(signal.SIGCHLD, handler)
    return batches
