"""Records of what each result in a folder was made from: none is taken for that of another picture or network.

``OUT/.cdg-deblur.jsonl`` has one row per result.
"""

import os
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.errors import InputError
from pipelines.restore.jobs import RestoreJob
from prep.io import files
from prep.units import counted

NAME = ".cdg-deblur.jsonl"
_BLOCK = 2**22  # bytes


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network that made a result."""

    weights: str  # SHA-256 of the weights file
    is_ensemble: bool
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The source and the network of a result."""

    result: str  # path of the result, relative to the folder
    source: str  # absolute path of the source
    bytes: int  # size of the source
    modified: int  # nanoseconds, modification time of the source
    crc32: int  # checksum of the source
    network: Network


class Origins:
    """The recorded origins of a folder's results, read once.

    Args:
        folder: Folder of the results; need not exist.

    Raises:
        ReadError: If the rows are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / NAME
        rows = enumerate(files.read_rows(path), 1)
        origins = [files.as_type(row, Origin, f"line {number} of {path}") for number, row in rows]
        self._origins = {origin.result: origin for origin in origins}

    def check(self, jobs: Iterable[RestoreJob], network: Network) -> None:
        """Refuse existing results that were made from something else; a result without a row is accepted.

        Raises:
            InputError: If any result was made from something else.
        """
        faults = [fault for job in jobs if (fault := self._fault(job, network))]
        if faults:
            many = f" (and {counted(len(faults) - 1, 'other result')})" if len(faults) > 1 else ""
            raise InputError(f"{faults[0]}{many}; use another --out, or --force to overwrite")

    def _fault(self, job: RestoreJob, network: Network) -> str:
        origin = self._origins.get(self._name(job))
        if origin is None:
            return ""
        if origin.network.weights != network.weights:
            return f"{job.target} was made with other weights"
        if origin.network.is_ensemble != network.is_ensemble:
            return f"{job.target} was made {'with' if origin.network.is_ensemble else 'without'} --ensemble"
        if origin.network.strength != network.strength:
            return f"{job.target} was made with --strength {origin.network.strength:g}"
        status, source = job.source.stat(), str(job.source.absolute())
        if (source, status.st_size, status.st_mtime_ns) == (origin.source, origin.bytes, origin.modified):
            return ""
        if status.st_size == origin.bytes and _checksum(job.source) == origin.crc32:
            return ""
        if source == origin.source:
            return f"{job.source} has changed since {job.target} was made from it"
        return f"{job.target} was made from {origin.source}, not from {job.source}"

    def add(self, job: RestoreJob, status: os.stat_result, network: Network) -> None:
        """Record what a new result was made from.

        Args:
            job: The finished job.
            status: Status of the source before it was read. If the source has changed since, nothing is recorded.
            network: The network that restored it.
        """
        now = job.source.stat()
        if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            return
        origin = Origin(
            result=self._name(job),
            source=str(job.source.absolute()),
            bytes=status.st_size,
            modified=status.st_mtime_ns,
            crc32=_checksum(job.source),
            network=network,
        )
        files.append_rows(self._folder / NAME, [asdict(origin)])

    def _name(self, job: RestoreJob) -> str:
        return job.target.relative_to(self._folder).as_posix()


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum
