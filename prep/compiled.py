"""Compilation of the loops that numpy has no name for."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile for this machine at the first call; later processes read the result from ``__pycache__``.

    One thread; arithmetic stays that of IEEE 754, in the order written: the same input gives the same bits in every
    process. What is read from ``__pycache__`` follows changes of the function's own file only, so a kernel's
    constants stand in its file.
    """
    return cast(Function, numba.njit(cache=True, error_model="numpy")(function))
