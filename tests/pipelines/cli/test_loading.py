"""What a person sees while libraries load, and what is refused before they do."""

import importlib
import sys
from pathlib import Path

import pytest

from pipelines.cli import loading
from pipelines.cli.loading import announced_imports


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A library that takes a while to load."""
    (tmp_path / "slow_library.py").write_text("import time; time.sleep(0.2)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(loading.LIBRARIES, "slow_library", "Slow Library")
    monkeypatch.delitem(sys.modules, "slow_library", raising=False)
    return "slow_library"


def test_a_library_that_loads_slowly_is_reported_once(
    library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "PATIENCE", 0.02)
    with announced_imports():
        module = importlib.import_module(library)
        del sys.modules[library]
        importlib.import_module(library)

    said = capsys.readouterr()
    assert said.err == "loading Slow Library ...\n" and said.out == ""
    assert module.__spec__ is not None and "exec_module" not in vars(module.__spec__.loader)


def test_a_library_that_loads_fast_is_not_reported(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    with announced_imports():
        importlib.import_module(library)

    assert capsys.readouterr().err == ""
    assert not any(isinstance(finder, loading._Finder) for finder in sys.meta_path)
