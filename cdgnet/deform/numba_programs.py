"""What one thread of the deformable convolution for CPUs does, from the first unit of work to the last.

A unit is a range of pixels. Which they are depends on the shapes alone, and so does what is summed in which order: the
result is the same with any number of threads. A program takes the next unit until there is none. Its argument is the
address of int64: the next unit, the next thread's number, and what the program unpacks first.

Legend: as in ``numba_kernels``.
"""

import functools
import zlib
from pathlib import Path

from llvmlite import binding
from numba import cfunc, types

from cdgnet.deform import numba_kernels, vectors
from cdgnet.deform.numba_kernels import (
    BLOCK,
    FIELDS,
    RIM,
    add_products,
    copy,
    differentiate_place,
    find_block,
    multiply,
    row_before,
    sample,
    spread,
)
from cdgnet.deform.vectors import fill, load, load_every, load_float, load_longs, maximum, minimum, store, take_number

_compiled = cfunc(types.void(types.int64), cache=True, error_model="numpy")
# What numba keeps on disk follows changes of this file; with this number in a program, of the others too.
_SOURCES = zlib.crc32(b"".join(Path(module.__file__).read_bytes() for module in (numba_kernels, vectors)))
_WIDEST = 32 if binding.get_host_cpu_features().get("avx512f") else 8
"""Lanes of which the registers hold ten vectors."""


def lanes(channels: int) -> int:
    """How many channels are multiplied at once: a power of two that divides them."""
    return min(_WIDEST, channels & -channels)


