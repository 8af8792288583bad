"""Threads that read ahead and write behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from pipelines.restore.threads import map_in_order, read_ahead


def test_results_come_in_the_order_of_the_items_however_long_each_takes() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    assert list(map_in_order(slow_first, range(20), threads=4)) == [number * number for number in range(20)]


def test_no_more_items_are_taken_than_threads_can_work_on() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = map_in_order(lambda number: number, items(), threads=3)
    for _ in range(5):
        next(results)
    assert len(taken) == 5 + 3


def test_items_are_taken_in_the_callers_thread_and_worked_on_in_others() -> None:
    def items() -> Iterator[int]:
        yield threading.get_ident()

    (result,) = map_in_order(lambda taken: (taken, threading.get_ident()), items())
    assert result[0] == threading.get_ident() != result[1]


def test_a_fault_comes_where_its_result_would() -> None:
    results = map_in_order(lambda number: 1 // number, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_reading_ahead_gives_what_reading_gives() -> None:
    assert list(read_ahead(iter("abc"))) == ["a", "b", "c"]


def test_reading_ahead_passes_a_fault_on() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    read = read_ahead(broken())
    assert next(read) == 1
    with pytest.raises(OSError, match="gone"):
        next(read)
