"""The page on which a person checks masks, and the pictures that pages are made of."""

from prep.review.checking import choose, load, write_page
from prep.review.page import Facts, Frame, Panel, map_panel, photo_panel, render, sample, templates
from prep.review.pictures import as_jpeg, as_png, colour, overlay, shrink, small_map

__all__ = [
    "Facts",
    "Frame",
    "Panel",
    "as_jpeg",
    "as_png",
    "choose",
    "colour",
    "load",
    "map_panel",
    "overlay",
    "photo_panel",
    "render",
    "sample",
    "shrink",
    "small_map",
    "templates",
    "write_page",
]
