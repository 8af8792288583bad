"""What ``cdg-eval`` says: the scores of one network, or several side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.progress import print_table

if TYPE_CHECKING:
    from pipelines.evaluate.measures import FrameScores

_MOST_ROWS = 40  # of images in a terminal; of more the means by sequence are shown


def print_summary(rows: "Sequence[FrameScores]", summary: Mapping[str, Any]) -> None:
    """All that is said of one network's scores."""
    if summary["by_extent"].get("ranges"):
        _print_by_extent(summary["by_extent"])
    sequences = summary["sequences"]
    if len(rows) > _MOST_ROWS and sequences:
        _print_table("sequence", [{"key": name, **means} for name, means in sequences.items()], summary)
    else:
        _print_table("image", rows if len(rows) <= _MOST_ROWS else [], summary)
    for measure, text in summary["legend"].items():
        interval = summary["interval"][measure]
        if interval["low"] != interval["low"]:  # NaN
            click.echo(f"{measure}: {text}; no frame has it")
            continue
        bounds = f"{_number(interval['low'], measure)} to {_number(interval['high'], measure)}"
        click.echo(f"{measure}: {text}; {summary['scored']} {bounds} (95 %, bootstrap over {interval['of']})")
    if summary["author_frames"]:
        means = summary["author_frames"]
        scores = f"psnr {means['psnr']:.2f}, ssim {means['ssim']:.4f}, ssim_matlab3d {means['ssim_matlab3d']:.4f}"
        click.echo(f"the author's {means['frames']} frames alone: {scores}")
    if summary["division"]:
        _print_division(summary["division"])
    if summary["cost"]:
        _print_cost(summary["cost"])
    click.echo(f"protocol: {summary['protocol']}; on {summary['device']}, precision {summary['precision']}")


def _print_by_extent(by_extent: Mapping[str, Any]) -> None:
    """PSNR by the length of the blur."""
    from rich.table import Table

    ranges = by_extent["ranges"]
    is_pair = "psnr_blurry" in ranges[0]
    names = ("blurry → restored", "gain") if is_pair else ("PSNR, dB",)
    table = Table("blur, pixels", "share of pixels", *names)
    total = sum(each["pixels"] for each in ranges)
    for each in ranges:
        end = f"to {each['to']:g}" if each["to"] < float("inf") else "and more"
        cells = [_number(each["psnr"], "psnr")]
        if is_pair:
            gain = _signed(each["psnr"] - each["psnr_blurry"], "psnr")
            cells = [f"{_number(each['psnr_blurry'], 'psnr')} → {cells[0]}", gain]
        table.add_row(f"{each['from']:g} {end}", f"{each['pixels'] / total:.1%}", *cells)
    click.echo(f"PSNR by the length of the blur, errors of all frames pooled; lengths by {by_extent['known_from']}:")
    print_table(table)


def _print_division(means: Mapping[str, float]) -> None:
    """Whether the network has learnt to divide small from large blur."""
    names = {"auc_small": "attention of the small branch", "auc_large": "of the large branch", "auc_gate": "gate"}
    if aucs := [f"{text} {means[name]:.3f}" for name, text in names.items() if name in means]:
        middle = f"nearness to the frame's middle alone {means['auc_middle']:.3f}"
        click.echo(f"AUC, small against large blur, 0.5 is chance: {', '.join(aucs)}; {middle}")
    if "lead_small" in means:
        texts = [
            f"{name} branch {_number(means[f'psnr_{name}_branch'], 'psnr')} dB where M = {value}, "
            f"{_signed(means[f'lead_{name}'], 'psnr')} dB beside the other branch"
            for name, value in (("small", 1), ("large", 0))
        ]
        click.echo(f"each branch alone on its own component: {'; '.join(texts)}")


