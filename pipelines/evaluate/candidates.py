"""What is scored side by side, each into a folder of its own: networks, results, the blurry frames themselves."""

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

_GENERIC = "weights"  # what cdg-train calls the weights of every run


@dataclass(kw_only=True)
class Candidate:
    """A network, or frames that are restored already."""

    name: str  # in tables of several
    conditions: Conditions
    folder: Path  # of its scores
    restorer: Restorer | None  # None where the frames are restored already
    row_of: dict[str, FrameScores] = field(default_factory=dict)  # by key, of the frames that are scored
    changed: int = 0  # frames that were scored earlier, and whose files have changed since
    shortlist: Shortlist = field(default_factory=Shortlist)

    def begin(self, frames: FrameSource) -> None:
        """Make or open the folder, and read the rows in it.

        Raises:
            EvaluationError: If it contains scores of something else, or is not a scores folder.
            ForeignFile: If a person's own file has the name of a table.
        """
        self.row_of = scores_folder.begin(self.folder, self.conditions.identity(frames), frames.sources_of_all())
        self.changed = len((scores_folder.stored_keys(self.folder) & {*frames.keys}) - self.row_of.keys())
        self.shortlist = Shortlist(self.row_of.values())

    def rows(self, frames: FrameSource) -> list[FrameScores]:
        """The rows of all frames, in their order, once they are scored."""
        return [self.row_of[key] for key in frames.keys]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Short, different names for files: the end of each path, as much of it as is needed, without the suffix.

    ``weights.safetensors`` in a run folder gets the folder's name.
    """
    files = [path.resolve().parts for path in paths]
    stems = [path.resolve().with_suffix("").parts for path in paths]
    stems = [stem[:-1] if stem[-1] == _GENERIC else stem for stem in stems]
    return [_unique_end(stems, place) or _unique_end(files, place) or str(path) for place, path in enumerate(paths)]


def folder_names(names: Sequence[str]) -> list[str]:
    """A folder name for each of these, all different, and different from the files of a comparison."""
    given: list[str] = []
    for name in names:
        plain = name.replace("/", "-").lstrip(".") or "network"
        is_free = plain not in given and not plain.startswith("compare")
        numbered = (f"{plain}-{number}" for number in itertools.count(2))
        given.append(plain if is_free else next(each for each in numbered if each not in given))
    return given


def _unique_end(all_parts: Sequence[Sequence[str]], place: int) -> str:
    """The shortest end of one path that no other has; empty where there is none."""
    own, others = all_parts[place], [*all_parts[:place], *all_parts[place + 1 :]]
    for length in range(1, len(own) + 1):
        if all(other[-length:] != own[-length:] for other in others):
            return "/".join(own[-length:])
    return ""
