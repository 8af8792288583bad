"""Headers of weights files: format, version and configuration, read without torch."""

import json
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from cdgnet.config import ModelConfig
from cdgnet.errors import WeightsError

PRETRAINED = Path(__file__).parent / "pretrained.safetensors"
"""Path of the weights included in the package; ``read_metadata`` returns their name and model card."""

FORMAT = "cdgnet"
VERSION = "1"


def read_metadata(path: Path | str) -> dict[str, str]:
    """Read the header of a weights file without its tensors.

    Args:
        path: A file written by ``save_weights`` or ``cdg-train``.

    Returns:
        All entries as text: ``format``, ``version``, ``config`` (JSON), ``input_range``, ``size_multiple``, and the
        ``metadata`` given to ``save_weights``.

    Raises:
        WeightsError: If the file is not a safetensors file of this format and version.
        OSError: If the file cannot be read.
    """
    with opened(Path(path), "np") as (entries, _):  # "np" needs neither torch nor the tensors
        return entries


@contextmanager
def opened(path: Path, framework: str) -> Iterator[tuple[dict[str, str], Any]]:
    """Open a weights file and check its format.

    Args:
        path: The file.
        framework: ``pt`` to read tensors, ``np`` to read only the header.

    Returns:
        The entries of the header, and the open safetensors file.

    Raises:
        WeightsError: If the file is not a safetensors file of this format and version.
        OSError: If the file cannot be read.
    """
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; pass the weights.safetensors in it")
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise WeightsError(f"{path} is not a regular file; pass a weights.safetensors")
    try:
        with safe_open(path, framework=framework) as file:
            entries: dict[str, str] = file.metadata() or {}
            _check_format(path, entries)
            yield entries, file
    except SafetensorError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{path} is not a safetensors file ({reason}); pass one written by cdg-train or save_weights"
        ) from error


def _check_format(path: Path, entries: Mapping[str, str]) -> None:
    if entries.get("format") != FORMAT:
        found = f"format {entries['format']!r}" if "format" in entries else "no format"
        raise WeightsError(
            f"{path} is not a weights file of cdgnet ({found} in its header); pass one written by cdg-train or "
            "save_weights"
        )
    if entries.get("version") != VERSION:
        found = f"version {entries['version']!r}" if "version" in entries else "no version"
        raise WeightsError(
            f"{path} has {found}, and this release reads version {VERSION!r}; use the release that wrote the file"
        )


def config_of(path: Path, entries: Mapping[str, str]) -> ModelConfig:
    """Return the configuration in a file's header.

    Raises:
        WeightsError: If there is none, or it is invalid.
    """
    if "config" not in entries:
        raise WeightsError(f"{path} contains no configuration; pass weights of cdg-train or save_weights")
    try:
        values = json.loads(entries["config"])
        if not isinstance(values, dict):
            raise ValueError(f"it is {reprlib.repr(values)}, not fields by name")
        return ModelConfig.from_dict(values)
    except RecursionError as error:
        raise WeightsError(f"{path}: the configuration in it is invalid: it is nested too deeply") from error
    except ValueError as error:
        raise WeightsError(f"{path}: the configuration in it is invalid: {error}") from error
