"""Compiled loops on the threads that torch's own loops use.

A second pool beside torch's would fight with it: OpenMP's threads wait for work in a loop, on a core each, for
milliseconds after their last.
"""

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch

_Program = ctypes.CFUNCTYPE(None, ctypes.c_int64)


def run(program: int, arguments: Sequence[int], units: int) -> None:
    """Call a program on as many of torch's threads as it has units of work, and wait for all of them.

    Args:
        program: Address of ``void program(int64)``.
        arguments: int64, which it finds, after two that are zero, at the address that it is given.
        units: How many threads can have work at most.
    """
    numbers = (ctypes.c_int64 * (2 + len(arguments)))(0, 0, *arguments)
    threads = min(torch.get_num_threads(), units)
    if threads > 1:
        _in_parallel()(program, ctypes.addressof(numbers), threads)
    else:
        _Program(program)(ctypes.addressof(numbers))


@cache
def _in_parallel() -> Callable[[int, int, int], None]:
    """OpenMP's own call, from the library that torch has loaded; where there is none, threads of Python's."""
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
