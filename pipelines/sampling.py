"""Evenly spaced samples of a list of items."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def evenly_spaced(items: Sequence[Item], count: int) -> list[Item]:
    """Take ``count`` evenly spaced items, including the first and the last; all if there are fewer.

    Args:
        items: Items in the order in which to space them.
        count: Number of items to take, at least 1; a single item is the first.

    Raises:
        ValueError: If ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be at least 1")
    if count >= len(items):
        return list(items)
    steps = max(1, count - 1)
    return [items[(2 * place * (len(items) - 1) + steps) // (2 * steps)] for place in range(count)]
