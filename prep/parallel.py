"""Work over many frames in several processes, results in order, memory flat."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import cv2
from joblib import Parallel, delayed, effective_n_jobs

Task = TypeVar("Task")
Result = TypeVar("Result")


def over(tasks: Sequence[Task], work: Callable[[Task], Result], jobs: int, ahead: int) -> Iterator[Result]:
    """Apply ``work`` to each task in several processes and give the results in order.

    An error in a worker is raised here, at its task's turn.

    Args:
        tasks: What to do.
        work: How; a function of a module, so that it can be sent to a process.
        jobs: Processes; -1 for one a core.
        ahead: Tasks a process may be ahead of the reader: bounds the results that wait in memory.
    """
    with Parallel(n_jobs=jobs, return_as="generator") as parallel:
        step = ahead * effective_n_jobs(jobs)
        for start in range(0, len(tasks), step):
            yield from parallel(delayed(_alone)(work, task) for task in tasks[start : start + step])


def _alone(work: Callable[[Task], Result], task: Task) -> Result:
    cv2.setNumThreads(1)  # one process a core is enough; threads on top of them only fight
    return work(task)
