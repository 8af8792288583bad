"""Panels of a page: named pictures, which the page itself contains in encoded form."""

from dataclasses import dataclass

from pipelines.pages.pictures import as_jpeg, as_png, fitted
from prep.arrays import Bytes

MAP_TITLES = {
    "small_attention": "attention of the small branch",
    "large_attention": "attention of the large branch",
    "share": "gate: share of the small branch",
}
"""Maps of ``cdgnet.Components``, and their titles on a page."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of a page, encoded."""

    name: str
    alt: str
    uri: str
    width: int
    height: int


def photo_panel(name: str, alt: str, image: Bytes, width: int) -> Panel:
    """Make a panel of a photograph, at most ``width`` pixels wide; ``image`` is ``(H, W, 3)`` uint8 RGB."""
    height, shown = fitted(image.shape, width)
    return Panel(name=name, alt=alt, uri=as_jpeg(image, width), width=shown, height=height)


def map_panel(name: str, alt: str, image: Bytes) -> Panel:
    """Make a panel of a map with exact colours and unscaled; ``image`` is ``(h, w)`` or ``(h, w, 3)`` uint8 RGB."""
    height, width = image.shape[:2]
    return Panel(name=name, alt=alt, uri=as_png(image), width=width, height=height)
