"""Compare the scores of several candidates on the same frames: means, paired differences, blur length, cost."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from pipelines.errors import EvaluationError
from pipelines.evaluate import folder as scores_folder
from pipelines.evaluate.frame_sources import RULES
from pipelines.evaluate.measures import FrameScores, has_blurry, measures_of
from pipelines.evaluate.statistics import bootstrap_interval, compare, mean_scores
from prep.errors import ReadError
from prep.io import files
from prep.units import counted

# The files of a comparison, and a text near the beginning of each that identifies it.
_FILES = {"compare.json": '"protocol":', "compare.csv": "key", "compare-pictures.json": '"rows":'}
_EQUAL = 0.001  # dB; smaller differences are ignored because devices sum in different orders


class _Cost(TypedDict, total=False):
    parameters: int
    megabytes: float
    honest_gmac: float
    seconds: float | None
    peak_megabytes: int | None
    size: str
    device: str


_Range = TypedDict(
    "_Range", {"from": float, "to": float | str, "pixels": float, "psnr": float, "psnr_blurry": NotRequired[float]}
)


class _ByExtent(TypedDict, total=False):
    ranges: list[_Range]


class _Summary(TypedDict, total=False):
    """The fields that are read from an earlier ``results.json``."""

    name: str
    protocol: str
    weights: dict[str, str]
    by_extent: _ByExtent
    cost: _Cost


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the comparison."""

    name: str
    row_of: Mapping[str, FrameScores]  # rows of scores, by key
    summary: Mapping[str, Any]  # from ``summarise`` or an earlier ``results.json``; empty if there is only a table
    folder: Path


def read_earlier(paths: Sequence[Path], taken: Sequence[str]) -> list[Entry]:
    """Read earlier scores as entries.

    Args:
        paths: Folders that ``cdg-eval`` wrote, or their ``results.csv``.
        taken: Names that other entries already have.

    Raises:
        EvaluationError: If a folder contains no scores, or damaged ones.
    """
    entries: list[Entry] = []
    for path in paths:
        entry = _read_entry(path)
        used = {*taken, *(each.name for each in entries)}
        longer = f"{entry.name} ({entry.folder.resolve().name})"
        names = itertools.chain([entry.name, longer], (f"{longer} {number}" for number in itertools.count(2)))
        entries.append(replace(entry, name=next(name for name in names if name not in used)))
    return entries


def _read_entry(folder: Path) -> Entry:
    row_of = scores_folder.read(folder)
    place = folder if folder.is_dir() else folder.parent
    path = place / "results.json"
    try:
        summary = files.as_type(files.read_object(path), _Summary, path.name) if path.exists() else _Summary()
    except ReadError as error:
        raise EvaluationError(f"{place} is damaged ({error}); score the frames again") from error
    if not _Cost.__annotations__.keys() <= summary.get("cost", {}).keys():
        summary.pop("cost", None)  # incomplete: another program's results, or an earlier release
    name = summary.get("name") or place.resolve().name
    return Entry(name=name, row_of=row_of, summary=summary, folder=place)


def compare_all(entries: Sequence[Entry], keys: Sequence[str]) -> dict[str, Any]:
    """Compute the content of ``compare.json``.

    Args:
        entries: At least two; the first is the baseline, the last has the protocol and measures to show.
        keys: The keys of the compared frames; each entry has scored all of them.

    Raises:
        EvaluationError: If an entry has no scores of a frame, or scored another picture of that name.
    """
    for entry in entries:
        if missing := [key for key in keys if key not in entry.row_of]:
            raise EvaluationError(
                f"{entry.folder} has no scores of {missing[0]} (missing: {counted(len(missing), 'frame')}); score the "
                "same frames"
            )
        _refuse_other_pictures(entries[0], entry, keys)
    rows_of = [[entry.row_of[key] for key in keys] for entry in entries]
    shared = _shared_measures(entries, keys)
    protocol = entries[-1].summary.get("protocol", "")
    return {
        "protocol": protocol,
        "frames": len(keys),
        "measure": shared[0],
        "quotes_table_1": bool(entries[-1].summary.get("quotes_table_1")),
        "blurry": _blurry(rows_of),
        "entries": [_describe(*pair, keys, protocol) for pair in zip(entries, rows_of, strict=True)],
        "differences": [
            {
                "of": entries[late].name,
                "less": entries[early].name,
                **asdict(compare(rows_of[late], entries[early].row_of)),
            }
            for early, late in itertools.combinations(range(len(entries)), 2)
        ],
    }


