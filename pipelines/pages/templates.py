"""Load templates of pages, from the caller's folders first, then those that all pages share."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(*folders: Path) -> Environment:
    """Return the templates in ``folders``, then those of this package; every value in a page is escaped."""
    own = Path(__file__).parent
    return Environment(
        loader=FileSystemLoader([*folders, own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
