"""Reading processes of a DataLoader: if one dies the next batch raises a clear error, and none is left running."""

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
    """The batches of a loader. If one of its processes dies, this iterator raises within seconds.

    torch's own handler would raise wherever the program happens to be, such as in the middle of a checkpoint. The
    processes end with this iterator, and at the latest with the program, even if they ignore signals.

    Raises:
        DataError: If a process died, or met an error that the user can fix.
    """
    batches = _without_child_handler(loader)
    end = partial(_end_processes, batches)
    # An error's traceback keeps this iterator alive. multiprocessing, which then ends what is left and was registered
    # before, would wait for ever for processes that ignore its signal.
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
    """Let the processes of a started loader, if it has any, end, and kill those that have not after some seconds."""
    if hasattr(batches, "_workers"):
        batches._shutdown_workers()  # torch has no public name for it
        for process in batches._workers:
            process.kill()


def _message_in_worker(error: Exception) -> str:
    """An error's message as it was in the reading process: torch puts that process's traceback before it."""
    return str(error).strip().rpartition("\n")[2].partition(": ")[2]


def _without_child_handler(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start a loader's processes, and put back the handler of SIGCHLD that torch replaces; Windows has neither."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return iter(loader)
    handler = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    signal.signal(signal.SIGCHLD, handler)
    return batches
