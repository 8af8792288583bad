"""What the commands say of pairs that are no pairs. Loads no torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pipelines.cli.progress import announce_if_slow

if TYPE_CHECKING:
    from prep.datasets.layouts import Pair
    from prep.pairing.search import Finding


def search(pairs: "Sequence[Pair]", jobs: int | None) -> "list[Finding]":
    """Search a data set for pairs that are none; says so where that takes long."""
    from prep.pairing.search import search_dataset

    with announce_if_slow("comparing blurry frames with their sharp partners"):
        return search_dataset(pairs, jobs or -1)


def warn(findings: "Sequence[Finding]", remedy: str) -> bool:
    """Name what was found, and what to do; gives whether anything was."""
    for finding in findings:
        click.echo(str(finding), err=True)
    if findings:
        click.echo(remedy, err=True)
    return bool(findings)
