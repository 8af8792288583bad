"""The panels of a page: named pictures, encoded in the page itself."""

from dataclasses import dataclass

from pipelines.pages.pictures import as_jpeg, as_png, fitted
from prep.arrays import Bytes

MAP_TITLES = {
    "small_attention": "attention of the small branch",
    "large_attention": "attention of the large branch",
    "share": "gate: share of the small branch",
}
"""The maps of ``cdgnet.Components`` and their titles on a page."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of a page, encoded."""

    name: str
    alt: str
    uri: str
    width: int
    height: int


def photo_panel(name: str, alt: str, image: Bytes, width: int) -> Panel:
    """Encode a photograph as a panel at most ``width`` pixels wide; ``image`` is ``(H, W, 3)`` uint8 RGB."""
    height, shown = fitted(image.shape, width)
    return Panel(name=name, alt=alt, uri=as_jpeg(image, width), width=shown, height=height)


def map_panel(name: str, alt: str, image: Bytes) -> Panel:
    """Encode a map as a panel, with exact colours; ``image`` is ``(h, w)`` or ``(h, w, 3)`` uint8 RGB, not resized."""
    height, width = image.shape[:2]
    return Panel(name=name, alt=alt, uri=as_png(image), width=width, height=height)
