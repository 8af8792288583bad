"""Benchmarks measure by hand; that they still find what they measure is tried here."""

import ast
import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGES = ("prep", "cdgnet", "pipelines")
BENCHMARKS = sorted(Path("benchmarks").glob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a file imports from our packages, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in PACKAGES:
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_exists(path: Path) -> None:
    missing = [
        f"{module}.{name}"
        for module, name in imports(path)
        if not hasattr(importlib.import_module(module), name) and find_spec(f"{module}.{name}") is None
    ]

    assert missing == []
