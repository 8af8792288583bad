"""What ``cdg-eval`` prints: the scores of one network, or of several side by side."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.tables import print_list, print_table, print_wrapped
from prep.units import counted, file_size

if TYPE_CHECKING:
    from pipelines.evaluate.measures import FrameScores

_MOST_ROWS = 40  # most frames to list one by one; of more frames, the means by sequence are shown
_PER_FRAME = 2  # measures in the list of frames; all of them are in results.csv
_FEW_PIXELS = 0.01  # share of all pixels below which a range of blur lengths says little
_TOO_FEW = "too few"
_DIVIDED = 0.6  # least AUC of attention that counts as divided


def print_summary(rows: "Sequence[FrameScores]", summary: Mapping[str, Any]) -> None:
    """All that is printed of one network's scores."""
    _print_means(rows, summary)
    sequences = summary["sequences"]
    if len(rows) > _MOST_ROWS and sequences:
        _print_frames("sequence", [{"key": name, **means} for name, means in sequences.items()], summary)
    elif len(rows) <= _MOST_ROWS:
        _print_frames("frame", rows, summary)
    if summary["by_extent"].get("ranges"):
        _print_by_extent(summary["by_extent"])
    if summary["author_frames"]:
        means = summary["author_frames"]
        scores = f"psnr {means['psnr']:.2f} dB, ssim {means['ssim']:.4f}, ssim_matlab3d {means['ssim_matlab3d']:.4f}"
        click.echo(f"\nonly the {means['frames']} frames that the data set's author scores: {scores}")
    if summary["division"]:
        _print_division(summary["division"])
    if summary["cost"]:
        _print_cost(summary["cost"])
    print_list("\nmeasures", _measures(summary))
    precision = f", precision {summary['precision']}" if summary["cost"] else ""
    rules = _rules(summary["protocol"], has_lengths=bool(summary["by_extent"].get("ranges")))
    print_list("\nprotocol", [*rules, f"computed on {summary['device']}{precision}"])


def _print_frames(first_column: str, rows: "Sequence[Mapping[str, Any]]", summary: Mapping[str, Any]) -> None:
    """The first measures of each frame, or of each sequence."""
    measures = list(summary["legend"])[:_PER_FRAME]
    is_pair = f"{measures[0]}_blurry" in summary["mean"]
    heads = [first_column]
    for measure in measures:
        heads += [f"{measure}\nblurry", "restored", _gain_word(measure)] if is_pair else [measure]
    body = []
    for row in rows:
        cells = [str(row["key"])]
        for measure in measures:
            cells += _pair_cells(row, measure) if is_pair else [number(row[measure], measure)]
        body.append(cells)
    click.echo()
    print_table(heads, body)


def _print_means(rows: "Sequence[FrameScores]", summary: Mapping[str, Any]) -> None:
    """The mean of each measure, its gain on the blurry frames, and 95 % intervals of both."""
    from pipelines.evaluate.statistics import interval_note

    means, measures = summary["mean"], list(summary["legend"])
    is_pair = f"{measures[0]}_blurry" in means
    heads = [f"mean of\n{counted(summary['frames'], 'frame')}", *(["blurry"] if is_pair else [])]
    heads += [summary["scored"], "95 % interval", *([_gain_word(measures[0]), "95 % interval"] if is_pair else [])]
    body = []
    for measure in measures:
        known = summary["interval"][measure]
        values = [float(row[measure]) for row in rows]
        cells = [number(means[measure], measure), _interval(rows, values, measure, number, known)]
        if is_pair:
            gains = _gains(rows, measure)
            gain = means[measure] - means[f"{measure}_blurry"]
            cells = [number(means[f"{measure}_blurry"], measure), *cells]
            cells += [signed(gain, measure), _interval(rows, gains, measure, signed)]
        body.append([measure, *cells])
    print_table(heads, body)
    notes = [f"{_gain_word(measures[0])}: restored minus blurry"] if is_pair else []
    notes.append(f"95 % intervals of the means: {interval_note([str(row['key']) for row in rows])}")
    if any(_TOO_FEW in cells for cells in body):
        notes.append(_note_of_too_few())
    if is_pair and len(rows) > 1:
        notes.append(_note_of_worst(rows, measures[0]))
    for note in notes:
        print_wrapped(note)


