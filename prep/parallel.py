"""Work over many frames in several processes, results in order, memory flat."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import cv2
from joblib import Parallel, delayed

Task = TypeVar("Task")
Result = TypeVar("Result")
_AHEAD = 8  # tasks a worker may run ahead of the reader: bounds what waits in memory


def over(tasks: Sequence[Task], work: Callable[[Task], Result], jobs: int) -> Iterator[Result]:
    """Apply ``work`` to each task in ``jobs`` processes (-1: one a core) and give the results in order.

    An error in a worker is raised here, at its task's turn.
    """
    with Parallel(n_jobs=jobs, return_as="generator") as parallel:
        step = _AHEAD * parallel.n_jobs if parallel.n_jobs > 0 else _AHEAD * 64
        for start in range(0, len(tasks), step):
            yield from parallel(delayed(_alone)(work, task) for task in tasks[start : start + step])


def _alone(work: Callable[[Task], Result], task: Task) -> Result:
    cv2.setNumThreads(1)  # one process a core is enough; threads on top of them only fight
    return work(task)
