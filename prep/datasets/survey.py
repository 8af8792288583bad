"""Compare a data set with the published counts, and check its files, each read once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prep import parallel
from prep.arrays import Size
from prep.datasets import layouts, published
from prep.datasets.layouts import Dataset
from prep.errors import ReadError
from prep.io import frames, storage
from prep.io.storage import Source
from prep.units import counted

_SHOWN = 5  # most missing sequences to list


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """The size of a frame, or the fault of its file."""

    source: Source
    size: Size | None
    fault: str


def differences(dataset: Dataset) -> list[str]:
    """List the differences from the published data set, for ``cdg-prep info --json``.

    One line for each sequence with another number of pairs or not published, and one per split for the missing
    sequences. A split without a published sequence is left out.
    """
    lines = []
    for split, counts, pairs in _counts(dataset):
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


def notes(dataset: Dataset) -> list[str]:
    """List the same differences in a few lines for people; an incomplete published data set is normal."""
    lines = []
    for split, counts, pairs in _counts(dataset):
        if missing := sorted(counts.keys() - pairs.keys()):
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            found = f"{len(pairs.keys() & counts):,} of {counted(len(counts), 'sequence')}"
            lines.append(f"a part of {split}: {found}, without {missing[0]}{more}")
        if partial := [clip for clip in sorted(pairs.keys() & counts) if pairs[clip] != counts[clip]]:
            first = f"{partial[0]} ({pairs[partial[0]]:,} of {counts[partial[0]]:,})"
            lines.append(f"other numbers of pairs: {counted(len(partial), 'sequence')} of {split}, first {first}")
        if others := sorted(pairs.keys() - counts):
            lines.append(f"not published: {counted(len(others), 'sequence')} of {split}, first {others[0]}")
    return lines


def _counts(dataset: Dataset) -> Iterator[tuple[str, Mapping[str, int], Mapping[str, int]]]:
    """Yield, per split with known numbers, its name and the published and found pairs of each sequence."""
    for split, counts in published.COUNTS.get(dataset.layout, {}).items():
        pairs = Counter(layouts.sequence(pair.key) for pair in dataset.pairs if pair.split == split)
        if pairs.keys() & counts.keys():
            yield split, counts, pairs


def examine(dataset: Dataset, jobs: int) -> Iterator[CheckedFile]:
    """Check the files of all pairs in order, two per pair: by their checksums, or by decoding if they have none."""
    files = [storage.absolute(source) for pair in dataset.pairs for source in (pair.blurry, pair.sharp)]
    return parallel.over(files, _examine, jobs, ahead=64)


def _examine(source: Source) -> CheckedFile:
    try:
        return CheckedFile(source=source, size=frames.check(storage.read(source), source), fault="")
    except ReadError as error:
        return CheckedFile(source=source, size=None, fault=str(error))


def faults(examined: Sequence[CheckedFile]) -> list[str]:
    """Return one line per damaged file and per pair of unequal sizes; ``examined`` is the output of ``examine``."""
    lines = [file.fault for file in examined if file.fault]
    for blurry, sharp in zip(examined[::2], examined[1::2], strict=True):
        if blurry.size and sharp.size and blurry.size != sharp.size:
            lines.append(f"{blurry.source} is {_by(blurry.size)}, {sharp.source} is {_by(sharp.size)}")
    return lines


def sizes(examined: Sequence[CheckedFile]) -> str:
    """Describe the frames' sizes in words, the most frequent first."""
    counts = Counter(file.size for file in examined if file.size)
    return ", ".join(f"{_by(size)} ({counted(count, 'file')})" for size, count in counts.most_common())


def _by(size: Size) -> str:
    return f"{size[1]} x {size[0]}"
