"""Runs compiled loops on torch's own OpenMP threads.

A second thread pool would compete with torch's: after finishing their work, OpenMP threads busy-wait on their cores
for milliseconds.
"""

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch

_Program = ctypes.CFUNCTYPE(None, ctypes.c_int64)


def run(program: int, arguments: Sequence[int], units: int) -> None:
    """Run a program on torch's threads, at most one per unit of work, and wait until all have returned.

    Args:
        program: Address of ``void program(int64)``, which receives the address of an int64 array.
        arguments: Contents of that array, after two zeros that the program uses as counters.
        units: Number of units of work.
    """
    numbers = (ctypes.c_int64 * (2 + len(arguments)))(0, 0, *arguments)
    threads = min(torch.get_num_threads(), units)
    if threads > 1:
        _in_parallel()(program, ctypes.addressof(numbers), threads)
    else:
        _Program(program)(ctypes.addressof(numbers))


@cache
def _in_parallel() -> Callable[[int, int, int], None]:
    """Return OpenMP's entry point in the library that torch has loaded; Python threads if it has none."""
    library = Path(torch.__file__).parent / "lib/libtorch_cpu.so"
    try:
        call = ctypes.CDLL(str(library)).GOMP_parallel
    except (OSError, AttributeError):
        return _by_python
    call.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    call.restype = None
    return lambda program, address, threads: call(program, address, threads, 0)


def _by_python(program: int, address: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_Program(program), [address] * threads))
