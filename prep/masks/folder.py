"""A masks folder on disk: S and M of each frame, and a record of how each was made.

``<key>.sharpness.png`` holds S (16 bit), ``<key>.mask.png`` M (0 and 255), and ``masks.jsonl`` one record a frame. A
record is written after its files, so a record vouches for them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from prep.arrays import Codes
from prep.errors import MaskError, ReadError
from prep.io import files, frames, locks
from prep.io.storage import FileStamp

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How S was made: maps of different recipes never share a folder."""

    layout: str
    variant: str
    method: str
    parameters: Mapping[str, int | float]

    def __str__(self) -> str:
        parameters = ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())
        return f"{self.method} maps of {self.layout} {self.variant}".rstrip() + f" ({parameters})"


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """The line of ``masks.jsonl`` of a frame; the fields' order is that of the file."""

    key: str
    recipe: Recipe
    sources: Sequence[FileStamp]  # of the frames that S was made of: S is computed again when they change
    mu: Share | None  # None: the mask is being thresholded again
    sharpness_min: Share
    sharpness_max: Share
    mask_share: Share  # of M = 1
    shares: Sequence[Share]  # what it would be at other thresholds: ``equations.mask_shares``
    top_share: Share  # of pixels that have sharpness_max
    warning: str  # empty when nothing is suspicious
    paths: Sequence[str] = ()  # of the sources; records of earlier releases have none


class MasksFolder:
    """A masks folder, its records read once.

    Args:
        path: The folder; need not exist.

    Attributes:
        path: The folder.
        records: The frames' records by key, in the order of ``masks.jsonl``; none where there is no such file.

    Raises:
        MaskError: If ``masks.jsonl`` is not one of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path / "masks.jsonl"
        self._state = self._state_on_disk()
        try:
            rows = enumerate(files.read_rows(self._log), 1)
            records = [files.as_type(row, MaskRecord, f"line {number}") for number, row in rows]
        except ReadError as error:
            raise MaskError(
                f"{self._log} is no list of masks ({error}); pass another folder, or remove this one"
            ) from error
        self.records: dict[str, MaskRecord] = {record.key: record for record in records}

    @property
    def method(self) -> str | None:
        """Name of the method whose maps the folder holds; None where there are none."""
        return next((record.recipe.method for record in self.records.values()), None)

    def mus(self, keys: Iterable[str]) -> list[float]:
        """Thresholds of the masks of these frames, each once, sorted; frames without a mask do not count."""
        records = (self.records.get(key) for key in keys)
        return sorted({record.mu for record in records if record and record.mu is not None})

    def sharpness_path(self, key: str) -> Path:
        """Where S of a frame lies."""
        return self.path / f"{key}.sharpness.png"

    def mask_path(self, key: str) -> Path:
        """Where M of a frame lies."""
        return self.path / f"{key}.mask.png"

    def read_sharpness(self, key: str) -> Codes:
        """S of a frame, ``(H, W)`` codes.

        Raises:
            ReadError: If the map is missing, damaged, or no map.
        """
        return frames.read_sharpness(self.sharpness_path(key))

    def check_recipe(self, recipe: Recipe) -> None:
        """Refuse to add maps of another recipe.

        Raises:
            MaskError: If the folder holds maps of another recipe, or maps without a ``masks.jsonl``.
        """
        if not self._log.exists() and next(self.path.rglob("*.sharpness.png"), None):
            raise MaskError(f"{self.path} holds maps but no masks.jsonl; pass another folder, or remove this one")
        for record in self.records.values():
            if record.recipe != recipe:
                raise MaskError(f"{self.path} holds {record.recipe}; asked for {recipe}; pass another folder")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against other processes while it is filled.

        Raises:
            MaskError: If another process fills it, or has done so since the records were read.
        """
        in_use = f"{self.path} is being filled by another process; wait for it, or pass another folder"
        with locks.hold(self._log.with_name(f"{self._log.name}.lock"), remove=True, refusal=MaskError(in_use)):
            if self._state != self._state_on_disk():
                raise MaskError(f"{self.path} was just filled by another process; run the same command again")
            yield

    def _state_on_disk(self) -> tuple[int, int]:
        """Size and time of the records' file: both 0 where there is none."""
        if not self._log.exists():
            return 0, 0
        status = self._log.stat()
        return status.st_size, status.st_mtime_ns

    def write(self, records: Mapping[str, MaskRecord]) -> None:
        """Replace all records, on disk sorted by key."""
        self.records = dict(records)
        files.write_rows(self._log, [asdict(self.records[key]) for key in sorted(self.records)])
        self._state = self._state_on_disk()

    def append(self, record: MaskRecord) -> None:
        """Add the record of a frame, or a newer one, whose files are written."""
        self.records[record.key] = record
        files.append_rows(self._log, [asdict(record)])
        self._state = self._state_on_disk()
