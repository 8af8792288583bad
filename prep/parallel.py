"""Process many frames in several processes, in threads or on a cluster: results in order, memory bounded."""

import os
import re
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import cv2
import psutil
from joblib import Parallel, delayed, effective_n_jobs, parallel_config

from prep.errors import WorkerError

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD_ON_CLUSTER = 16  # tasks per worker in a batch; results and progress arrive batch by batch


def over(
    tasks: Sequence[Task], work: Callable[[Task], Result], jobs: int, ahead: int, cluster: str | None = None
) -> Iterator[Result]:
    """Apply ``work`` to each task in several processes and yield the results in order.

    An error in a worker is raised here when its result is due. On a cluster, the other workers take over the tasks of
    one that dies.

    Args:
        tasks: Arguments of ``work``, one per call.
        work: A function at the top level of a module, so that it can be sent to a process.
        jobs: Number of processes; -1 for one per core.
        ahead: Tasks per process that may be finished before their results are read; bounds memory.
        cluster: Address of a Dask scheduler whose workers see the same files; ``jobs`` is then ignored.

    Raises:
        WorkerError: If a process was killed, or the cluster cannot be used or does not answer.
    """
    # joblib warns when it replaces a worker that grew by 300 MB; raised as an error, that would end a thread it needs.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
    try:
        with _backend(cluster), _workers(min(jobs, len(tasks)) or 1, on_cluster=bool(cluster)) as parallel:
            step = (_AHEAD_ON_CLUSTER if cluster else ahead) * effective_n_jobs(jobs)
            for start in range(0, len(tasks), step):
                yield from parallel(delayed(_alone)(work, task) for task in tasks[start : start + step])
    except BrokenExecutor as error:
        raise WorkerError(
            "a worker process was killed, probably for lack of memory; run the same command again with a lower --jobs"
        ) from error
    except TimeoutError as error:
        if cluster is None:
            raise
        raise WorkerError(f"the cluster at {cluster} has no workers; start one with: dask worker {cluster}") from error


def in_threads(tasks: Sequence[Task], work: Callable[[Task], Result], jobs: int, ahead: int) -> Iterator[Result]:
    """Apply ``work`` in threads of this process: for work that releases the GIL, with results too large to send.

    Args:
        tasks: Arguments of ``work``, one per call.
        work: The function.
        jobs: Number of threads; -1 for one per core.
        ahead: Tasks per thread that may be finished before their results are read; bounds memory.
    """
    cv2.setNumThreads(1)
    threads = effective_n_jobs(jobs)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for task in tasks:
                if len(waiting) == ahead * threads:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, task))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _workers(jobs: int, *, on_cluster: bool) -> Parallel:
    if on_cluster:
        return Parallel(return_as="list")
    return Parallel(n_jobs=jobs, return_as="generator", initializer=_end_with, initargs=(os.getpid(),))


def _end_with(parent: int) -> None:
    """End this process soon after its parent process ends."""

    def watch() -> None:
        # On Windows, getppid still returns the number of a parent that has ended.
        while os.getppid() == parent and psutil.pid_exists(parent):
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _backend(cluster: str | None) -> AbstractContextManager[Any]:
    if cluster is None:
        return nullcontext()
    if not re.fullmatch(r"\w+://[^\s/]+:\d+", cluster):
        raise WorkerError(f"{cluster} is not the address of a Dask scheduler; --cluster takes tcp://HOST:PORT")
    try:
        return parallel_config(backend="dask", scheduler_host=cluster)  # type: ignore[no-any-return]
    except ValueError as error:  # joblib raises it if a package is missing
        raise WorkerError(
            f"cannot use the cluster at {cluster}: {error}; run: pip install 'cdgnet[cluster]'"
        ) from error
    except OSError as error:
        raise WorkerError(
            f"no Dask scheduler answers at {cluster}; start one with dask scheduler, or leave --cluster out"
        ) from error


def _alone(work: Callable[[Task], Result], task: Task) -> Result:
    cv2.setNumThreads(1)  # with one process per core, more threads only compete
    return work(task)
