"""A scores folder: the settings, one row per frame as it is scored, and tables at the end.

``asked.json`` holds the settings that affect the scores; a command with other settings is refused. ``scores.jsonl`` has
one row per frame, so that an interrupted command can continue. Each row has the stamps of the frame's files, so that a
replaced frame is scored again. ``results.csv`` and ``results.json`` hold all scores.
"""

import csv
import io
import json
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cdgnet.metrics import PSNR_CEILING
from pipelines.errors import EvaluationError
from pipelines.evaluate import by_extent, no_reference
from pipelines.evaluate.measures import FrameScores
from pipelines.evaluate.statistics import mean_scores
from prep.errors import ReadError
from prep.io import files, locks, storage
from prep.io.storage import FileStamp, Source

_FORMAT, _VERSION = "cdgnet-scores", 1
_ROWS, _LOCK = "scores.jsonl", "scores.lock"
# The tables, and a text near the beginning of each that identifies it.
_TABLES = {"results.csv": "key", "results.json": '"protocol":', "pictures.json": '"rows":'}
_FROM_JSON = {None: math.nan, "inf": math.inf, "-inf": -math.inf}
_SHOWN = 3  # most folders that a message lists
_NOT_IN_TABLES = ("seconds", "extents", "peak_megabytes")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make a folder, and lock it so that no other process scores into it.

    Raises:
        EvaluationError: If another process has locked it.
    """
    in_use = f"{folder} is in use by another cdg-eval process; wait until it ends, or use another --out"
    with locks.hold(folder / _LOCK, remove=True, refusal=EvaluationError(in_use)):
        yield


def begin(folder: Path, identity: Mapping[str, Any], sources: Mapping[str, Sequence[Source]]) -> dict[str, FrameScores]:
    """Make or open a scores folder, and return the rows already in it, by key.

    Args:
        folder: Made if it does not exist.
        identity: Everything that affects the scores, as JSON.
        sources: The files that each frame is read from now, by key. Rows whose files have changed are left out.

    Raises:
        EvaluationError: If the folder contains scores of something else, or is not a scores folder.
        ForeignFile: If a file of the user's own has the name of a table.
    """
    path = folder / "asked.json"
    wanted = json.loads(json.dumps({"format": _FORMAT, "version": _VERSION, **identity}))
    if not path.exists():
        if files.holds_others(folder, besides=(_LOCK,)):
            raise EvaluationError(f"{folder} contains other files; use another --out")
        files.write_text(path, json.dumps(wanted, indent=1) + "\n")
        return {}
    try:
        stored = files.read_object(path)
        rows = files.read_rows(folder / _ROWS)
        kept = {row["key"]: _from_json(row) for row in rows}  # a frame scored again has two rows: the last counts
        if len({len(sums) for scores, _ in kept.values() for sums in scores.get("extents", ())}) > 1:
            raise ReadError(f"extents in {_ROWS} differ in length")
    except (ReadError, KeyError, TypeError, ValueError) as error:
        raise EvaluationError(f"{folder} is damaged ({error}); remove it, or use another --out") from error
    if stored != wanted:
        names = sorted(name for name in {*stored, *wanted} if stored.get(name) != wanted.get(name))
        raise EvaluationError(
            f"{folder} contains scores made with other settings ({', '.join(names)}); use another --out"
        )
    for name, sign in _TABLES.items():
        files.refuse_foreign(folder / name, sign)
    return {key: scores for key, (scores, stamps) in kept.items() if _is_current(stamps, sources.get(key, ()))}


def stored_keys(folder: Path) -> set[str]:
    """Return the keys of all rows in a scores folder, including outdated rows."""
    return {str(row["key"]) for row in files.read_rows(folder / _ROWS)}


def _from_json(row: Mapping[str, Any]) -> tuple[FrameScores, list[FileStamp]]:
    """Decode a row of ``to_json`` into a frame's scores and the stamps of its files; early releases wrote no stamps.

    Raises:
        KeyError, TypeError, ValueError: If it is not such a row.
    """
    place = f"the row of {reprlib.repr(row['key'])}"
    measures: dict[str, Any] = {"key": files.as_type(row["key"], str, place)}
    for name, value in row.items():
        if name == "extents":
            measures[name] = files.as_type(value, by_extent.Extents, f"extents of {place}")
        elif name not in ("key", "sources"):
            number = _FROM_JSON[value] if value in (None, "inf", "-inf") else value
            measures[name] = _finite(name, files.as_type(number, float, f"{name} of {place}"))
    is_blind = any(name in measures for name in no_reference.NAMES)
    if missing := [name for name in ("psnr", "ssim") if name not in measures and not is_blind]:
        raise ReadError(f"{place} has no {missing[0]}")
    return measures, files.as_type(row.get("sources", []), list[FileStamp], place)


def _finite(name: str, value: float) -> float:
    """Convert a score of an earlier release, in which equal pictures have an infinite PSNR, to today's convention."""
    if name.startswith("psnr"):
        return min(value, PSNR_CEILING)
    return math.nan if math.isinf(value) else value


