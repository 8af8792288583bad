"""The layers of ``hifst``: the smallest high-frequency DCT coefficients around every pixel, sorted.

When a window moves by one pixel, each coefficient is computed from its own last two values with two multiplications,
whatever the size of the window. A bound carried from pixel to pixel selects the few coefficients that need sorting. A
sorting network sorts 32 neighbouring pixels at once. A layer's minimum and maximum are known only at the end, so all
layers are kept, as 16-bit codes (11 bits of mantissa): 215 MB for 1280 x 720.

Legend: H, W a frame's height and width; M a window's side; R = 116 = 7 + 15 + 31 + 63 frequencies along one axis, in
all windows together; K = R + 1 layers, the number that the authors keep; N = 2880 slots for the 2660 coefficients of
one pixel; u, v the two frequencies of a coefficient.

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

# These constants are compiled into the kernels below. The arrays have R entries, one window after the other.
_ORDERS = np.concatenate([np.arange(side) for side in WINDOWS])  # v
_SIDES = np.repeat(WINDOWS, WINDOWS)  # M
_STARTS = np.cumsum((0, *WINDOWS))
_TURN = 2 * np.cos(np.pi * _ORDERS / _SIDES)
_GAIN = np.sqrt(np.where(_ORDERS == 0, 1, 2) / _SIDES) * np.cos(np.pi * _ORDERS / _SIDES / 2)
_PARITY = _ORDERS % 2
_LOWEST = np.repeat(_STARTS[:-1], WINDOWS) + _SIDES - 1 - _ORDERS  # index of the lowest u with u + v >= M - 1
_LENGTH = (_ORDERS + 4) // 4 * 4  # slots for the v + 1 coefficients with this v, a multiple of 4 for vector registers
_FIRST = np.cumsum(_LENGTH) - _LENGTH
_SLOTS = -(-int(_LENGTH.sum()) // 64) * 64
_PITCH = sum(WINDOWS) + 4  # length of a pixel's drive: R, and 4 more values for the last idle slots to read
_STEPS = 4  # pixels that a coefficient advances while it is in registers
_BATCH = 32  # pixels sorted at once
_ROOM, _AIM = 160, 138  # candidates per pixel: maximum and target; at least K are needed
_LEAD = 32  # pixels before the frame at which the windows start, with the largest one in the empty margin
_ORIGIN = 2 * _LEAD  # row and column of the frame's first pixel in the padded gradient
_SHIFT = 12  # bits of a float32's mantissa that a code drops
_OCTAVE = 1 << (23 - _SHIFT)  # codes per doubling of the magnitude
_BASE = int(np.float32(2.0**-20).view(np.int32)) - (1 << (_SHIFT - 1))  # smaller magnitudes are noise: code 0
_LAST = 65535  # above the code of every candidate: magnitudes of 8-bit frames are below 2110, by Parseval's equation
_ONE, _TO_SIX = np.uint64(1), np.uint64(58)
_BRUIJN = np.uint64(0x03F79D71B4CB0A89)  # de Bruijn number: no two runs of six consecutive bits are equal
_PLACE = np.zeros(64, np.int64)
_PLACE[[(int(_BRUIJN) << bit) % 2**64 >> 58 for bit in range(64)]] = np.arange(64)


def to_magnitudes(codes: Codes) -> Floats:
    """Return the magnitudes that codes stand for, to a relative accuracy of 1 / 4096; 0 for code 0."""
    middles = (codes.astype(np.int32) << _SHIFT) + (_BASE + (1 << (_SHIFT - 1)))
    return np.where(codes > 0, middles.view(np.float32), np.float32(0))


def sorted_layers(gradient: Floats) -> Codes:
    """Find the K smallest magnitudes of the high-frequency DCT coefficients around every pixel, in ascending order.

    A coefficient of the orthonormal DCT-II of one of the four windows centred at the pixel is high-frequency if
    u + v >= M - 1.

    Args:
        gradient: ``(H, W)`` in [0, 1443]; taken as zero outside the frame.

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
    columns = np.zeros((2, mixed.shape[1], _TURN.size))  # DCT down each column, at this row and the previous one
    for y in range(-_LEAD, codes.shape[1]):
        _advance_columns(mixed, y, columns[y % 2], columns[1 - y % 2])
        if y >= 0:
            _sweep_row(columns[y % 2], codes[:, y], network)


