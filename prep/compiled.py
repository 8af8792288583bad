"""Compile loops that numpy has no function for."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile for this machine on the first call; later processes load the result from ``__pycache__``.

    The code runs in one thread with IEEE 754 arithmetic in the order written, so the same input gives the same bits in
    every process. The cache notices changes only in the function's own file: keep a kernel's constants there.
    """
    return cast(Function, numba.njit(cache=True, error_model="numpy")(function))
