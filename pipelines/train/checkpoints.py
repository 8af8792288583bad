"""The checkpoints of a run: each whole or not at all, the last few of them, so that there is one to fall back to.

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
    """The steps after which the run in ``folder`` was saved, in order."""
    names = (_NAME.fullmatch(path.name) for path in (folder / "checkpoints").glob("*.pt"))
    return sorted(int(name[1]) for name in names if name)


def save(folder: Path, step: int, checkpoint: Mapping[str, Any], *, keep: int) -> None:
    """Write a checkpoint, and remove those before the last ``keep``.

    Raises:
        OSError: If it cannot be written; earlier ones are left as they are.
    """
    import torch

    content = io.BytesIO()  # where torch writes to a full disk itself, it hides what went wrong
    torch.save(dict(checkpoint), content)
    files.write_bytes(_path(folder, step), content.getbuffer())
    for old in saved_steps(folder)[:-keep]:
        _path(folder, old).unlink()


def load(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, on the CPU; None where the run was never saved.

    Raises:
        TrainingError: If there are checkpoints, all of them damaged.
    """
    checkpoint, _ = _load_newest(folder, is_mapped=False)
    return checkpoint


def load_state(folder: Path) -> tuple[TrainingState, list[str]]:
    """The state in the newest checkpoint that is whole, without its tensors: they stay on the disk.

    Returns:
        The state, that of a new run where it was never saved; and what is wrong with each newer checkpoint.

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
    """That a whole checkpoint is not of the run that its folder belongs to."""
    return TrainingError(
        f"{_path(folder, step)} is not a checkpoint of this run ({_in_short(error)}); move it away and run the "
        "same command again, which continues from the one before it"
    )


def _path(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"step-{step:08d}.pt"


def _load_newest(folder: Path, *, is_mapped: bool) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint and the problems of newer ones; mapped, its tensors are read only when used."""
    problems: list[str] = []
    for step in reversed(saved_steps(folder)):
        import torch  # here, so that a folder without checkpoints is checked without it

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
    if isinstance(error, pickle.UnpicklingError):  # torch advises to run it
        return "it contains more than tensors and numbers, and might run code"
    return " ".join(str(error).split())[:80]


def _check(path: Path) -> None:
    """Compare the checksums of the archive's members, which torch does not."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} in it is damaged")


def _check_content(checkpoint: Any, step: int) -> None:
    """Refuse what is not a checkpoint of that step. Whether its tensors fit the network shows when they are loaded."""
    if not isinstance(checkpoint, dict):
        raise ValueError(f"it contains a {type(checkpoint).__name__}")
    if missing := sorted({"step", "network", "optimizer", "averaged", "precision"} - checkpoint.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    TrainingState().load_state_dict(checkpoint)
    if checkpoint["step"] != step:
        raise ValueError(f"it is of step {checkpoint['step']}")
