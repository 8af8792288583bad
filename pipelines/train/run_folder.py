"""The files of a run.

``run.json`` (the settings), ``log.jsonl`` (a row per logged step or event), ``weights.safetensors`` (the network at
the last checkpoint), ``best.safetensors`` (at the highest validation PSNR), ``checkpoints``, a lock.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cdgnet.errors import WeightsError
from cdgnet.header import read_metadata
from pipelines.errors import RunInUse, TrainingError
from prep.errors import ReadError
from prep.io import files, locks

REQUEST, LOG, WEIGHTS, BEST_WEIGHTS = "run.json", "log.jsonl", "weights.safetensors", "best.safetensors"

_NUMBERS = frozenset(
    (
        *("loss", "loss_restored", "loss_small", "loss_large", "share_small", "share_large", "learning_rate"),
        *("mean_offset", "steps_per_second", "images_per_second", "data_wait_share"),
        *("val_psnr", "val_psnr_blurry", "val_frames", "went_back_from", "factor"),
    )
)
_NEEDS = {  # a row that has this column must have these columns too
    "loss": ("steps_per_second",),
    "val_psnr": ("val_psnr_blurry", "val_frames"),
    "went_back_from": ("factor",),
    "drowned_by": ("share_small", "share_large"),
}
_SMALLEST = 1e-100  # smallest magnitude that can be drawn, except 0; the largest is its inverse


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a run folder.

    Raises:
        RunInUse: If another process trains in it.
    """
    in_use = f"{folder} is in use by another training; wait until it ends, or choose another --out"
    with locks.hold(folder / "lock", refusal=RunInUse(in_use)):
        yield


def read_request(folder: Path) -> dict[str, Any]:
    """Read the settings of the run in a folder.

    Raises:
        TrainingError: If there is no run, or its file is damaged.
    """
    path = folder / REQUEST
    if not path.exists():
        raise TrainingError(f"{folder} is not a run folder (no {REQUEST}); pass one that cdg-train wrote")
    try:
        return files.read_object(path)
    except ReadError as error:
        raise TrainingError(
            f"{error}: the file is damaged; restore it, or start a new run with another --out"
        ) from error


def write_request(folder: Path, request: Mapping[str, Any]) -> None:
    """Write the settings, which makes the folder a run folder."""
    files.write_text(folder / REQUEST, json.dumps(request, indent=2) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of a run's log.

    Raises:
        TrainingError: If a line is not a row of a log.
    """
    path = folder / LOG
    try:
        rows = files.read_rows(path)
    except ReadError as error:
        raise TrainingError(f"{error}, so it is not a row of a log; repair or remove that line") from error
    for number, row in enumerate(rows, 1):
        if problem := _problem(row):
            raise TrainingError(
                f"line {number} of {path} is not a row of a log ({problem}); repair or remove that line"
            )
    return rows


def _problem(row: Mapping[str, Any]) -> str:
    """Return why a row is not a row of a log; empty if it is one."""
    step = row.get("step")
    if type(step) is not int or not 0 <= step <= sys.maxsize:
        return "its step is not a whole number of 0 or more"
    wrong = [name for name, value in row.items() if name in _NUMBERS and not _is_number(value)]
    skipped = row.get("skipped", [])
    if not isinstance(skipped, list) or not all(isinstance(key, str) for key in skipped):
        wrong.append("skipped")
    if row.get("drowned_by", "small") not in ("small", "large"):
        wrong.append("drowned_by")
    if "loss" in row and "steps_per_second" in row and not row["steps_per_second"] > 0:
        wrong.append("steps_per_second")
    missing = [name for first, others in _NEEDS.items() if first in row for name in others if name not in row]
    return f"its {wrong[0]} is wrong" if wrong else f"it lacks {missing[0]}" if missing else ""


def _is_number(value: Any) -> bool:
    """Return whether a value is a number that can be drawn, or infinite or NaN, which Python also writes to JSON."""
    if type(value) not in (int, float):
        return False
    return value == 0 or _SMALLEST <= abs(value) <= 1 / _SMALLEST or not math.isfinite(value)


def append_to_log(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a run's log."""
    files.append_rows(folder / LOG, rows)


def trim_log(folder: Path, step: int, *, is_validation_due: bool = False) -> None:
    """Drop the rows that a run that continues from ``step`` will write again.

    Args:
        folder: The run folder.
        step: The step of the checkpoint that the run continues from.
        is_validation_due: Whether the validation of that step will be repeated too.
    """
    rows = [row for row in read_log(folder) if row["step"] <= step]
    if is_validation_due:
        rows = [row for row in rows if row["step"] < step or "val_psnr" not in row]
    files.write_rows(folder / LOG, rows)


def training_seconds(folder: Path) -> float:
    """Return how many seconds the logged steps of a run took, from each row's rate."""
    seconds, before = 0.0, 0
    for row in read_log(folder):
        if "loss" in row:
            seconds += (row["step"] - before) / row["steps_per_second"]
            before = row["step"]
    return seconds


def weights_step(folder: Path) -> int:
    """Return after how many steps a run's weights were written; -1 if there are no readable weights."""
    path = folder / WEIGHTS
    with suppress(WeightsError, ValueError):
        return int(read_metadata(path).get("step", -1)) if path.exists() else -1
    return -1