def scratch_floats(length: int, outputs: int, groups: int, taps: int) -> int:
    """What a thread keeps for one block, in lines of the cache of its own."""
    floats = BLOCK * (2 * length + outputs + groups * taps * (FIELDS + 4))
    return -(-floats // 32) * 32


@functools.cache
def convolve(width: int, outputs: int, taps: int) -> int:
    """The address of a program for E = ``width`` channels of a group and D = ``outputs``."""
    E, W, V, K = width, min(16, width & -width), lanes(outputs), taps
    sources = _SOURCES

    @_compiled
    def program(a):
        sources  # noqa: B018
        (
            units, unit_pixels, pixels, scratch, scratch_size, table, offset, offset_stride, modulation,
            modulation_stride, is_logit, steps, weight, bias, result, height, width, result_height, result_width,
            channels, outputs, groups,
        ) = load_longs(a + 16, 22)  # fmt: skip
        line = (width + 2 * RIM) * channels
        length = K * channels
        samples = scratch + 4 * take_number(a + 8) * scratch_size
        places = samples + 4 * BLOCK * length
        while True:
            unit = take_number(a)
            if unit >= units:
                break
            end = min(pixels, (unit + 1) * unit_pixels)
            for first in range(unit * unit_pixels, end, BLOCK):
                count = min(BLOCK, end - first)
                find_block(
                    places, first, count, offset, offset_stride, modulation, modulation_stride, is_logit, steps,
                    height, width, result_height, result_width, channels, groups, K,
                )  # fmt: skip
                for p in range(count):
                    item = (first + p) // (result_height * result_width)
                    for g in range(groups):
                        sample(
                            samples + 4 * (p * length + g * K * E),
                            places + 4 * (p * groups + g) * FIELDS * K,
                            table + 4 * (item * (height + 2 * RIM) * line + g * E),
                            channels, line, W, E, K,
                        )  # fmt: skip
                multiply(result + 4 * first * outputs, outputs, samples, length, weight, bias, outputs, count, V)

    return program.address


@functools.cache
def reach(taps: int) -> int:
    """The address of a program that finds which rows the pixels of each unit read, -2 for the first of the rim."""
    K = taps
    sources = _SOURCES

    @_compiled
    def program(a):
        sources  # noqa: B018
        (
            units, bands, band_rows, scratch, scratch_size, offset, offset_stride, steps, height, result_height,
            result_width, groups, rows,
        ) = load_longs(a + 16, 13)  # fmt: skip
        found = scratch + 4 * take_number(a + 8) * scratch_size
        while True:
            unit = take_number(a)
            if unit >= units:
                break
            item, top = unit // bands, unit % bands * band_rows
            lowest, highest = fill(float(height), K), fill(-float(RIM), K)
            for row in range(top, min(result_height, top + band_rows)):
                rest = load(steps, K) + fill(float(row), K)
                for column in range(result_width):
                    pixel = (item * result_height + row) * result_width + column
                    for g in range(groups):
                        moves = load_every(offset + 4 * (pixel * offset_stride + 2 * g * K), K, 2, 0)
                        y = row_before(moves, rest, height, K)
                        lowest, highest = minimum(lowest, y), maximum(highest, y)
            store(found, lowest)
            store(found + 4 * K, highest)
            least, most = load_float(found), load_float(found + 4 * K)
            for t in range(1, K):
                least = min(least, load_float(found + 4 * t))
                most = max(most, load_float(found + 4 * (K + t)))
            store(rows + 16 * unit, int(least))
            store(rows + 16 * unit + 8, int(most))

    return program.address


@functools.cache
def differentiate(width: int, outputs: int, groups: int, taps: int) -> int:
    """The address of a program that computes all gradients; the features' in windows, as ``collect`` wants them.

    A unit is a band of rows; ``windows`` holds where each unit's sums of the features' first row would be.
    """
    E, W, V, K = width, min(16, width & -width), lanes(outputs), taps
    U = lanes(groups * taps * width)
    sources = _SOURCES

    @_compiled
    def program(a):
        sources  # noqa: B018
        (
            units, bands, band_rows, scratch, scratch_size, gradient, table, offset, offset_stride, modulation,
            modulation_stride, is_logit, steps, weight, zeros, windows, of_offset, of_offset_stride, of_modulation,
            of_modulation_stride, products, height, width, result_height, result_width, channels, outputs, groups,
        ) = load_longs(a + 16, 28)  # fmt: skip
        line = (width + 2 * RIM) * channels
        length = K * channels
        samples = scratch + 4 * take_number(a + 8) * scratch_size
        wanted = samples + 4 * BLOCK * length
        given = wanted + 4 * BLOCK * length
        places = given + 4 * BLOCK * outputs
        dots = places + 4 * BLOCK * groups * FIELDS * K
        while True:
            unit = take_number(a)
            if unit >= units:
                break
            item, top = unit // bands, unit % bands * band_rows
            features = table + 4 * item * (height + 2 * RIM) * line
            (window,) = load_longs(windows + 8 * unit, 1)
            total = products + 4 * unit * (length + 1) * outputs
            begin = (item * result_height + top) * result_width
            end = (item * result_height + min(result_height, top + band_rows)) * result_width
            for first in range(begin, end, BLOCK):
                count = min(BLOCK, end - first)
                rows = gradient + 4 * first * outputs
                if count < BLOCK:
                    copy(given, rows, count * outputs, BLOCK * outputs)
                    copy(samples, samples, 0, BLOCK * length)
                    rows = given
                multiply(wanted, length, rows, outputs, weight, zeros, length, BLOCK, U)
                find_block(
                    places, first, count, offset, offset_stride, modulation, modulation_stride, is_logit, steps,
                    height, width, result_height, result_width, channels, groups, K,
                )  # fmt: skip
                for p in range(count):
                    for g in range(groups):
                        at = 4 * (p * length + g * K * E)
                        spread(
                            samples + at, wanted + at, dots + 16 * (p * groups + g) * K,
                            places + 4 * (p * groups + g) * FIELDS * K,
                            features + 4 * g * E, window + 4 * g * E, channels, line, W, E, K,
                        )  # fmt: skip
                add_products(total, samples, length, rows, outputs, V)
                for p in range(count):
                    for g in range(groups):
                        differentiate_place(
                            of_offset + 4 * ((first + p) * of_offset_stride + 2 * g * K),
                            of_modulation + 4 * ((first + p) * of_modulation_stride + g * K),
                            dots + 16 * (p * groups + g) * K,
                            places + 4 * (p * groups + g) * FIELDS * K,
                            is_logit, K,
                        )  # fmt: skip

    return program.address


@functools.cache
def collect(width: int) -> int:
    """The address of a program that adds the windows to the features' gradient; a unit is a row of it."""
    W = min(16, width & -width)
    sources = _SOURCES

    @_compiled
    def program(a):
        sources  # noqa: B018
        units, bands, windows, rows, result, height, width, channels = load_longs(a + 16, 8)
        line = (width + 2 * RIM) * channels
        while True:
            unit = take_number(a)
            if unit >= units:
                break
            item, row = unit // height, unit % height
            to = result + 4 * unit * width * channels
            for c in range(0, width * channels, W):
                store(to + 4 * c, fill(0.0, W))
            for band in range(item * bands, (item + 1) * bands):
                least, most = load_longs(rows + 16 * band, 2)
                if least <= row <= most + 1:
                    (window,) = load_longs(windows + 8 * band, 1)
                    at = window + 4 * ((row + RIM) * line + RIM * channels)
                    for c in range(0, width * channels, W):
                        store(to + 4 * c, load(to + 4 * c, W) + load(at + 4 * c, W))

    return program.address
