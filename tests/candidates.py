"""Candidates whose folders are begun, as ``cdg-eval`` begins them."""

from pathlib import Path

from pipelines.evaluate.candidates import Candidate
from pipelines.evaluate.conditions import Conditions
from pipelines.evaluate.frame_sources import FrameSource
from pipelines.restore.restorer import Restorer


def begun(frames: FrameSource, folder: Path, restorer: Restorer | None = None, name: str = "network") -> Candidate:
    """A candidate with the rows that its folder holds."""
    candidate = Candidate(name=name, conditions=Conditions(), folder=folder, restorer=restorer)
    candidate.begin(frames)
    return candidate