def _is_current(stamps: Sequence[FileStamp], sources: Sequence[Source]) -> bool:
    """Return whether the files that a row was scored from are unchanged."""
    return len(stamps) == len(sources) and all(map(storage.current_stamp, sources, stamps))


def append(folder: Path, row: FrameScores, stamps: Sequence[FileStamp]) -> None:
    """Append the scores of one frame and the stamps of its files; they are on disk when this returns."""
    files.append_rows(folder / _ROWS, [{**to_json(row), "sources": [asdict(stamp) for stamp in stamps]}])


def read(path: Path) -> dict[str, FrameScores]:
    """Read the rows of a scores folder, or of its ``results.csv``, by key.

    Raises:
        EvaluationError: If the path is neither.
    """
    if not path.exists():
        raise EvaluationError(missing(path))
    if path.is_dir() and not (path / "results.csv").exists():
        raise EvaluationError(_no_scores(path))
    path = path / "results.csv" if path.is_dir() else path
    if not path.is_file():
        raise EvaluationError(f"{path} is not a regular file; pass a scores folder of cdg-eval, or its results.csv")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        if lines and lines[-1]["key"] == "mean":  # only the last row: a frame may also be called "mean"
            lines.pop()
        scores = [
            {name: _finite(name, float(value or "nan")) for name, value in line.items() if name != "key"}
            for line in lines
        ]
        rows: list[FrameScores] = [{"key": line["key"], **values} for line, values in zip(lines, scores, strict=True)]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise EvaluationError(
            f"{path} contains no scores of cdg-eval ({error}); pass a scores folder, or its results.csv"
        ) from error
    return {str(row["key"]): row for row in rows}


def missing(path: Path) -> str:
    """Return the message for scores that do not exist; it suggests the scores folders at the same place."""
    found = [str(table.parent) for table in sorted(path.parent.glob("*/results.csv"))]
    such_as = f", such as {' or '.join(found[:_SHOWN])}" if found else ", or its results.csv"
    return f"{path} does not exist; pass a scores folder of cdg-eval{such_as}"


def _no_scores(folder: Path) -> str:
    """Return the message for a folder without scores; it suggests the scores folders inside it."""
    found = [str(table.parent) for table in sorted(folder.glob("*/results.csv"))]
    if not found:
        return f"{folder} contains no results.csv; pass a scores folder of cdg-eval"
    if len(found) <= _SHOWN:
        return f"{folder} is not a scores folder; pass {' or '.join(found)}"
    return f"{folder} contains {len(found)} scores folders; pass one of them, such as {', '.join(found[:_SHOWN])}"


def write(folder: Path, rows: Sequence[FrameScores], summary: Mapping[str, Any]) -> None:
    """Write ``results.csv`` and ``results.json``."""
    write_csv(folder / "results.csv", rows)
    files.write_text(folder / "results.json", json.dumps(to_json({**summary, "rows": rows}), indent=1) + "\n")


def write_csv(path: Path, rows: Sequence[FrameScores]) -> None:
    """Write the rows and their mean; NaN is an empty field."""
    files.write_text(path, to_csv([*rows, {"key": "mean", **mean_scores(rows)}]))


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows as CSV with the names of all their fields as its header; NaN and missing values are empty fields."""
    text = io.StringIO()
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in _NOT_IN_TABLES]
    has_return = any("\r" in str(row.get("key")) for row in rows)  # csv does not quote it by itself, and it ends a line
    writer = csv.DictWriter(
        text,
        fieldnames=names,
        lineterminator="\n",
        extrasaction="ignore",
        quoting=csv.QUOTE_NONNUMERIC if has_return else csv.QUOTE_MINIMAL,
    )
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if value != value else value for name, value in row.items()})
    return text.getvalue()


def to_json(value: Any) -> Any:
    """Replace the values that JSON cannot hold: NaN by null, infinity by "inf" or "-inf"."""
    if isinstance(value, Mapping):
        return {name: to_json(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_json(part) for part in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return ("inf" if value > 0 else "-inf") if isinstance(value, float) and math.isinf(value) else value
