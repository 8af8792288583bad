"""The layers of ``hifst``: the smallest high-frequency DCT coefficients around every pixel, sorted.

When a window moves by one pixel, each coefficient follows from its own last two values with two multiplications,
whatever the window; a bound carried from pixel to pixel picks the few that need sorting; 32 neighbouring pixels are
sorted at once by a sorting network. A layer's minimum and maximum are known only at the end, so all layers are kept,
as 16-bit codes (11 bits of mantissa): 215 MB for 1280 x 720.

Legend: H, W a frame's height and width; M a window's side; R = 116 = 7 + 15 + 31 + 63 frequencies
along one axis, of all windows; K = R + 1 layers, as the authors keep; N = 2880 slots for the 2660 coefficients of one
pixel.

Source: Golestaneh & Karam 2017.
"""

import numpy as np
import numpy.typing as npt

from prep.arrays import Codes, Floats
from prep.compiled import compiled
from prep.sharpness import sorting_network

WINDOWS = (7, 15, 31, 63)
LAYERS = 1 + sum(WINDOWS)

Doubles = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int32]

# What follows is compiled into the kernels below; R entries each, the windows one after the other.
_ORDERS = np.concatenate([np.arange(side) for side in WINDOWS])  # v
_SIDES = np.repeat(WINDOWS, WINDOWS)  # M
_STARTS = np.cumsum((0, *WINDOWS))
_TURN = 2 * np.cos(np.pi * _ORDERS / _SIDES)
_GAIN = np.sqrt(np.where(_ORDERS == 0, 1, 2) / _SIDES) * np.cos(np.pi * _ORDERS / _SIDES / 2)
_PARITY = _ORDERS % 2
_LOWEST = np.repeat(_STARTS[:-1], WINDOWS) + _SIDES - 1 - _ORDERS  # the lowest frequency u with u + v >= M - 1
_LENGTH = (_ORDERS + 4) // 4 * 4  # v + 1 coefficients with this v, in slots by fours: a vector register's load
_FIRST = np.cumsum(_LENGTH) - _LENGTH
_SLOTS = -(-int(_LENGTH.sum()) // 64) * 64
_PITCH = sum(WINDOWS) + 4  # of a pixel's drive: R, and what the last idle slots read
_STEPS = 4  # pixels that a coefficient advances while it is in registers
_BATCH = 32  # pixels sorted at once
_ROOM, _AIM = 160, 138  # candidates a pixel: at most, and aimed at; at least K are needed
_LEAD = 32  # pixels over which the largest window comes in from the empty margin
_ORIGIN = 2 * _LEAD  # of the frame in the padded gradient
_SHIFT = 12  # bits of a float32's mantissa that a code leaves off
_OCTAVE = 1 << (23 - _SHIFT)  # codes from a magnitude to its double
_BASE = int(np.float32(2.0**-20).view(np.int32)) - (1 << (_SHIFT - 1))  # smaller magnitudes are noise: code 0
_LAST = 65535  # above the code of every candidate: of 8-bit frames these are below 2110, by Parseval's equation
_ONE, _TO_SIX = np.uint64(1), np.uint64(58)
_BRUIJN = np.uint64(0x03F79D71B4CB0A89)  # any six bits in a row differ from any other six
_PLACE = np.zeros(64, np.int64)
_PLACE[[(int(_BRUIJN) << bit) % 2**64 >> 58 for bit in range(64)]] = np.arange(64)


def to_magnitudes(codes: Codes) -> Floats:
    """The magnitude that a code stands for, within 1 / 4096 of it; 0 for code 0."""
    middles = (codes.astype(np.int32) << _SHIFT) + (_BASE + (1 << (_SHIFT - 1)))
    return np.where(codes > 0, middles.view(np.float32), np.float32(0))


def sorted_layers(gradient: Floats) -> Codes:
    """The K smallest magnitudes of the high-frequency DCT coefficients around every pixel, ascending.

    High-frequency are, in the orthonormal DCT-II of the four windows centred at the pixel, those with u + v >= M - 1.

    Args:
        gradient: ``(H, W)`` in [0, 1443]; taken as zero outside.

    Returns:
        ``(K, H, W)`` codes, see ``to_magnitudes``; magnitudes below 2^-20 have code 0.

    Source: Golestaneh & Karam 2017; the gradient is zero outside the frame as in the released code.
    """
    height, width = gradient.shape
    filled = -(-width // _BATCH) * _BATCH
    margins = ((_ORIGIN, _LEAD), (_ORIGIN, _LEAD + filled - width))
    padded = np.pad(gradient.astype(np.float64), margins)
    mixed = np.diff(np.diff(padded, axis=0, prepend=0), axis=1, prepend=0)
    codes = np.empty((LAYERS, height, filled), np.uint16)
    _sweep_frame(mixed, codes, sorting_network.smallest(_ROOM, LAYERS))
    return codes[:, :, :width]


@compiled
def _sweep_frame(mixed: Doubles, codes: Codes, network: Whole) -> None:
    """Fill ``codes``, ``(K, H, a multiple of 32)``, from the mixed second difference of the padded gradient."""
    columns = np.zeros((2, mixed.shape[1], _TURN.size))  # DCT down each column, at this row and the one before
    for y in range(-_LEAD, codes.shape[1]):
        _advance_columns(mixed, y, columns[y % 2], columns[1 - y % 2])
        if y >= 0:
            _sweep_row(columns[y % 2], codes[:, y], network)


@compiled
def _advance_columns(mixed: Doubles, y: int, new: Doubles, before: Doubles) -> None:
    """Move the DCT down each column by one row: ``new`` holds row y - 2 at first and row y in the end.

    With t = pi v / M, X(y) = 2 cos t X(y - 1) - X(y - 2) + cos(t / 2) ((-1)^v d(y + h) - d(y - 1 - h)), where d is
    the difference of neighbours and h = (M - 1) / 2: all inner terms of the three windows cancel.

    Source: Kober 2004, "Fast algorithms for the computation of sliding discrete sinusoidal transforms".
    """
    for x in range(mixed.shape[1]):
        for window in range(len(WINDOWS)):
            half = WINDOWS[window] // 2
            entering = mixed[y + _ORIGIN + half, x]
            leaving = mixed[y + _ORIGIN - 1 - half, x]
            for v in range(_STARTS[window], _STARTS[window + 1]):
                drive = -entering - leaving if _PARITY[v] else entering - leaving
                new[x, v] = _TURN[v] * before[x, v] - new[x, v] + _GAIN[v] * drive


@compiled
def _sweep_row(columns: Doubles, codes: Codes, network: Whole) -> None:
    """Fill one row of all layers, ``(K, a multiple of 32)``."""
    drive = np.zeros(2 * _STEPS * _PITCH)
    state = _empty_state()
    magnitudes = np.full(_STEPS * _SLOTS, np.float32(np.nan))
    candidates = np.empty((_BATCH, _ROOM), np.uint16)
    batch = np.empty((_ROOM, _BATCH), np.uint16)
    bound = 0
    for start in range(-_LEAD, codes.shape[1], _BATCH):
        for lane in range(0, _BATCH, _STEPS):
            _drive(columns, start + lane, drive)
            _advance(drive, state, magnitudes)
            if start >= 0:
                bound = _select(magnitudes.view(np.int32), bound, candidates[lane : lane + _STEPS])
        if start >= 0:
            _sort(candidates, network, batch, codes[:, start : start + _BATCH])


@compiled
def _empty_state() -> Doubles:
    """Every coefficient's last two values in an empty window: 0; NaN, which passes no bound, in the idle slots."""
    state = np.full(2 * _SLOTS, np.nan)
    for row in range(_TURN.size):
        for slot in range(_FIRST[row], _FIRST[row] + _ORDERS[row] + 1):
            state[slot] = state[_SLOTS + slot] = 0
    return state


@compiled
def _drive(columns: Doubles, x: int, drive: Doubles) -> None:
    """What enters and leaves the windows of the pixels x to x + 3: first for even v, then for odd."""
    for step in range(_STEPS):
        even, odd = step * _PITCH, (_STEPS + step) * _PITCH
        for window in range(len(WINDOWS)):
            entering = columns[x + step + _ORIGIN + WINDOWS[window] // 2]
            leaving = columns[x + step + _ORIGIN - 1 - WINDOWS[window] // 2]
            for u in range(_STARTS[window], _STARTS[window + 1]):
                drive[even + u] = entering[u] - leaving[u]
                drive[odd + u] = -entering[u] - leaving[u]


@compiled
def _advance(drive: Doubles, state: Doubles, magnitudes: Floats) -> None:
    """Move all coefficients of a pixel by four pixels along the row; ``_advance_columns`` states the recurrence.

    Flat arrays with constant distances: the compiler must see that they do not overlap to use vector registers.
    """
    for row in range(_TURN.size):
        turn, gain = _TURN[row], _GAIN[row]
        force = drive[_PARITY[row] * _STEPS * _PITCH + _LOWEST[row] :]
        old = state[_FIRST[row] :]
        new = magnitudes[_FIRST[row] :]
        for slot in range(_LENGTH[row]):
            first = turn * old[slot + _SLOTS] + (gain * force[slot] - old[slot])
            second = turn * first + (gain * force[slot + _PITCH] - old[slot + _SLOTS])
            third = turn * second + (gain * force[slot + 2 * _PITCH] - first)
            fourth = turn * third + (gain * force[slot + 3 * _PITCH] - second)
            old[slot], old[slot + _SLOTS] = third, fourth
            new[slot] = abs(first)
            new[slot + _SLOTS] = abs(second)
            new[slot + 2 * _SLOTS] = abs(third)
            new[slot + 3 * _SLOTS] = abs(fourth)


@compiled
def _select(bits: Whole, bound: int, candidates: Codes) -> int:
    """Collect the codes of the smallest magnitudes of four pixels, unsorted; give the next pixel's likely bound."""
    for step in range(_STEPS):
        pixel, chosen = bits[step * _SLOTS : (step + 1) * _SLOTS], candidates[step]
        bound = _find_bound(pixel, bound)
        count = _gather(pixel, bound, chosen)
        chosen[count:] = _LAST
        if count < LAYERS:  # many are equal: no bound parts K to ROOM of them off, the rest have this code
            chosen[count:LAYERS] = bound
        bound += _correction(count) if count >= LAYERS else 1
    return bound


@compiled
def _find_bound(bits: Whole, code: int) -> int:
    """Find a code with K to ROOM magnitudes below it, else the largest with fewer; start from a guess.

    Magnitudes are compared by the bits of their float32, which have the same order. NaN is above every bound.
    """
    low, high = 0, _LAST
    while high - low > 1:
        if not low < code < high:
            code = (low + high) // 2
        count = _count(bits, _limit(code))
        if LAYERS <= count <= _ROOM:
            return code
        if count < LAYERS:
            low = code
        else:
            high = code
        code += _correction(count)
    return low


@compiled
def _count(bits: Whole, limit: np.int32) -> int:
    count = np.int32(0)
    for slot in range(bits.size):
        count = np.int32(count + (bits[slot] < limit))  # a narrow sum: twice as many to a register
    return int(count)


@compiled
def _correction(count: int) -> int:
    """By how many codes to move a bound so that ``_AIM`` magnitudes pass: few ones grow in number with their size."""
    return int(_OCTAVE * np.log2(_AIM / max(count, 1)))


@compiled
def _limit(code: int) -> np.int32:
    """The least bits of a float32 whose code is ``code`` or more."""
    return np.int32(_BASE + (code << _SHIFT) if code > 0 else 0)


@compiled
def _gather(bits: Whole, code: int, chosen: Codes) -> int:
    """Write the codes of the magnitudes below a bound, in any order; give their number.

    Of 64 comparisons at once only the set bits are visited.
    """
    count = 0
    for start in range(0, bits.size, 64):
        block = bits[start : start + 64]
        word = _compare(block, _limit(code))
        while word:
            chosen[count] = max(0, (block[_place(word)] - _BASE) >> _SHIFT)
            count += 1
            word &= word - _ONE
    return count


@compiled
def _place(word: np.uint64) -> int:
    """The place of the lowest set bit: times a de Bruijn number, it shifts six bits to the top that identify it.

    Source: Leiserson, Prokop & Randall 1998, "Using de Bruijn sequences to index a 1 in a computer word".
    """
    return int(_PLACE[((word & (~word + _ONE)) * _BRUIJN) >> _TO_SIX])


@compiled
def _compare(block: Whole, limit: np.int32) -> np.uint64:
    """One bit for each of 64 magnitudes: is it below the limit?"""
    word = np.uint64(0)
    for place in range(np.uint64(64)):
        word |= np.uint64(block[place] < limit) << place
    return word


@compiled
def _sort(candidates: Codes, network: Whole, batch: Codes, layers: Codes) -> None:
    """Sort the candidates of each pixel of a batch; the K smallest are the layers' codes there.

    Args:
        candidates: ``(BATCH, ROOM)``.
        network: From ``sorting_network.smallest``.
        batch: ``(ROOM, BATCH)`` to work in: all pixels take the same steps, side by side in registers.
        layers: ``(K, BATCH)`` to fill.
    """
    for place in range(_ROOM):
        for lane in range(_BATCH):
            batch[place, lane] = candidates[lane, place]
    for pair in range(network.shape[0]):
        upper, lower = batch[network[pair, 0]], batch[network[pair, 1]]
        for lane in range(_BATCH):
            first, second = upper[lane], lower[lane]
            upper[lane], lower[lane] = min(first, second), max(first, second)
    for layer in range(LAYERS):
        for lane in range(_BATCH):
            layers[layer, lane] = batch[layer, lane]
