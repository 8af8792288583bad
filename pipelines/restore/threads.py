"""Reading ahead and writing behind, in threads, while the device works."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat, takewhile
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int = 1) -> Iterator[Result]:
    """Call a function in threads, and give its results in the order of the items.

    Items are taken in the caller's thread, at most ``threads`` more than results were taken; an error is raised where
    its result would come.
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
    """The same items, each taken in another thread before it is asked for; None would end them."""
    taken = map_in_order(lambda _: next(items, None), repeat(None))
    return (item for item in takewhile(lambda item: item is not None, taken) if item is not None)
