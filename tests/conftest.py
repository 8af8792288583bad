"""Before anything imports Triton: where there is no GPU its kernels run in its interpreter."""

import os

import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

settings.register_profile("any machine", deadline=None)  # a busy one takes its time
settings.load_profile("any machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that need a GPU are skipped without one, whatever -m asked for."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