def _print_cost(cost: Mapping[str, Any]) -> None:
    time = f"{1000 * cost['seconds']:,.0f} ms a frame of {cost['size']} (median of {cost['timed_frames']}), "
    ptflops = f"{cost['ptflops_gmac']:.2f} GMac (ptflops), " if cost["ptflops_gmac"] is not None else ""
    work = f"{ptflops}{cost['honest_gmac']:.2f} GMac (honest)"
    memory = f"at most {cost['peak_megabytes']:,} MB " if cost["peak_megabytes"] is not None else ""
    click.echo(
        f"cost: {cost['parameters']:,} parameters, {cost['megabytes']:.2f} MB; at 1280 x 720 {work}; "
        f"{time if cost['seconds'] else ''}{memory}on {cost['device']}"
    )


def _print_table(first_column: str, rows: "Sequence[Mapping[str, Any]]", summary: Mapping[str, Any]) -> None:
    from rich.table import Table

    means, measures = summary["mean"], list(summary["legend"])
    is_pair = f"{measures[0]}_blurry" in means
    table = Table(first_column, *(f"{measure}\nblurry → restored" if is_pair else measure for measure in measures))
    last = {"key": f"mean of {summary['frames']} images", **means}
    for row in (*rows, last):
        cells = [
            " → ".join(_number(row[name], measure) for name in (f"{measure}_blurry", measure) if name in means)
            for measure in measures
        ]
        table.add_row(str(row["key"]), *cells, end_section=bool(rows) and row is rows[-1])
    print_table(table)


def _number(value: float, measure: str) -> str:
    if value != value:
        return "-"
    return f"{value:.2f}" if measure.startswith("psnr") else f"{value:.4f}"


def _signed(value: float, measure: str) -> str:
    return ("+" if value >= 0 else "") + _number(value, measure)


def print_comparison(comparison: Mapping[str, Any]) -> None:
    """Several networks in one table, then each less the first, frame by frame."""
    from rich.table import Table

    entries, blurry = comparison["entries"], comparison["blurry"]
    measures = list(entries[0]["mean"])
    table = Table("", *(f"{measure}\n(95 %)" for measure in measures), "parameters", "GMac,\n1280x720", "s a frame")
    if blurry:
        table.add_row("blurry", *(_number(blurry[each], each) if each in blurry else "" for each in measures))
    for entry in entries:
        cells = [_with_interval(entry, measure) for measure in measures]
        table.add_row(entry["name"], *cells, *_costs(entry["cost"]))
    print_table(table)
    for difference in comparison["differences"]:
        if difference["less"] == entries[0]["name"]:
            _print_difference(difference, comparison["measure"])
    click.echo(f"protocol: {comparison['protocol']}; means of {comparison['frames']} frames")
    for entry in entries:
        if entry["other_protocol"]:
            click.echo(f"{entry['name']} was scored otherwise: {entry['other_protocol']}")


def _with_interval(entry: Mapping[str, Any], measure: str) -> str:
    if measure not in entry["mean"]:
        return ""
    interval = entry["interval"][measure]
    ends = " to ".join(_number(interval[end], measure) for end in ("low", "high"))
    return f"{_number(entry['mean'][measure], measure)}\n({ends})"


def _costs(cost: Mapping[str, Any]) -> tuple[str, str, str]:
    if not cost:
        return "", "", ""
    seconds = f"{cost['seconds']:.3g}" if cost["seconds"] else ""
    return f"{cost['parameters']:,}", f"{cost['honest_gmac']:.1f}", seconds


def _print_difference(difference: Mapping[str, Any], measure: str) -> None:
    from pipelines.evaluate.no_reference import is_lower_better

    between = f"{difference['of']} minus {difference['less']}: {measure}"
    if measure not in difference["means"]:
        click.echo(f"{between} is known of no frame")
        return
    mean, interval = difference["means"][measure], difference["intervals"][measure]
    unit, note = " dB" if measure == "psnr" else "", "; lower is better" if is_lower_better(measure) else ""
    click.echo(
        f"{between} {_signed(mean, measure)}{unit} "
        f"({_signed(interval['low'], measure)} to {_signed(interval['high'], measure)}, 95 %, paired), "
        f"higher in {difference['higher'][measure]} of {difference['frames']} frames{note}"
    )
