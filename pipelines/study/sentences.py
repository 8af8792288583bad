"""What a study's table says, in sentences."""

import statistics
from collections.abc import Sequence
from itertools import combinations

from pipelines.study.comparisons import Comparison, TableRow, mask_kinds, rows_with


def comparison_text(comparison: Comparison) -> str:
    """The gain of a row on another, in how many seeds, and what the authors state."""
    gains = comparison.gains
    text = f"{comparison.after.row.title} against {comparison.before.row.title}: {statistics.fmean(gains):+.2f} dB"
    if len(gains) > 1:
        text += f" ± {statistics.stdev(gains):.2f}"
    higher = sum(gain > 0 for gain in gains)
    text += f", higher in {higher} of {len(gains)} {'seed' if len(gains) == 1 else 'seeds'}"
    stated = comparison.paper_gain
    return text if stated is None else f"{text} (the authors: {stated:+.2f} dB)"


def author_sentences(table: Sequence[TableRow]) -> list[str]:
    """Scores on the frames that the author of VideoDeblurring scores, a sentence a row; none of other data sets."""
    sentences = []
    for line in table:
        seeds = [result.author for result in line.results]
        if all(seeds):
            psnr, ssim = (statistics.fmean(scores[name] for scores in seeds) for name in ("psnr", "ssim"))
            sentences.append(
                f"{line.row.title}, the author's 30 frames of each video alone: {psnr:.2f} dB, SSIM {ssim:.4f}"
            )
    return sentences


def verdict(table: Sequence[TableRow]) -> list[str]:
    """Whether the authors' order of the rows held, for each kind of masks; where they state none, which row is
    highest.
    """
    orders = [_order_kept(rows_with(table, masks), masks) for masks in mask_kinds(table)]
    return [sentence for sentence in orders if sentence] or [_highest(table)]


def _highest(table: Sequence[TableRow]) -> str:
    first, best = table[0], max(table, key=lambda line: line.mean("psnr"))
    name, paper = next(((line.row.title, line.row.paper) for line in table if line.row.paper), ("", None))
    stated = f" The authors state {paper.psnr:.2f} dB, SSIM {paper.ssim:.3f} of {name}." if paper else ""
    if best is first:
        rank = f"is the highest of {len(table)} rows" if len(table) > 1 else "stands alone"
        return f"{first.row.title} {rank}, {first.mean('psnr'):.2f} dB in the mean.{stated}"
    return f"Highest in the mean: {comparison_text(Comparison(before=first, after=best))}.{stated}"


def _order_kept(rows: Sequence[TableRow], masks: str) -> str:
    """How far the authors' order of rows held; empty where they state fewer than two scores."""
    stated = [(line.row.paper.psnr, line) for line in rows if line.row.paper]
    if len(stated) < 2:
        return ""
    in_their_order = [line for _, line in sorted(stated, key=lambda one: one[0])]
    pairs = list(combinations(in_their_order, 2))
    in_means = sum(lower.mean("psnr") < higher.mean("psnr") for lower, higher in pairs)
    in_every_seed = sum(_is_higher_in_every_seed(lower, higher) for lower, higher in pairs)
    kept = "did not hold"
    if in_means == len(pairs):
        kept = "held in every seed" if in_every_seed == in_means else "held in the means, but not in every seed"
    with_masks = f" with {masks}" if masks else ""
    counts = f"{in_means} of {len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'}"
    return (
        f"The authors' order of {len(stated)} rows {kept}{with_masks}: {counts} of rows stand as theirs in the means, "
        f"{in_every_seed} in every seed."
    )


def _is_higher_in_every_seed(lower: TableRow, higher: TableRow) -> bool:
    gains = Comparison(before=lower, after=higher).gains
    return bool(gains) and all(gain > 0 for gain in gains)
