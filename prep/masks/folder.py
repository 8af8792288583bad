"""A masks folder on disk: S and M of each frame, and a record of how they were made.

``<key>.sharpness.png`` is S (16 bit), ``<key>.mask.png`` is M (0 and 255), and ``masks.jsonl`` has a record per frame.
A record is written after its files, so a recorded frame has complete files.
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
    """How S was made. Maps of different recipes never share a folder."""

    layout: str
    variant: str
    method: str
    parameters: Mapping[str, int | float]

    def __str__(self) -> str:
        parameters = ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())
        return f"{self.method} maps of {self.layout} {self.variant}".rstrip() + f" ({parameters})"


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """The record of a frame: a line of ``masks.jsonl``, with its fields in this order."""

    key: str
    recipe: Recipe
    sources: Sequence[FileStamp]  # stamps of the files S was made from: if they change, S is computed again
    mu: Share | None  # None while the mask is being made
    sharpness_min: Share
    sharpness_max: Share
    mask_share: Share  # share of pixels with M = 1
    shares: Sequence[Share]  # mask shares at other thresholds, from ``equations.mask_shares``
    top_share: Share  # share of pixels with S = sharpness_max
    warning: str  # empty if the mask looks right
    paths: Sequence[str] = ()  # paths of the sources; empty in records of earlier releases


class MasksFolder:
    """A masks folder; its records are read once.

    Args:
        path: The folder, which need not exist.

    Attributes:
        path: The folder.
        records: The records by key, in the order of ``masks.jsonl``; empty if there is no such file.

    Raises:
        MaskError: If ``masks.jsonl`` is damaged or was written by another program.
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
                f"{self._log} is not a list of masks ({error}); use another masks folder, or remove this one"
            ) from error
        self.records: dict[str, MaskRecord] = {record.key: record for record in records}

    @property
    def method(self) -> str | None:
        """Name of the method that made the maps in the folder; None if it is empty."""
        return next((record.recipe.method for record in self.records.values()), None)

    def mus(self, keys: Iterable[str]) -> list[float]:
        """Return the distinct thresholds of these frames' masks, sorted; frames without a mask are ignored."""
        records = (self.records.get(key) for key in keys)
        return sorted({record.mu for record in records if record and record.mu is not None})

    def sharpness_path(self, key: str) -> Path:
        """Return the path of the file with S of a frame."""
        return self.path / f"{key}.sharpness.png"

    def mask_path(self, key: str) -> Path:
        """Return the path of the file with M of a frame."""
        return self.path / f"{key}.mask.png"

    def read_sharpness(self, key: str) -> Codes:
        """Read S of a frame, ``(H, W)`` codes.

        Raises:
            ReadError: If the file is missing, damaged, or not a sharpness map.
        """
        return frames.read_sharpness(self.sharpness_path(key))

    def check_recipe(self, recipe: Recipe) -> None:
        """Refuse to add maps of another recipe.

        Raises:
            MaskError: If the folder contains maps of another recipe, or maps without a ``masks.jsonl``.
        """
        if not self._log.exists() and next(self.path.rglob("*.sharpness.png"), None):
            raise MaskError(f"{self.path} contains maps but no masks.jsonl; use another masks folder, or remove it")
        for record in self.records.values():
            if record.recipe == recipe:
                continue
            old, new = record.recipe, recipe
            if old.method != new.method:
                raise MaskError(
                    f"{self.path} contains maps by {old.method}, not by {new.method}; use --method {old.method}, or "
                    "another masks folder"
                )
            raise MaskError(f"{self.path} contains {old}, not {new}; use another masks folder")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against other processes while it is filled.

        Raises:
            MaskError: If another process is filling it, or has filled it since the records were read.
        """
        in_use = f"{self.path} is being filled by another process; wait for it, or use another masks folder"
        with locks.hold(self._log.with_name(f"{self._log.name}.lock"), remove=True, refusal=MaskError(in_use)):
            if self._state != self._state_on_disk():
                raise MaskError(f"{self.path} was just filled by another process; run the same command again")
            yield

    def _state_on_disk(self) -> tuple[int, int]:
        """Return size and modification time of ``masks.jsonl``; both 0 if it does not exist."""
        if not self._log.exists():
            return 0, 0
        status = self._log.stat()
        return status.st_size, status.st_mtime_ns

    def write(self, records: Mapping[str, MaskRecord]) -> None:
        """Replace all records; on disk they are sorted by key."""
        self.records = dict(records)
        files.write_rows(self._log, [asdict(self.records[key]) for key in sorted(self.records)])
        self._state = self._state_on_disk()

    def append(self, record: MaskRecord) -> None:
        """Add or replace the record of a frame whose files are complete."""
        self.records[record.key] = record
        files.append_rows(self._log, [asdict(record)])
        self._state = self._state_on_disk()
