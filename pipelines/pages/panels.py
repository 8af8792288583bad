"""What pages are made of: templates, and pictures that lie in the page itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipelines.pages.pictures import as_jpeg, as_png, fitted
from prep.arrays import Bytes

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of a page, encoded."""

    name: str
    alt: str
    uri: str
    width: int
    height: int


def sample(items: Sequence[Item], count: int) -> list[Item]:
    """Take ``count`` items evenly spread, the first and the last among them; all when there are fewer.

    Args:
        items: In the order in which they are to be spread.
        count: How many, at least 1; a single one is the first.

    Raises:
        ValueError: If ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"a sample of {count} is none; pass at least 1")
    if count >= len(items):
        return list(items)
    steps = max(1, count - 1)
    return [items[(2 * place * (len(items) - 1) + steps) // (2 * steps)] for place in range(count)]


def photo_panel(name: str, alt: str, image: Bytes, width: int) -> Panel:
    """A photograph as a panel at most ``width`` pixels wide; ``image`` is ``(H, W, 3)`` uint8 RGB."""
    height, shown = fitted(image.shape, width)
    return Panel(name=name, alt=alt, uri=as_jpeg(image, width), width=shown, height=height)


def map_panel(name: str, alt: str, image: Bytes) -> Panel:
    """A map as a panel with its colours exact; ``(h, w)`` or ``(h, w, 3)`` uint8 RGB, already of its size."""
    height, width = image.shape[:2]
    return Panel(name=name, alt=alt, uri=as_png(image), width=width, height=height)
