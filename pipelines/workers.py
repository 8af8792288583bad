"""Processes that read for a DataLoader: one that dies is named where the next batch is asked for."""

import signal
import threading
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from pipelines.errors import DataError


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """What a loader gives; that one of its processes was killed is told here, within seconds, and nowhere else.

    torch's handler of signals would raise wherever the program is when the process dies, be it in writing a checkpoint.

    Raises:
        DataError: If so.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)
    try:
        yield from batches
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a process that reads frames ended ({' '.join(str(error).split())[:120]}); the same command goes on "
            "from what is saved, with --workers 0 in one process"
        ) from error
