"""Work over many frames in several processes, in threads or on a cluster, results in order, memory flat."""

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

_AHEAD_ON_CLUSTER = 16  # its results come a batch at a time: progress moves by so many tasks a worker


def over(
    tasks: Sequence[Task], work: Callable[[Task], Result], jobs: int, ahead: int, cluster: str | None = None
) -> Iterator[Result]:
    """Apply ``work`` to each task in several processes and give the results in order.

    An error in a worker is raised here, at its task's turn. On a cluster, the tasks of a worker that dies are done
    by the others.

    Args:
        tasks: What to do.
        work: How; a function of a module, so that it can be sent to a process.
        jobs: Processes; -1 for one a core.
        ahead: Tasks a process may be ahead of the reader: bounds the results that wait in memory.
        cluster: Address of a Dask scheduler whose workers see the same files; ``jobs`` is then not looked at.

    Raises:
        WorkerError: If a process was killed, or the cluster does not answer.
    """
    # joblib replaces a worker that grew by 300 MB, and warns; as an error that would end the thread it waits for.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
    try:
        with _backend(cluster), _workers(min(jobs, len(tasks)) or 1, on_cluster=bool(cluster)) as parallel:
            step = (_AHEAD_ON_CLUSTER if cluster else ahead) * effective_n_jobs(jobs)
            for start in range(0, len(tasks), step):
                yield from parallel(delayed(_alone)(work, task) for task in tasks[start : start + step])
    except BrokenExecutor as error:
        raise WorkerError("a worker process was killed, perhaps for memory; go on with fewer --jobs") from error
    except TimeoutError as error:
        if cluster is None:
            raise
        raise WorkerError(f"the cluster at {cluster} has no worker; start one: dask worker {cluster}") from error


def in_threads(tasks: Sequence[Task], work: Callable[[Task], Result], jobs: int, ahead: int) -> Iterator[Result]:
    """Apply ``work`` in threads of this process: for work done outside Python whose results are too large to send.

    Args:
        tasks: What to do.
        work: How.
        jobs: Threads; -1 for one a core.
        ahead: Tasks a thread may be ahead of the reader: bounds the results that wait in memory.
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
    """End this process soon after the one that started it was killed."""

    def watch() -> None:
        # Windows keeps the number of a parent that ended.
        while os.getppid() == parent and psutil.pid_exists(parent):
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _backend(cluster: str | None) -> AbstractContextManager[Any]:
    if cluster is None:
        return nullcontext()
    if not re.fullmatch(r"\w+://[^\s/]+:\d+", cluster):
        raise WorkerError(f"{cluster} is no scheduler's address; wanted tcp://HOST:PORT")
    try:
        return parallel_config(backend="dask", scheduler_host=cluster)  # type: ignore[no-any-return]
    except ValueError as error:  # joblib's word for a missing package
        raise WorkerError(f"no cluster at {cluster}: {error}; is cdgnet[cluster] installed here?") from error
    except OSError as error:
        raise WorkerError(f"no Dask scheduler answers at {cluster}; start one, or leave --cluster out") from error


def _alone(work: Callable[[Task], Result], task: Task) -> Result:
    cv2.setNumThreads(1)  # one process a core is enough; threads on top of them only fight
    return work(task)
