"""Sentences that summarise a study's table."""

import math
import statistics
from collections.abc import Sequence
from itertools import combinations

from pipelines.study.comparisons import Comparison, TableRow, mask_kinds, rows_with
from prep.units import counted


def comparison_text(comparison: Comparison) -> str:
    """Describe a row's gain over another: its interval, the seeds with a gain, and the gain the authors state."""
    gains = comparison.gains
    text = f"{comparison.after.row.title} against {comparison.before.row.title}: {statistics.fmean(gains):+.2f} dB"
    higher = sum(gain > 0 for gain in gains)
    if len(gains) > 1:
        low, high = comparison.interval
        text += f" (95 % interval {low:+.2f} to {high:+.2f}), higher with {higher} of {len(gains)} seeds"
        text += "" if comparison.is_clear else "; not a clear difference"
    else:
        text += " with one seed"
    stated = comparison.paper_gain
    return text if stated is None else f"{text}; the paper states {stated:+.2f} dB"


def difference_text(comparison: Comparison | None) -> str:
    """Format a difference in dB with its 95 % interval for a table, with a star if the interval excludes 0."""
    if comparison is None or math.isnan(mean := statistics.fmean(comparison.gains)):
        return ""
    if len(comparison.gains) == 1:
        return f"{mean:+.2f}"
    low, high = comparison.interval
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}){' *' if comparison.is_clear and round(mean, 2) else ''}"


def author_sentences(table: Sequence[TableRow]) -> list[str]:
    """Describe the scores on the frames that the author of VideoDeblurring scores, one sentence per row.

    Empty for other data sets.
    """
    sentences = []
    for line in table:
        seeds = [result.author for result in line.results]
        if all(seeds):
            psnr, ssim = (statistics.fmean(scores[name] for scores in seeds) for name in ("psnr", "ssim"))
            sentences.append(
                f"{line.row.title}, only the 30 frames per video that the author scores: {psnr:.2f} dB, SSIM {ssim:.4f}"
            )
    return sentences


def verdict(table: Sequence[TableRow]) -> list[str]:
    """Say whether the authors' order of the rows held, for each kind of masks; if they state none, which row is best.

    Differences within the noise of the seeds are not called clear.
    """
    orders = [_order_kept(rows_with(table, masks), masks) for masks in mask_kinds(table)]
    return [*_learnt_nothing(table), *([sentence for sentence in orders if sentence] or [_highest(table)])]


def _learnt_nothing(table: Sequence[TableRow]) -> list[str]:
    """Name the rows that have learnt nothing, because their order is only noise; empty if there are none."""
    names = [line.row.title for line in table if not line.has_learnt]
    if not names:
        return []
    blurry = table[0].mean("psnr_blurry")
    who = "no row" if len(names) == len(table) else f"{_join(names)} {'have' if len(names) > 1 else 'has'} not"
    verb = "has learnt" if len(names) == len(table) else "learnt"
    return [
        f"With this budget {who} {verb} to deblur: PSNR is not above that of the blurry frames ({blurry:.2f} dB) with "
        "every seed."
    ]


def _highest(table: Sequence[TableRow]) -> str:
    seeds = max(len(line.results) for line in table)
    left_out = [line.row.title for line in table if len(line.results) < seeds]  # their seeds drew other windows
    table = [line for line in table if len(line.results) == seeds]
    best = max(table, key=lambda line: line.mean("psnr"))
    name, paper = next(((line.row.title, line.row.paper) for line in table if line.row.paper), ("", None))
    stated = f" The paper states {paper.psnr:.2f} dB, SSIM {paper.ssim:.3f} for {name}." if paper else ""
    score = f"{best.row.title}, {best.mean('psnr'):.2f} dB"
    if len(table) == 1:
        have = f"the only one of {len(left_out) + 1} rows with {counted(seeds, 'seed')}"
        alone = have if left_out else "the only row"
        return f"{score}; {alone}.{stated}"
    if len(best.results) < 2:
        return f"Highest with one seed: {score}; one seed shows no variation between seeds.{stated}"
    others = [Comparison(before=line, after=best) for line in table if line is not best]
    level = [one.before.row.title for one in others if not one.is_clear]
    below = len(others) - len(level)
    text = f"Highest mean of {len(best.results)} seeds: {score}"
    if level:
        text += f"; not clearly lower: {_join(level)}"
    if below:
        who = "all others" if level and below > 1 else counted(below, "row")
        text += f"; {who} clearly lower (95 % interval excludes 0)"
    if left_out:
        text += f"; left out, with fewer seeds: {_join(left_out)}"
    return f"{text}.{stated}"


def _join(names: Sequence[str]) -> str:
    """Join names to a list in a sentence, with semicolons because names contain commas."""
    return "; ".join(names) if len(names) > 2 else " and ".join(names)


def _order_kept(rows: Sequence[TableRow], masks: str) -> str:
    """Describe how far the authors' order of the rows held; empty if they state fewer than two scores."""
    stated = [(line.row.paper.psnr, line) for line in rows if line.row.paper]
    if len(stated) < 2:
        return ""
    in_their_order = [line for _, line in sorted(stated, key=lambda one: one[0])]
    pairs = [Comparison(before=lower, after=higher) for lower, higher in combinations(in_their_order, 2)]
    with_masks = f" with {masks}" if masks else ""
    order = f"The paper's order of {len(stated)} rows{with_masks}: of {counted(len(pairs), 'pair')}"
    if min(len(pair.gains) for pair in pairs) < 2:
        kept = sum(pair.before.mean("psnr") < pair.after.mean("psnr") for pair in pairs)
        return f"{order} {kept} in the same order with one seed; one seed shows no variation between seeds."
    theirs = sum(pair.interval[0] > 0 for pair in pairs)
    against = sum(pair.interval[1] < 0 for pair in pairs)
    return (
        f"{order} {theirs} clearly in the same order, {against} clearly reversed, "
        f"{len(pairs) - theirs - against} without a clear difference (95 % intervals)."
    )
