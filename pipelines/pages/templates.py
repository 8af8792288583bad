"""Templates of pages: those of the calling package first, then those that all pages share."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(*folders: Path) -> Environment:
    """Load page templates from ``folders``, then from this package; everything put into a page is escaped."""
    own = Path(__file__).parent
    return Environment(
        loader=FileSystemLoader([*folders, own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