def _interval(
    rows: "Sequence[FrameScores]",
    values: Sequence[float],
    measure: str,
    written: Callable[[float, str], str],
    known: Mapping[str, Any] | None = None,
) -> str:
    """The 95 % interval of a mean.

    Args:
        rows: The scores of the frames.
        values: One per frame.
        measure: Name of the measure.
        written: Formats a value of the measure.
        known: The interval, if it is already computed.
    """
    from pipelines.evaluate.statistics import bootstrap_interval, has_interval

    keys = [str(row["key"]) for row in rows]
    if all(map(math.isnan, values)):
        return "-"
    if not has_interval(keys, values):
        return _TOO_FEW
    if known is None:
        known = vars(bootstrap_interval(keys, values))
    return f"{written(known['low'], measure)} to {written(known['high'], measure)}"


def _note_of_too_few() -> str:
    from pipelines.evaluate.statistics import FEWEST

    return f"{_TOO_FEW}: an interval needs at least {FEWEST} frames, or sequences, with a score"


def _note_of_worst(rows: "Sequence[FrameScores]", measure: str) -> str:
    key, worst = _worst(rows, measure)
    return f"worst frame: {key}, {worst}{_unit(measure)}"


def _worst(rows: "Sequence[FrameScores]", measure: str) -> tuple[str, str]:
    """The key of the frame with the worst difference to its blurry one, and the difference; dashes if it has none."""
    from pipelines.evaluate.measures import gain, has_blurry

    if not has_blurry(rows[0]):
        return "-", "-"
    worst = min(rows, key=gain)
    return str(worst["key"]), signed(_gains([worst], measure)[0], measure)


def _gains(rows: "Sequence[FrameScores]", measure: str) -> list[float]:
    return [float(row[measure]) - float(row[f"{measure}_blurry"]) for row in rows]


def _measures(summary: Mapping[str, Any]) -> list[str]:
    """How each measure is computed, and how many frames have it."""
    none = {measure: "; no frame has it" * math.isnan(summary["mean"][measure]) for measure in summary["legend"]}
    return [f"{measure}: {text}{none[measure]}" for measure, text in summary["legend"].items()]


