"""What the commands say of pairs that are no pairs. Loads no torch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pipelines.cli.progress import announce_if_slow

if TYPE_CHECKING:
    from pipelines.evaluate.frame_sources import FrameSource
    from pipelines.evaluate.measures import FrameScores
    from pipelines.evaluate.pairs import Comparisons
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


def warn_of_scored(
    frames: "FrameSource",
    rows_of_each: "Sequence[Sequence[FrameScores]]",
    compared: "Mapping[str, Comparisons]",
    *,
    is_thorough: bool,
) -> bool:
    """Name scored frames that lie off their sharp ones, or are no pairs; gives whether any are none.

    Args:
        frames: That were scored.
        rows_of_each: Their scores, of each network.
        compared: How those of this run look beside their sharp ones.
        is_thorough: Look at a sample of those that were scored earlier too.
    """
    from pipelines.evaluate import alignment, pairs

    if unaligned := list(dict.fromkeys(key for rows in rows_of_each for key in alignment.unaligned_keys(rows))):
        few = f"{len(unaligned)} of {len(frames)} frames, first {unaligned[0]}"
        click.echo(f"ECC found no homography for {few}: they are scored as they lie", err=True)
    if not frames.is_aligned and (hint := pairs.misalignment(frames, compared)):
        click.echo(hint, err=True)
    earlier = [key for key in frames.keys if key not in compared] if is_thorough else []
    every = {**compared, **pairs.compare_sample(frames, earlier)}
    found = pairs.findings({key: every[key] for key in frames.keys if key in every})
    return warn(found, "look at these frames: their scores may mean nothing")