def _refuse_other_pictures(one: Entry, other: Entry, keys: Sequence[str]) -> None:
    """Refuse scores of other pictures with the same names, recognised by the PSNR of their blurry frames."""
    for key in keys:
        psnrs = [each.row_of[key].get("psnr_blurry", math.nan) for each in (one, other)]
        if abs(psnrs[0] - psnrs[1]) > _EQUAL:
            raise EvaluationError(
                f"{key} is not the same picture in {other.folder} (blurry frame {psnrs[1]:.2f} dB) and in {one.folder} "
                f"({psnrs[0]:.2f} dB); score the same frames"
            )


def _shared_measures(entries: Sequence[Entry], keys: Sequence[str]) -> list[str]:
    """Return the measures that all entries have; entries are compared by the first."""
    measures = measures_of(entries[0].row_of[keys[0]])
    for entry in entries[1:]:
        own = measures_of(entry.row_of[keys[0]])
        if not (shared := [measure for measure in measures if measure in own]):
            wanted, found = " or ".join(measures), ", ".join(own) or "no score"
            raise EvaluationError(
                f"{entry.folder} has scores of {found} but not of {wanted}; score both with the same measures"
            )
        measures = shared
    return measures


def _blurry(rows_of: Sequence[Sequence[FrameScores]]) -> dict[str, float]:
    """Return the means of the blurry frames from the first entry that has them; empty if none has."""
    means = next((mean_scores(rows) for rows in rows_of if has_blurry(rows[0])), {})
    return {measure: means[f"{measure}_blurry"] for measure in measures_of(means) if f"{measure}_blurry" in means}


def _describe(entry: Entry, rows: Sequence[FrameScores], keys: Sequence[str], protocol: str) -> dict[str, Any]:
    means = mean_scores(rows)
    measures = measures_of(means)
    intervals = entry.summary.get("interval") or {  # earlier results: intervals are not read from the file
        measure: asdict(bootstrap_interval(keys, [float(row[measure]) for row in rows])) for measure in measures
    }
    own = entry.summary.get("protocol", "")
    return {
        "name": entry.name,
        "folder": str(entry.folder),
        "weights": entry.summary.get("weights", {}),
        "mean": {measure: means[measure] for measure in measures},
        "interval": {measure: intervals[measure] for measure in measures},
        "by_extent": entry.summary.get("by_extent", {}),
        "cost": entry.summary.get("cost", {}),
        "other_protocol": own if own and _rules(own) != _rules(protocol) else "",
    }


def _rules(protocol: str) -> str:
    """Return a protocol without the folders of the frames, because a path can be written in several ways."""
    source, _, rules = protocol.partition(f": {RULES}")
    return rules if source.startswith("pictures of ") else f"{source}: {rules}"


def refuse_foreign(folder: Path, names: Sequence[str] = ()) -> None:
    """Refuse to replace a file of the user's own, or a comparison of other entries.

    Args:
        folder: Where a comparison is to be written.
        names: The names of its entries; if empty, any comparison may be replaced.

    Raises:
        ForeignFile: If a file of the user's own has the name of one of ours.
        EvaluationError: If the folder contains a comparison of other entries.
    """
    for name, sign in _FILES.items():
        files.refuse_foreign(folder / name, sign)
    path = folder / "compare.json"
    if names and path.exists():
        try:
            found = [str(entry["name"]) for entry in files.read_object(path)["entries"]]
        except (ReadError, KeyError, TypeError):
            return
        if found != list(names):
            raise EvaluationError(f"{folder} contains a comparison of {', '.join(found)}; use another --out")


def write(folder: Path, comparison: Mapping[str, Any], entries: Sequence[Entry], keys: Sequence[str]) -> None:
    """Write ``compare.json`` and ``compare.csv``, one row per frame, into an existing folder.

    Raises:
        ForeignFile: If a file of the user's own has one of these names.
    """
    refuse_foreign(folder)
    files.write_text(folder / "compare.json", json.dumps(scores_folder.to_json(comparison), indent=1) + "\n")
    measures = _shared_measures(entries, keys)
    rows = [
        {
            "key": key,
            **{f"{each.name} {measure}": each.row_of[key][measure] for measure in measures for each in entries},
        }
        for key in keys
    ]
    files.write_text(folder / "compare.csv", scores_folder.to_csv(rows))