def _print_by_extent(by_extent: Mapping[str, Any]) -> None:
    """PSNR by blur length."""
    ranges = by_extent["ranges"]
    is_pair = "psnr_blurry" in ranges[0]
    total = sum(each["pixels"] for each in ranges)
    rows, is_any_small = [], False
    for each in ranges:
        end = f"to {each['to']:g}" if each["to"] < float("inf") else "and more"
        cells = [number(each["psnr"], "psnr")]
        if is_pair:
            gain = signed(each["psnr"] - each["psnr_blurry"], "psnr")
            cells = [number(each["psnr_blurry"], "psnr"), *cells, gain]
        share = each["pixels"] / total
        if share < _FEW_PIXELS:
            is_any_small, cells = True, [f"({cell})" for cell in cells]
        rows.append([f"{each['from']:g} {end}", f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %", *cells])
    click.echo()
    print_wrapped(f"PSNR by blur length, the pixels of all frames pooled; lengths {_lengths(by_extent['known_from'])}")
    print_table(
        ["blur length,\npixels", "share of\npixels", *(["blurry", "restored", "gain"] if is_pair else ["psnr"])], rows
    )
    if is_any_small:
        click.echo(f"in brackets: fewer than {_FEW_PIXELS:.0%} of the pixels, too few to judge by")


def _print_division(means: Mapping[str, float]) -> None:
    """Whether the network has learnt to divide small from large blur."""
    names = {"auc_small": "small branch", "auc_large": "large branch", "auc_gate": "gate"}
    lines = []
    if known := {name: means[name] for name in names if name in means}:
        is_divided = min(known.values()) > _DIVIDED
        aucs = ", ".join(f"{names[name]} {auc:.3f}" for name, auc in known.items())
        lines.append(
            f"by attention: {'yes' if is_divided else 'no'}. AUC for the own component (1: perfect, 0.5: chance): "
            f"{aucs}; nearness to the centre, as a baseline: {means['auc_middle']:.3f}"
        )
    if "lead_small" in means:
        is_divided = min(means["lead_small"], means["lead_large"]) > 0
        lines.append(f"by restoration: {'yes' if is_divided else 'no'}")
        for name, value, other in (("small", 1, "large"), ("large", 0, "small")):
            psnr, lead = means[f"psnr_{name}_branch"], means[f"lead_{name}"]
            lines.append(
                f"{name} branch alone, where M = {value}: {number(psnr, 'psnr')} dB, {signed(lead, 'psnr')} dB against "
                f"the {other} branch"
            )
    if lines:
        print_list("\ndo the branches divide the frame?", lines)


def _print_cost(cost: Mapping[str, Any]) -> None:
    from pipelines.evaluate.cost import work_text

    lines = [f"{cost['parameters']:,} parameters, {file_size(1e6 * cost['megabytes'])}"]
    lines.append(f"per frame of 1280 x 720: {work_text(cost)}")
    size = cost["size"].replace("x", " x ")
    if cost["seconds"]:
        frames = counted(cost["timed_frames"], "frame")
        lines.append(f"{1000 * cost['seconds']:,.0f} ms per frame of {size} (median of {frames}), on {cost['device']}")
    if cost["peak_megabytes"] is not None:
        of = "the whole process" if cost["device"].startswith(("cpu", "mps")) else "the tensors on the GPU"
        lines.append(f"peak memory of {of}: {file_size(1e6 * cost['peak_megabytes'])}")
    print_list("\ncost", lines)


def print_comparison(comparison: Mapping[str, Any], rows_of: "Mapping[str, Sequence[FrameScores]]") -> None:
    """Several networks in one table, then each minus the first, frame by frame.

    Args:
        comparison: What ``compare.json`` holds.
        rows_of: The scores of the frames, by the name of each entry.
    """
    from pipelines.evaluate.measures import LEGEND
    from pipelines.evaluate.statistics import interval_note

    entries, blurry = comparison["entries"], comparison["blurry"]
    measures, first = list(entries[-1]["mean"]), comparison["measure"]
    body = [["(blurry frames)", *(number(blurry.get(each, math.nan), each) for each in measures)]] if blurry else []
    for entry in entries:
        body.append([entry["name"], *(number(entry["mean"].get(each, math.nan), each) for each in measures)])
    print_table([f"mean of\n{counted(comparison['frames'], 'frame')}", *measures], body)
    click.echo()
    is_pair = first in blurry
    gain = _gain_word(first)
    body = []
    for entry in entries:
        rows = rows_of[entry["name"]]
        gains = (signed(entry["mean"][first] - blurry[first], first), _worst(rows, first)[1]) if is_pair else ()
        body.append([entry["name"], _own_interval(entry, rows, first), *gains, *_costs(entry["cost"])])
    heads = [f"mean\n{gain}", f"worst\n{gain}"] if is_pair else []
    print_table(["", f"{first},\n95 % interval", *heads, "parameters", "GMac", "s per\nframe"], body)
    if is_pair:
        print_wrapped(f"{gain}: restored minus blurry, {first}; worst: of a single frame")
    print_wrapped(f"95 % intervals: {interval_note([str(row['key']) for row in rows_of[entries[0]['name']]])}")
    if any(_TOO_FEW in cells for cells in body):
        print_wrapped(_note_of_too_few())
    click.echo()
    for difference in comparison["differences"]:
        if difference["less"] == entries[0]["name"]:
            _print_difference(difference, first, rows_of)
    rules = _rules(comparison["protocol"])
    costs = [
        "GMac: 10^9 multiply-accumulates per frame of 1280 x 720, deformable convolutions included",
        "s per frame: median of the scored frames",
    ]
    conventions = [f"{each}: {LEGEND[each]}" for each in measures]
    print_list("\nmeasures", [*conventions, *(costs if any(entry["cost"] for entry in entries) else [])])
    print_list("\nprotocol", rules)
    for entry in entries:
        if entry["other_protocol"]:
            others = [rule for rule in _rules(entry["other_protocol"]) if rule not in rules]
            print_list(
                f"\n{entry['name']} was scored under another protocol", others or _rules(entry["other_protocol"])
            )


def _own_interval(entry: Mapping[str, Any], rows: "Sequence[FrameScores]", measure: str) -> str:
    return _interval(rows, [float(row[measure]) for row in rows], measure, number, entry["interval"][measure])


def _costs(cost: Mapping[str, Any]) -> tuple[str, str, str]:
    if not cost:
        return "-", "-", "-"
    seconds = f"{cost['seconds']:#.3g}".rstrip(".") if cost["seconds"] else "-"
    return f"{cost['parameters']:,}", f"{cost['honest_gmac']:,.1f}", seconds


def _print_difference(
    difference: Mapping[str, Any], measure: str, rows_of: "Mapping[str, Sequence[FrameScores]]"
) -> None:
    from pipelines.evaluate.no_reference import is_lower_better

    between = f"{difference['of']} minus {difference['less']}: {measure}"
    if measure not in difference["means"]:
        click.echo(f"{between} is known of no frame")
        return
    rows, less = rows_of[difference["of"]], {row["key"]: row for row in rows_of[difference["less"]]}
    values = [float(row[measure]) - float(less[row["key"]][measure]) for row in rows]
    interval = _interval(rows, values, measure, signed, difference["intervals"][measure])
    known = "too few frames for an interval" if interval == _TOO_FEW else f"95 % interval {interval}, paired by frame"
    note = "; lower is better" if is_lower_better(measure) else ""
    print_wrapped(
        f"{between} {signed(difference['means'][measure], measure)}{_unit(measure)} ({known}), "
        f"higher in {difference['higher'][measure]} of {counted(difference['frames'], 'frame')}{note}"
    )


def _pair_cells(row: Mapping[str, Any], measure: str) -> list[str]:
    before, after = row[f"{measure}_blurry"], row[measure]
    return [number(before, measure), number(after, measure), signed(after - before, measure)]


def _gain_word(measure: str) -> str:
    """The word for the difference to the blurry frame; ``gain`` only if higher is better."""
    return "gain" if measure.startswith(("psnr", "ssim")) else "change"


def number(value: float, measure: str) -> str:
    """A score, as tables show it; a dash where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if measure.startswith("psnr") else f"{value:.4f}"


def signed(value: float, measure: str) -> str:
    """A difference of two scores, with its sign."""
    text = number(value, measure)
    if text == "-":
        return text
    return f"+{text.removeprefix('-')}" if float(text) >= 0 else text  # -0.00 is +0.00


def _unit(measure: str) -> str:
    return " dB" if measure.startswith("psnr") else ""


def _rules(protocol: str, *, has_lengths: bool = False) -> list[str]:
    """The rules of a protocol; without the source of the blur lengths if that is already printed."""
    prefix, rules = "extents by ", []
    for rule in protocol.split("; "):
        if not rule.startswith(prefix):
            rules.append(rule)
        elif not has_lengths:
            rules.append(f"blur lengths {_lengths(rule.removeprefix(prefix))}")
    return rules


def _lengths(source: str) -> str:
    """Where blur lengths come from, in words."""
    from pipelines.evaluate.frame_sources import MEASURED, OWN_MAPS

    kinds = {MEASURED: "measured between each blurry frame and its sharp partner (method paired)"}
    return kinds.get(source, f"from {OWN_MAPS}")
