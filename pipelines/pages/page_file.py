"""A page on disk: it replaces an earlier page, and no file of a person's own that has its name."""

from pathlib import Path

from prep.io import files

_SIGN = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"  # in base.html.j2


def refuse_foreign(path: Path) -> None:
    """Refuse to replace what is no page of ours; asked before the work that a page is made of.

    Raises:
        ForeignFile: If there is such a file.
    """
    files.refuse_foreign(path, _SIGN)


def write(path: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        ForeignFile: If it would replace what is no page of ours.
    """
    refuse_foreign(path)
    files.write_text(path, text)
