"""The options of all commands: no number is taken that is none."""

import importlib
import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cdgnet import PRETRAINED
from pipelines.cli import parameters

PROJECT = Path(__file__).parents[3]


def options(command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
    """Every parameter of a command and of those below it, with the command's name."""
    yield from ((f"{command.name} {'/'.join(each.opts)}", each) for each in command.params)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from options(below)


def test_pretrained_names_the_weights_that_come_with_cdgnet_unless_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parameters.WEIGHTS_FILE.convert("pretrained", None, None) == PRETRAINED
    shutil.copy(PRETRAINED, "pretrained")
    assert parameters.WEIGHTS_FILE.convert("pretrained", None, None) == Path("pretrained")


def test_no_option_takes_nan_or_infinity() -> None:
    """click's own range takes NaN, which no comparison finds to be outside."""
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    modules = {place.partition(":")[0] for place in scripts.values()} | {"pipelines.cli.weights", "pipelines.cli.demo"}
    commands = [
        each for name in sorted(modules) for each in vars(importlib.import_module(name)).values()
        if isinstance(each, click.Command)
    ]  # fmt: skip
    found = [option for command in commands for option in options(command)]
    assert len(found) > 100
    assert [name for name, option in found if type(option.type) in (click.FloatRange, click.types.FloatParamType)] == []


def test_a_place_without_permission_to_write_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK and Path(path).exists())

    with pytest.raises(click.BadParameter, match=f"no permission to write in {tmp_path}; choose another path"):
        parameters.output_type.convert(str(tmp_path / "a" / "b"), None, None)
    with pytest.raises(click.BadParameter, match="file is a file, not a folder; choose another path"):
        parameters.output_type.convert(str(tmp_path / "file" / "b"), None, None)
