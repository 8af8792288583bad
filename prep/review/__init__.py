"""The page on which a person checks masks, and the pictures that pages are made of."""

from prep.review.panels import Panel, map_panel, photo_panel, sample, templates
from prep.review.pictures import as_jpeg, as_png, colour, shrink, small_map
from prep.review.site import Maps, Site, open_maps, ready

__all__ = [
    "Maps",
    "Panel",
    "Site",
    "as_jpeg",
    "as_png",
    "colour",
    "map_panel",
    "open_maps",
    "photo_panel",
    "ready",
    "sample",
    "shrink",
    "small_map",
    "templates",
]