@compiled
def _advance_columns(mixed: Doubles, y: int, new: Doubles, before: Doubles) -> None:
    """Move the DCT down each column by one row: ``new`` contains row y - 2 at first and row y at the end.

    With t = pi v / M, X(y) = 2 cos t X(y - 1) - X(y - 2) + cos(t / 2) ((-1)^v d(y + h) - d(y - 1 - h)), where d is
    the difference of neighbours and h = (M - 1) / 2: all inner terms of the window at rows y, y - 1 and y - 2 cancel.

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
    """Return every coefficient's last two values in an empty window, 0; idle slots contain NaN, above every bound."""
    state = np.full(2 * _SLOTS, np.nan)
    for row in range(_TURN.size):
        for slot in range(_FIRST[row], _FIRST[row] + _ORDERS[row] + 1):
            state[slot] = state[_SLOTS + slot] = 0
    return state


@compiled
def _drive(columns: Doubles, x: int, drive: Doubles) -> None:
    """Fill ``drive`` with what enters minus what leaves the windows of the pixels x to x + 3, for even v, then odd v.

    For odd v, what enters has a minus sign.
    """
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

    The arrays are flat with constant offsets, because the compiler uses vector registers only if it can see that the
    parts do not overlap.
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
    """Collect the codes of the smallest magnitudes of four pixels, unsorted; return the next pixel's likely bound."""
    for step in range(_STEPS):
        pixel, chosen = bits[step * _SLOTS : (step + 1) * _SLOTS], candidates[step]
        bound = _find_bound(pixel, bound)
        count = _gather(pixel, bound, chosen)
        chosen[count:] = _LAST
        if count < LAYERS:  # many are equal: no bound has K to ROOM below it, and the missing ones have its code
            chosen[count:LAYERS] = bound
        bound += _correction(count) if count >= LAYERS else 1
    return bound


@compiled
def _find_bound(bits: Whole, code: int) -> int:
    """Find a code with K to ROOM magnitudes below it, or else the largest code with fewer; ``code`` is the first guess.

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
        count = np.int32(count + (bits[slot] < limit))  # int32, because a register holds twice as many as int64
    return int(count)


@compiled
def _correction(count: int) -> int:
    """Return the number of codes to move a bound by, so that about ``_AIM`` magnitudes lie below it.

    The number of small magnitudes below a bound is taken as proportional to it.
    """
    return int(_OCTAVE * np.log2(_AIM / max(count, 1)))


@compiled
def _limit(code: int) -> np.int32:
    """Return the bits of the smallest float32 whose code is at least ``code``."""
    return np.int32(_BASE + (code << _SHIFT) if code > 0 else 0)


@compiled
def _gather(bits: Whole, code: int, chosen: Codes) -> int:
    """Write the codes of the magnitudes below a bound, in any order; return their number.

    64 magnitudes are compared at once, and only the set bits of the result are visited.
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
    """Return the place of the lowest set bit: multiplied by a de Bruijn number, it moves six unique bits to the top.

    Source: Leiserson, Prokop & Randall 1998, "Using de Bruijn sequences to index a 1 in a computer word".
    """
    return int(_PLACE[((word & (~word + _ONE)) * _BRUIJN) >> _TO_SIX])


@compiled
def _compare(block: Whole, limit: np.int32) -> np.uint64:
    """Compare 64 magnitudes with a limit; return one bit for each, set if it is below the limit."""
    word = np.uint64(0)
    for place in range(np.uint64(64)):
        word |= np.uint64(block[place] < limit) << place
    return word


@compiled
def _sort(candidates: Codes, network: Whole, batch: Codes, layers: Codes) -> None:
    """Sort the candidates of each pixel of a batch and write the K smallest to the layers.

    Args:
        candidates: ``(BATCH, ROOM)``.
        network: The output of ``sorting_network.smallest``.
        batch: ``(ROOM, BATCH)`` work space: all pixels take the same steps, side by side in registers.
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
