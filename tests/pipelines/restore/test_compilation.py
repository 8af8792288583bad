"""Compiled code outlives a restart."""

import os
from pathlib import Path

import pytest
from torch._inductor.runtime.cache_dir_utils import cache_dir

from pipelines.restore.compilation import persist_compilation_cache


def test_compiled_code_lies_in_the_users_cache_unless_another_place_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    persist_compilation_cache()
    assert cache_dir() == str(tmp_path / "cdgnet" / "torchinductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    persist_compilation_cache()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "elsewhere"
