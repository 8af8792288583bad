"""Reading ahead and writing behind, in threads, while the device works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat, takewhile
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(function: Callable[[Item], Result], items: Iterable[Item], threads: int = 1) -> Iterator[Result]:
    """Call a function in threads, and give its results in the order of the items.

    Items are taken in the caller's thread, at most ``threads`` more than results are asked for; an error is raised
    where its result would come.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Take items, none of which is None, in another thread, one before it is asked for."""
    taken = mapped(lambda _: next(items, None), repeat(None))
    return (item for item in takewhile(lambda item: item is not None, taken) if item is not None)
