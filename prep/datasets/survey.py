"""Compare a data set with what its authors state, and check its files; each is read once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prep import parallel
from prep.arrays import Size
from prep.datasets import layouts, published
from prep.datasets.layouts import Dataset
from prep.errors import ReadError
from prep.io import frames, storage
from prep.io.storage import Source
from prep.units import counted

_SHOWN = 5  # of the sequences that are missing


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """A frame's size, or what is wrong with its file."""

    source: Source
    size: Size | None
    fault: str


def differences(dataset: Dataset) -> list[str]:
    """One line for each sequence with another number of pairs than the official one, and one for the missing ones.

    No line for a data set of which no sequence is official.
    """
    lines = []
    for split, counts in published.COUNTS.get(dataset.layout, {}).items():
        pairs = Counter(layouts.sequence(pair.key) for pair in dataset.pairs if pair.split == split)
        if not pairs.keys() & counts.keys():
            continue
        for clip in sorted(pairs):
            if pairs[clip] != counts.get(clip):
                known = f"official {counts[clip]}" if clip in counts else "no official sequence"
                lines.append(f"{clip}: {counted(pairs[clip], 'pair')} ({known})")
        missing = sorted(counts.keys() - pairs.keys())
        if missing:
            more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            lines.append(
                f"{split} lacks {len(missing)} of {len(counts)} sequences: {', '.join(missing[:_SHOWN])}{more}"
            )
    return lines


def examine(dataset: Dataset, jobs: int) -> Iterator[CheckedFile]:
    """Check the files of a data set's pairs, two a pair, in order: by checksums or, without any, by decoding."""
    files = [storage.absolute(source) for pair in dataset.pairs for source in (pair.blurry, pair.sharp)]
    return parallel.over(files, _examine, jobs, ahead=64)


def _examine(source: Source) -> CheckedFile:
    try:
        return CheckedFile(source=source, size=frames.check(storage.read(source), source), fault="")
    except ReadError as error:
        return CheckedFile(source=source, size=None, fault=str(error))


def faults(examined: Sequence[CheckedFile]) -> list[str]:
    """One line a damaged file, and one a pair of two sizes; ``examined`` as ``examine`` gives it."""
    lines = [file.fault for file in examined if file.fault]
    for blurry, sharp in zip(examined[::2], examined[1::2], strict=True):
        if blurry.size and sharp.size and blurry.size != sharp.size:
            lines.append(f"{blurry.source} is {_by(blurry.size)}, {sharp.source} is {_by(sharp.size)}")
    return lines


def sizes(examined: Sequence[CheckedFile]) -> str:
    """The frames' sizes in words, the most frequent first."""
    counts = Counter(file.size for file in examined if file.size)
    return ", ".join(f"{_by(size)} ({counted(count, 'file')})" for size, count in counts.most_common())


def _by(size: Size) -> str:
    return f"{size[1]} x {size[0]}"
