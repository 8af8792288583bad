"""``config.yaml``: the settings and packs of a run, as options of ``cdg-train``, to continue or repeat the run."""

import difflib
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import TrainingError
from pipelines.train import run_folder
from pipelines.train.settings import NOTHING, TrainingConfig
from prep.io import files

NAME = "config.yaml"
PACKS = "h5"
_LISTS = (PACKS, "val")
_LARGEST = 1_000_000  # bytes, largest file that is read
_WIDTH = 100  # characters per line of a comment


def write(path: Path, config: TrainingConfig, packs: Sequence[Path]) -> None:
    """Write the settings of a run, each with its help text as a comment.

    Args:
        path: The file. An existing one is replaced.
        config: The settings.
        packs: Paths of the packs. They are written relative to the file.
    """
    files.write_text(path, "\n".join(_lines(path, config, packs)) + "\n")


def _lines(path: Path, config: TrainingConfig, packs: Sequence[Path]) -> Iterator[str]:
    yield "# Settings of a run of cdg-train. Repeat it: cdg-train --config FILE --out runs/NEW"
    yield "# Paths are relative to this file. A setting that is left out has its default."
    yield from _setting("Packs made by cdg-prep pack.", PACKS, [_relative(pack, path) for pack in packs])
    for each in fields(config):
        value = getattr(config, each.name)
        if each.name == "init" and value is not None:
            value = _relative(Path(value), path)
        if each.name == "val" and value is not None:
            value = list(value) or [NOTHING]
        yield from _setting(each.metadata["help"], each.name, value)


def _setting(about: str, name: str, value: Any) -> Iterator[str]:
    yield ""
    yield from textwrap.wrap(about, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    is_plain = str(value).isprintable() and "\\" not in repr(value)  # if not, escaped: YAML folds line breaks
    line = yaml.safe_dump({name: value}, allow_unicode=is_plain, width=10_000).rstrip("\n")
    yield line if value is not None else f"# {name}:"


def _relative(path: Path, file: Path) -> str:
    try:
        return Path(os.path.relpath(path, file.parent)).as_posix()
    except ValueError:  # Windows: the pack is on another drive
        return path.resolve().as_posix()


def read(path: Path) -> dict[str, Any]:
    """Read the settings in a file, by name. Packs and ``val`` are lists; paths are relative to the working folder.

    Raises:
        TrainingError: If the file cannot be read, or has a key that is not a setting.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST:,} bytes")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read as YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(found, Mapping):
        raise TrainingError(f"{path} contains no settings; write lines such as 'batch: 4'")
    settings: dict[str, Any] = {}
    known = [PACKS, *(each.name for each in fields(TrainingConfig))]
    for key, value in found.items():
        name = str(key).replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise TrainingError(f"{path}: {str(key)[:80]!r} is not a setting; {cure}")
        if isinstance(value, Mapping) or (isinstance(value, list) and name not in _LISTS):
            raise TrainingError(f"{path}: {name} is {str(value)[:80]!r}; it must be one value")
        if value is not None:
            settings[name] = value
    for name in {*_LISTS} & settings.keys():
        settings[name] = settings[name] if isinstance(settings[name], list) else [settings[name]]
    if PACKS in settings:
        settings[PACKS] = [_seen_from_here(pack, path) for pack in settings[PACKS]]
    if "init" in settings:
        settings["init"] = _seen_from_here(settings["init"], path)
    return settings


def _seen_from_here(value: object, file: Path) -> Path:
    return Path(os.path.normpath(file.parent / str(value)))


def of_run(folder: Path) -> dict[str, Any]:
    """Return the settings of the run in a folder, in the form of ``read``.

    Raises:
        TrainingError: If there is no run, or an earlier release began it, which did not write ``config.yaml``.
    """
    path = folder / NAME
    if path.is_file():
        return read(path)
    if (folder / run_folder.REQUEST).is_file():
        raise TrainingError(
            f"{folder} has no {NAME}: an earlier release began this run; to continue, repeat the command that began it"
        )
    raise TrainingError(f"{folder} is not a run folder; pass one that cdg-train wrote, such as runs/gopro")
