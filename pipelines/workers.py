"""Run the workers of a DataLoader: if one dies, the next batch raises a clear error, and no worker is left running."""

import atexit
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from torch.utils.data import DataLoader

from pipelines.errors import DataError, PipelineError
from prep.errors import PrepError


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """Yield the batches of a loader, and raise within seconds if one of its workers dies.

    torch's own signal handler would raise at any point of the program, such as while it writes a checkpoint. The
    workers end with this iterator, and at the latest with the program, even if they ignore signals.

    Raises:
        DataError: If a worker died, or met an error that the user can fix.
    """
    batches = _without_child_handler(loader)
    end = partial(_end_processes, batches)
    # The traceback of an error keeps this iterator alive until the program exits. Then the exit handler of
    # multiprocessing, which was registered earlier and so runs later, would wait forever for workers that ignore its
    # signal.
    atexit.register(end)
    try:
        yield from batches
    except (PrepError, PipelineError, OSError) as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(_message_in_worker(error)) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a process that reads frames ended ({' '.join(str(error).split())[:120]}); run the same command again to "
            "continue from what is saved, if needed with --workers 0"
        ) from error
    finally:
        atexit.unregister(end)
        end()


def _end_processes(batches: Any) -> None:
    """Shut down the workers of a started loader, if it has any, and kill those that still run after some seconds."""
    if hasattr(batches, "_workers"):
        batches._shutdown_workers()  # torch has no public method for this
        for process in batches._workers:
            process.kill()


def _message_in_worker(error: Exception) -> str:
    """Return the original message of an error in a worker, without the traceback that torch puts before it."""
    return str(error).strip().rpartition("\n")[2].partition(": ")[2]


def _without_child_handler(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start a loader's workers, and restore the SIGCHLD handler that torch replaces; Windows has no SIGCHLD."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return iter(loader)
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    signal.signal(signal.SIGCHLD, handler)
    return batches
