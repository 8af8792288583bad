"""Write a page to disk; it may replace an earlier page, but never a file of the user with the same name."""

from pathlib import Path

from prep.io import files

_SIGN = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"  # in base.html.j2


def refuse_foreign(path: Path) -> None:
    """Refuse to replace a file that is not one of our pages; call this before the work for a page starts.

    Raises:
        ForeignFile: If the file exists and is not one of our pages.
    """
    files.refuse_foreign(path, _SIGN)


def write(path: Path, text: str) -> None:
    """Write a page, completely or not at all.

    Raises:
        ForeignFile: If it would replace a file that is not one of our pages.
    """
    refuse_foreign(path)
    files.write_text(path, text)
