"""What kind of weights a file contains, by its first bytes and its header; needs no torch."""

import hashlib
from pathlib import Path

from safetensors import SafetensorError, safe_open

from cdgnet.errors import WeightsError
from cdgnet.header import config_of, read_metadata

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # how torch.save's files begin: an archive, or a pickle as before torch 1.6
_LATEST_PROTOCOL = 5  # of pickles


def check(path: Path) -> None:
    """Refuse a file that cannot contain weights, by its first bytes and its header.

    Raises:
        WeightsError: If it is neither a safetensors file nor one of ``torch.save``, or its header is damaged.
    """
    if is_pickle(path):
        return
    try:
        if is_ours(path):
            config_of(path, read_metadata(path))
            return
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a weights file ({' '.join(str(error).split())}); pass a safetensors file or one of "
            "torch.save. A download may have left a web page or a Git LFS pointer in its place"
        ) from error


def is_pickle(path: Path) -> bool:
    """Whether a file is one of ``torch.save``, by its first bytes.

    Those of safetensors are a length, which may be any, and a bracket.
    """
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":
        return False
    return start.startswith(_ZIP) or (start.startswith(_PICKLE) and start[1:2] <= bytes([_LATEST_PROTOCOL]))


def is_ours(path: Path) -> bool:
    """Whether a file is of cdgnet, by its first bytes and its header; of one that cannot be read its name decides."""
    if is_pickle(path):
        return False
    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
    except SafetensorError:
        return path.suffix == ".safetensors"
    return header.get("format") not in (None, "pt")


def weights_checksum(weights: Path) -> str:
    """SHA-256 of a weights file, in hexadecimal."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
