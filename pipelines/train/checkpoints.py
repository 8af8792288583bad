"""The checkpoints of a run: the last few, each written whole or not at all, so that the run can fall back to one.

A checkpoint is ``checkpoints/step-00001000.pt`` in the run folder: torch's zip archive, read without running code.
"""

import io
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import TrainingError
from pipelines.train.state import TrainingState
from prep.io import files

Checkpoint = dict[str, Any]
# What zipfile and torch raise on bytes that are no checkpoint; torch refuses pickles that would run code.
_UNREADABLE = (
    *(OSError, ValueError, RuntimeError, TypeError, LookupError, AttributeError, EOFError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, struct.error),
)
_NAME = re.compile(r"step-([0-9]{8,})\.pt")


def saved_steps(folder: Path) -> list[int]:
    """Return the steps after which the run in ``folder`` was saved, in ascending order."""
    names = (_NAME.fullmatch(path.name) for path in (folder / "checkpoints").glob("*.pt"))
    return sorted(int(name[1]) for name in names if name)


def save(folder: Path, step: int, checkpoint: Mapping[str, Any], *, keep: int) -> None:
    """Write a checkpoint, and remove all except the last ``keep``.

    Raises:
        OSError: If it cannot be written; earlier checkpoints are left as they are.
    """
    import torch

    content = io.BytesIO()  # in memory first: when torch itself writes to a full disk, it hides the cause
    torch.save(dict(checkpoint), content)
    files.write_bytes(_path(folder, step), content.getbuffer())
    for old in saved_steps(folder)[:-keep]:
        _path(folder, old).unlink()


def load(folder: Path) -> Checkpoint | None:
    """Return the newest undamaged checkpoint, on the CPU; None if the run was never saved.

    Raises:
        TrainingError: If there are checkpoints, all of them damaged.
    """
    checkpoint, _ = _load_newest(folder, is_mapped=False)
    return checkpoint


def load_state(folder: Path) -> tuple[TrainingState, list[str]]:
    """Read the state in the newest undamaged checkpoint, but not its tensors, which stay on the disk.

    Returns:
        The state (of a new run, if the run was never saved), and what is wrong with each newer checkpoint.

    Raises:
        TrainingError: If there are checkpoints, all of them damaged.
    """
    checkpoint, problems = _load_newest(folder, is_mapped=True)
    state = TrainingState()
    state.load_state_dict(checkpoint or {})
    return state, problems


def forget_after(folder: Path, step: int) -> None:
    """Remove the checkpoints of later steps: a run that continues from ``step`` writes them again."""
    for later in saved_steps(folder):
        if later > step:
            _path(folder, later).unlink()


def misfit(folder: Path, step: int, error: Exception) -> TrainingError:
    """Return the error for an undamaged checkpoint that does not belong to the run of its folder."""
    return TrainingError(
        f"{_path(folder, step)} is not a checkpoint of this run ({_in_short(error)}); move it away and run the "
        "same command again, which continues from the one before it"
    )


def _path(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"step-{step:08d}.pt"


def _load_newest(folder: Path, *, is_mapped: bool) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest undamaged checkpoint and the problems of newer ones; mapped tensors are read when used."""
    problems: list[str] = []
    for step in reversed(saved_steps(folder)):
        import torch  # imported here, so that a folder without checkpoints is checked without torch

        path = _path(folder, step)
        try:
            _check(path)
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
            _check_content(checkpoint, step)
            return checkpoint, problems
        except _UNREADABLE as error:
            problems.append(f"{path} cannot be read ({_in_short(error)})")
    if problems:
        raise TrainingError(
            f"{problems[0]}, nor any before it; move the run folder away to start the training from the beginning"
        )
    return None, problems


def _in_short(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):  # torch's own message advises running the code
        return "it contains more than tensors and numbers, and might run code"
    return " ".join(str(error).split())[:80]


def _check(path: Path) -> None:
    """Check the checksums of the archive's members, because torch does not."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} in it is damaged")


def _check_content(checkpoint: Any, step: int) -> None:
    """Refuse anything but a checkpoint of that step. Whether its tensors fit the network is checked on loading."""
    if not isinstance(checkpoint, dict):
        raise ValueError(f"it contains a {type(checkpoint).__name__}")
    if missing := sorted({"step", "network", "optimizer", "averaged", "precision"} - checkpoint.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    TrainingState().load_state_dict(checkpoint)
    if checkpoint["step"] != step:
        raise ValueError(f"it is of step {checkpoint['step']}")
