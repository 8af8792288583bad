"""The pictures of a comparison: drawn from this run's results, or saved ones, or frames restored again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cdgnet import to_bytes
from pipelines.evaluate import gallery, kept_pictures
from pipelines.evaluate.candidates import Candidate
from pipelines.evaluate.frame_sources import FrameSource
from pipelines.evaluate.gallery import DrawnLineup, Gallery, Lineup, RowsByName
from pipelines.evaluate.measures import first_measure
from pipelines.packs import to_range

_NAME = "compare-pictures.json"


def draw_all(
    frames: FrameSource, candidates: Sequence[Candidate], fresh: Gallery, folder: Path
) -> tuple[Iterator[DrawnLineup], int]:
    """Draw the frames in which the candidates differ most; none if there is only one candidate.

    Args:
        frames: The scored frames.
        candidates: The candidates, which have scored all frames.
        fresh: The frames that they restored in this run.
        folder: The folder of the comparison, which may contain saved pictures of the same rows.

    Returns:
        An iterator over the pictures of all chosen frames, drawn one by one, and their number.
    """
    if len(candidates) < 2:
        return iter(()), 0
    rows_of = _rows_of(candidates)
    chosen = gallery.choose(rows_of)
    kept = kept_pictures.read(folder / _NAME, DrawnLineup, _signatures(rows_of))
    numbers = {key: number for number, key in enumerate(frames.keys)}

    def draw(key: str, reasons: Sequence[str]) -> DrawnLineup:
        if key in kept:
            return replace(kept[key], reasons="; ".join(reasons))
        lineup = fresh.lineups.get(key) or _restore_again(frames, numbers[key], candidates)
        return gallery.draw(lineup, rows_of[key], reasons)

    return (draw(key, reasons) for key, reasons in chosen.items()), len(chosen)


def keep(folder: Path, candidates: Sequence[Candidate], drawn: Sequence[DrawnLineup]) -> None:
    """Save pictures, so that the same command need not restore their frames again."""
    if drawn:
        kept_pictures.write(folder / _NAME, drawn, _signatures(_rows_of(candidates)))


def _restore_again(frames: FrameSource, number: int, candidates: Sequence[Candidate]) -> Lineup:
    """Restore a frame that was scored in an earlier run."""
    frame = frames[number]
    assert frame.blurry is not None
    blurry = to_range(frame.blurry[None])
    restored = {each.name: to_bytes(each.restorer(blurry))[0] for each in candidates if each.restorer is not None}
    return gallery.lineup_of(frame, restored)


def _rows_of(candidates: Sequence[Candidate]) -> dict[str, RowsByName]:
    return {key: {each.name: each.row_of[key] for each in candidates} for key in candidates[0].row_of}


def _signatures(rows_of: dict[str, RowsByName]) -> dict[str, Any]:
    """Return the scores that the pictures of each frame depend on, as JSON."""
    return {key: {name: row[first_measure(row)] for name, row in rows.items()} for key, rows in rows_of.items()}
