"""Templates of pages: those beside the code that asks, then those that all pages share."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(*folders: Path) -> Environment:
    """Page templates in ``folders``, then those of this package; everything put into a page is escaped."""
    own = Path(__file__).parent
    return Environment(
        loader=FileSystemLoader([*folders, own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
