"""The split into frames to train on and frames held out, by source video, so that no scene is in both."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.errors import DataError
from pipelines.packs import Frame
from prep.datasets import layouts
from prep.packs.reader import PackInfo

_HELD_OUT_SHARE = 20  # by default the source video nearest to 1/20 of the frames is held out


@dataclass(frozen=True, kw_only=True)
class Split:
    """The frames of packs divided by source video: for each frame, its rows in its pack."""

    train: Mapping[Frame, Sequence[int]]
    held_out: Mapping[Frame, Sequence[int]]
    sources: Sequence[str]  # names of the videos held out


def split_by_source(packs: Sequence[PackInfo], held_out: Sequence[str] | None) -> Split:
    """Divide the frames of packs by source video; a video in several packs is held out of all of them.

    Args:
        packs: Header and index of each pack.
        held_out: Names of the source videos to hold out; empty for none. None holds out the video nearest to a
            twentieth of the frames, or no video if there is only one.

    Raises:
        DataError: If a source is in none of the packs, nothing is left to train on, or the packs do not match.
    """
    _refuse_mixed(packs)
    _refuse_twins(packs)
    rows: dict[Frame, list[int]] = {}
    videos: dict[Frame, str] = {}
    for place, pack in enumerate(packs):
        for row, key in enumerate(pack.keys):
            frame = Frame(place, key)
            rows.setdefault(frame, []).append(row)
            videos[frame] = layouts.source(pack.header.layout, key)
    sizes = Counter(videos.values())
    names = " and ".join(str(pack.path) for pack in packs)
    sources = _nearest_twentieth(sizes) if held_out is None else held_out
    for source in sources:
        _refuse_unknown(source, sizes, names)
    if set(sources) >= set(sizes):
        raise DataError(f"with {', '.join(sources)} held out, nothing of {names} is left to train on; use --val none")
    return Split(
        train={frame: rows[frame] for frame in rows if videos[frame] not in sources},
        held_out={frame: rows[frame] for frame in rows if videos[frame] in sources},
        sources=list(sources),
    )


def _refuse_twins(packs: Sequence[PackInfo]) -> None:
    """Refuse packs of the same crops."""
    contents = [pack.checksums for pack in packs]
    for place, content in enumerate(contents):
        if (first := contents.index(content)) < place:
            raise DataError(f"{packs[first].path} and {packs[place].path} contain the same crops; pass one of them")


def _refuse_mixed(packs: Sequence[PackInfo]) -> None:
    """Refuse packs whose masks or blur mean different things."""
    variants: dict[str, str] = {}
    first = packs[0].header
    for pack in packs:
        header = pack.header
        if (header.method, header.mu) != (first.method, first.mu):
            cure = "cdg-prep remask" if header.method == first.method else "cdg-prep pack --method"
            raise DataError(
                f"{packs[0].path} has masks by {first.method}, mu {first.mu:g}, {pack.path} by {header.method}, mu "
                f"{header.mu:g}; make them equal ({cure})"
            )
        variant = variants.setdefault(header.layout, header.variant)
        if variant != header.variant:
            raise DataError(f"{pack.path} holds {header.layout} {header.variant}, another pack {variant}")


def _nearest_twentieth(sizes: Mapping[str, int]) -> list[str]:
    if len(sizes) < 2:
        return []
    goal = sum(sizes.values()) / _HELD_OUT_SHARE
    return [min(sizes, key=lambda source: (abs(sizes[source] - goal), source))]


def _refuse_unknown(source: str, sizes: Mapping[str, int], names: str) -> None:
    if source not in sizes:
        known = ", ".join(sorted(filter(None, sizes))) or "only frames of one video"
        raise DataError(f"{names} has no source video {source}; it has {known}")
