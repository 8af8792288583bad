"""What the commands report about pairs whose frames do not match. Loads no torch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pipelines.cli.progress import announce_if_slow
from prep.units import counted

if TYPE_CHECKING:
    from pipelines.evaluate.frame_sources import FrameSource
    from pipelines.evaluate.measures import FrameScores
    from pipelines.evaluate.pairs import Comparisons
    from prep.datasets.layouts import Pair
    from prep.pairing.search import Finding


def search(pairs: "Sequence[Pair]", jobs: int | None) -> "list[Finding]":
    """Search a data set for pairs whose frames do not match; announces itself if it takes long."""
    from prep.pairing.search import search_dataset

    with announce_if_slow("comparing blurry frames with their sharp partners"):
        return search_dataset(pairs, jobs or -1)


def warn(findings: "Sequence[Finding]", remedy: str) -> bool:
    """Report what was found and what to do; returns whether anything was found."""
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
    """Report scored frames that are shifted against their sharp ones or do not match; returns whether any do not.

    Args:
        frames: That were scored.
        rows_of_each: Their scores, for each network.
        compared: How the frames scored in this run compare with their sharp ones.
        is_thorough: Also compare a sample of the frames that were scored earlier.
    """
    from pipelines.evaluate import alignment, pairs

    if unaligned := list(dict.fromkeys(key for rows in rows_of_each for key in alignment.unaligned_keys(rows))):
        few = f"{len(unaligned)} of {counted(len(frames), 'frame')}, first {unaligned[0]}"
        click.echo(f"scored without alignment, because ECC found no homography: {few}", err=True)
    if not frames.is_aligned and (hint := pairs.misalignment(frames, compared)):
        click.echo(hint, err=True)
    earlier = [key for key in frames.keys if key not in compared] if is_thorough else []
    every = {**compared, **pairs.compare_sample(frames, earlier)}
    found = pairs.findings({key: every[key] for key in frames.keys if key in every})
    return warn(found, "check these frames; their scores may be meaningless")
