"""The candidates scored side by side, each in its own folder: networks, results, or the blurry frames themselves."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.evaluate import folder as scores_folder
from pipelines.evaluate.conditions import Conditions
from pipelines.evaluate.examples import Shortlist
from pipelines.evaluate.frame_sources import FrameSource
from pipelines.evaluate.measures import FrameScores
from pipelines.restore.restorer import Restorer

_GENERIC = "weights"  # the name that cdg-train gives to the weights of every run


@dataclass(kw_only=True)
class Candidate:
    """A network, or frames that another program has restored."""

    name: str  # name in tables that compare candidates
    conditions: Conditions
    folder: Path  # the scores folder
    restorer: Restorer | None  # None if the frames are already restored
    row_of: dict[str, FrameScores] = field(default_factory=dict)  # rows of the scored frames, by key
    changed: int = 0  # number of frames scored earlier whose files have changed since
    shortlist: Shortlist = field(default_factory=Shortlist)

    def begin(self, frames: FrameSource) -> None:
        """Make or open the folder, and read the rows in it.

        Raises:
            EvaluationError: If the folder contains scores of something else, or is not a scores folder.
            ForeignFile: If a file of the user's own has the name of a table.
        """
        self.row_of = scores_folder.begin(self.folder, self.conditions.identity(frames), frames.sources_of_all())
        self.changed = len((scores_folder.stored_keys(self.folder) & {*frames.keys}) - self.row_of.keys())
        self.shortlist = Shortlist(self.row_of.values())

    def rows(self, frames: FrameSource) -> list[FrameScores]:
        """Return the rows of all frames, in the order of ``frames``; all must have been scored."""
        return [self.row_of[key] for key in frames.keys]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a short, unique name for each file: the shortest end of its path that is unique, without the suffix.

    ``weights.safetensors`` in a run folder gets the folder's name.
    """
    files = [path.resolve().parts for path in paths]
    stems = [path.resolve().with_suffix("").parts for path in paths]
    stems = [stem[:-1] if stem[-1] == _GENERIC else stem for stem in stems]
    return [_unique_end(stems, place) or _unique_end(files, place) or str(path) for place, path in enumerate(paths)]


def folder_names(names: Sequence[str]) -> list[str]:
    """Return a folder name for each name; all are unique and differ from the files of a comparison."""
    given: list[str] = []
    for name in names:
        plain = name.replace("/", "-").lstrip(".") or "network"
        is_free = plain not in given and not plain.startswith("compare")
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        given.append(plain if is_free else next(each for each in numbered if each not in given))
    return given


def _unique_end(all_parts: Sequence[Sequence[str]], place: int) -> str:
    """Return the shortest end of one path that no other path has; empty if there is none."""
    own, others = all_parts[place], [*all_parts[:place], *all_parts[place + 1 :]]
    for length in range(1, len(own) + 1):
        if all(other[-length:] != own[-length:] for other in others):
            return "/".join(own[-length:])
    return ""
