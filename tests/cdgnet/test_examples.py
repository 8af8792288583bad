"""The examples in docstrings, which the API reference shows."""

import doctest
import importlib

import pytest

MODULES = (
    "cdgnet",
    "cdgnet.config",
    "cdgnet.deform.offsets",
    "cdgnet.metrics",
    "cdgnet.network",
    "cdgnet.weights",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_give_the_results_beside_them(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))

    assert found.attempted > 0
    assert found.failed == 0
