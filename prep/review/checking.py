"""A masks folder -> the page on which a person checks it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prep import files, frames, masking
from prep.layouts import Dataset, Pair
from prep.review.page import Facts, Frame, render, sample

_GENERATOR = b'content="cdg-prep view"'  # how a page of ours is told from any other file


def choose(pairs: Sequence[Pair], folder: Path, count: int) -> list[Pair]:
    """Spread ``count`` frames evenly over those of ``pairs`` whose masks are done.

    Raises:
        MaskError: If the folder holds a mask of none of them.
    """
    rows = masking.read_rows(folder)
    ready = [pair for pair in pairs if pair.key in rows and rows[pair.key].mu is not None]
    if not ready:
        raise masking.MaskError(f"{folder} holds none of {len(pairs)} masks asked for; run cdg-prep masks")
    return sample(ready, count)


def load(pairs: Iterable[Pair], folder: Path) -> Iterator[Frame]:
    """Read what the page shows of each pair, one at a time.

    Raises:
        MaskError: If a frame's mask is not done.
        FrameError: If a frame or its map cannot be read.
    """
    rows = masking.read_rows(folder)
    for pair in pairs:
        row = rows.get(pair.key)
        if row is None or row.mu is None:
            raise masking.MaskError(f"{folder} holds no mask of {pair.key}; run cdg-prep masks")
        yield Frame(
            key=pair.key,
            split=pair.split,
            blurry=frames.read(pair.blurry),
            sharp=frames.read(pair.sharp),
            codes=frames.read_sharpness(masking.sharpness_path(folder, pair.key)),
            mu=row.mu,
            mask_share=row.mask_share,
            warning=row.warning,
        )


def write_page(path: Path, shown: Iterable[Frame], dataset: Dataset, folder: Path) -> None:
    """Write the page, whole or not at all; an earlier page of ours is replaced, no other file is.

    Args:
        path: The page.
        shown: What ``load`` gives.
        dataset: Where the frames come from.
        folder: Its masks folder: the page's figures are those of all its masks.

    Raises:
        MaskError: If the folder holds no mask, or masks of several thresholds, or ``path`` is another's file.
    """
    if path.exists() and _GENERATOR not in path.read_bytes()[:4096]:
        raise masking.MaskError(f"{path} exists and is no page of ours; pass --out with another name")
    files.write_text(path, render(shown, _facts(dataset, folder)))


def _facts(dataset: Dataset, folder: Path) -> Facts:
    rows = [row for row in masking.read_rows(folder).values() if row.mu is not None]
    mus = sorted({row.mu for row in rows if row.mu is not None})
    if len(mus) != 1:
        held = ", ".join(f"{mu:g}" for mu in mus) or "none"
        raise masking.MaskError(f"{folder} holds masks of mu {held}; wanted one mu; run cdg-prep masks --mu")
    return Facts(
        layout=dataset.layout,
        variant=dataset.variant,
        method=rows[0].recipe.method,
        mu=mus[0],
        shares=[row.mask_share for row in rows],
        warnings=sum(bool(row.warning) for row in rows),
    )
