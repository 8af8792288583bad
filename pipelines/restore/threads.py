"""Read and write in other threads while the device works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat, takewhile
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int = 1) -> Iterator[Result]:
    """Call a function in threads, and yield its results in the order of the items.

    Items are taken in the caller's thread, at most ``threads`` ahead of the results. An error is raised in place of
    the result.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def read_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Return an iterator over the same items, which another thread takes one in advance; an item None ends it."""
    taken = map_in_order(lambda _: next(items, None), repeat(None))
    return (item for item in takewhile(lambda item: item is not None, taken) if item is not None)
