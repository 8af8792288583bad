"""Frames to train on and frames held out: divided by source video, so that no scene is in both."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import DataError
from pipelines.packs import Frame
from prep.datasets import layouts
from prep.packs import store

_HELD_OUT_SHARE = 20  # by default the source video nearest to this part of the frames is held out: a twentieth


@dataclass(frozen=True, kw_only=True)
class Split:
    """The frames of packs divided by source video: rows of the pack by frame."""

    train: Mapping[Frame, Sequence[int]]
    held_out: Mapping[Frame, Sequence[int]]
    sources: Sequence[str]  # held out


def split_by_source(paths: Sequence[Path], held_out: Sequence[str] | None) -> Split:
    """Divide the frames of packs by the video they were cut from; a video in several packs is held out of all.

    Args:
        paths: The packs.
        held_out: Source videos to hold out, by name; empty for none; None holds out the one
            nearest to a twentieth of the frames, and none where there is only one source.

    Raises:
        DataError: If a source is in no pack, none is left to train on, or the packs do not go together.
        PackError: If one is no pack.
    """
    rows: dict[Frame, list[int]] = {}
    videos: dict[Frame, str] = {}
    headers, contents = [], []
    for place, path in enumerate(paths):
        with store.open_pack(path) as file:
            headers.append(store.read_header(file))
            contents.append(file["crc32"][:].tobytes())
            keys = store.read_keys(file)
        for row, key in enumerate(keys):
            frame = Frame(place, key)
            rows.setdefault(frame, []).append(row)
            videos[frame] = layouts.source(headers[-1].layout, key)
    _check_kinds(paths, headers)
    _refuse_twins(paths, contents)
    sizes = Counter(videos.values())
    chosen = _nearest_twentieth(sizes) if held_out is None else [_named(name, sizes, paths) for name in held_out]
    if set(chosen) >= set(sizes):
        raise DataError(f"holding out {', '.join(chosen)} leaves nothing of {_all(paths)} to train on; pass --val none")
    return Split(
        train={frame: rows[frame] for frame in rows if videos[frame] not in chosen},
        held_out={frame: rows[frame] for frame in rows if videos[frame] in chosen},
        sources=chosen,
    )


def _refuse_twins(paths: Sequence[Path], contents: Sequence[bytes]) -> None:
    for place, content in enumerate(contents):
        if (first := contents.index(content)) < place:
            raise DataError(f"{paths[first]} and {paths[place]} hold the same crops; pass one of them")


def _check_kinds(paths: Sequence[Path], headers: Sequence[store.Header]) -> None:
    """Refuse packs whose masks or blur mean different things."""
    variants: dict[str, str] = {}
    for path, header in zip(paths, headers, strict=True):
        if (header.method, header.mu) != (headers[0].method, headers[0].mu):
            cure = "cdg-prep remask" if header.method == headers[0].method else "cdg-prep pack --method"
            raise DataError(
                f"{paths[0]} has masks by {headers[0].method}, mu {headers[0].mu:g}, {path} by {header.method}, mu "
                f"{header.mu:g}; make them alike ({cure})"
            )
        if variants.setdefault(header.layout, header.variant) != header.variant:
            raise DataError(f"{path} holds {header.layout} {header.variant}, another pack {variants[header.layout]}")


def _nearest_twentieth(sizes: Mapping[str, int]) -> list[str]:
    if len(sizes) < 2:
        return []
    goal = sum(sizes.values()) / _HELD_OUT_SHARE
    return [min(sizes, key=lambda source: (abs(sizes[source] - goal), source))]


def _named(name: str, sizes: Mapping[str, int], paths: Sequence[Path]) -> str:
    if name not in sizes:
        known = ", ".join(sorted(filter(None, sizes))) or "none by name: all frames count as one video"
        raise DataError(f"{_all(paths)} has no source video {name}; it has {known}")
    return name


def _all(paths: Sequence[Path]) -> str:
    return " and ".join(map(str, paths))
