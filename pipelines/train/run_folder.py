"""The files of a run: ``run.json`` (what was asked), ``log.jsonl`` (a row a logging step), ``weights.safetensors`` (the
network as of the last checkpoint), ``best.safetensors`` (as of the highest validation PSNR), ``checkpoints``, a lock.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from cdgnet.errors import WeightsError
from cdgnet.weights import read_metadata
from pipelines.errors import RunInUse, TrainingError
from prep.io import files, locks

REQUEST, LOG, WEIGHTS, BEST_WEIGHTS = "run.json", "log.jsonl", "weights.safetensors", "best.safetensors"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a run folder.

    Raises:
        RunInUse: If another process does.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.hold(folder / "lock"))
        except locks.FileInUse as error:
            raise RunInUse(
                f"{folder} is being trained by another process; wait for its end, or pass another --out"
            ) from error
        yield


def read_request(folder: Path) -> dict[str, Any]:
    """What was asked of the run in a folder.

    Raises:
        TrainingError: If there is no run, or its file is damaged.
    """
    path = folder / REQUEST
    if not path.exists():
        raise TrainingError(f"{folder} holds no run (no {REQUEST}); pass the --out of one")
    try:
        request: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{path} is damaged ({error}); put it back, or start again with another --out") from error
    return request


def write_request(folder: Path, request: Mapping[str, Any]) -> None:
    """Write what is asked: from then on the folder is a run's."""
    files.write_text(folder / REQUEST, json.dumps(request, indent=2) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's log.

    Raises:
        TrainingError: If a line is not a row of a log.
    """
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    rows = []
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith("\n"):
            break  # cut short by a kill
        try:
            row = json.loads(line)
            row["step"]
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"line {number} of {path} is not a row of a log; repair or remove that line") from error
        rows.append(row)
    return rows


def append_to_log(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a run's log."""
    files.append_rows(folder / LOG, rows)


def trim_log(folder: Path, step: int, *, is_validation_due: bool = False) -> None:
    """Drop the rows that will be written again by a run that goes on from ``step``.

    Args:
        folder: The run's.
        step: Of the checkpoint that it goes on from.
        is_validation_due: The validation of that step will be repeated too.
    """
    rows = [row for row in read_log(folder) if row["step"] <= step]
    if is_validation_due:
        rows = [row for row in rows if row["step"] < step or "val_psnr" not in row]
    files.write_rows(folder / LOG, rows)


def training_seconds(folder: Path) -> float:
    """How long the logged steps of a run took, from each row's rate."""
    seconds, before = 0.0, 0
    for row in read_log(folder):
        if "loss" in row:
            seconds += (row["step"] - before) / row["steps_per_second"]
            before = row["step"]
    return seconds


def weights_step(folder: Path) -> int:
    """After how many steps a run's weights were written; -1 where there are none that can be read."""
    path = folder / WEIGHTS
    with suppress(WeightsError, ValueError):
        return int(read_metadata(path).get("step", -1)) if path.exists() else -1
    return -1
