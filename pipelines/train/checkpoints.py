"""The states of a run on disk: each whole or not at all, the last few of them, one to fall back to.

A checkpoint is ``checkpoints/step-00001000.pt`` in the run folder: torch's zip archive, read without running code.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipelines.errors import TrainingError
from prep.io import files

State = dict[str, Any]
_NAME = re.compile(r"step-(\d+)\.pt")


def steps(folder: Path) -> list[int]:
    """After how many steps the run in ``folder`` was saved, in order."""
    found = (_NAME.fullmatch(path.name) for path in (folder / "checkpoints").glob("*.pt"))
    return sorted(int(match[1]) for match in found if match)


def save(folder: Path, step: int, state: Mapping[str, Any], *, keep: int) -> None:
    """Write a state, and remove those before the last ``keep``.

    Raises:
        OSError: If it cannot be written; earlier ones are left as they are.
    """
    with files.replacing(_path(folder, step)) as part:
        torch.save(dict(state), part)
    for old in steps(folder)[:-keep]:
        _path(folder, old).unlink()


def load(folder: Path) -> tuple[State | None, list[str]]:
    """The newest state that is whole, and what is wrong with each newer one, a sentence each.

    Returns:
        The state, on the CPU, or None where the run was never saved.

    Raises:
        TrainingError: If there are checkpoints, all of them damaged.
    """
    faults: list[str] = []
    for step in reversed(steps(folder)):
        path = _path(folder, step)
        try:
            _check(path)
            return torch.load(path, map_location="cpu", weights_only=True), faults
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            faults.append(f"{path} cannot be read ({' '.join(str(error).split())[:80]})")
    if faults:
        raise TrainingError(f"{faults[0]}, nor any before it; move the run folder away to begin anew")
    return None, faults


def forget_after(folder: Path, step: int) -> None:
    """Remove the checkpoints of later steps: a run that went back to ``step`` writes them anew."""
    for later in steps(folder):
        if later > step:
            _path(folder, later).unlink()


def _path(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"step-{step:08d}.pt"


def _check(path: Path) -> None:
    """torch does not compare the checksums that its archives hold."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} in it is damaged")
