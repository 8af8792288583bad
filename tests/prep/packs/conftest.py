"""A data set with its masks."""

from collections.abc import Callable
from pathlib import Path

import pytest
from gopro_packs import PackSetup


@pytest.fixture
def setup(make_gopro: Callable[..., Path], tmp_path: Path) -> PackSetup:
    return PackSetup(make_gopro(), tmp_path / "m")
