"""Sum-product belief propagation over two labels on a stack of layers, compiled, because ``lbp`` spends its time here.

Each cell has a tendency to "sharp" or "blurred" and influences its neighbours: four in its layer, one in each adjacent
layer. The weight of an edge is 1 for equal labels and e = exp(-COUPLING) for different ones. A message is one number m,
the ratio of its value for "sharp" to its value for "blurred". Let T be the product of a cell's own ratio and all
incoming messages, and m the message that came in along an edge. The message sent back along that edge is

    (T / m + e) / (e T / m + 1) = (T + e m) / (e T + m) = e + (1 / e - e) s / (s + m),   s = e T.

Two techniques make this fast without changing any result:

* The grid is a checkerboard: messages from black cells depend only on those from white ones. If black and white cells
  send in turn, n turns reach what n rounds of all cells reach, with half the work, and a message overwrites the one
  that it answers. Cells are stored in one array: row after row, and within a row layer after layer, each padded to an
  odd length. The colour of a cell is then the parity of its place, and each neighbour is a fixed, odd number of places
  away.
* Turns follow one another like waves: row y takes its k-th turn as soon as row y + 1 has taken its (k - 1)-th, so that
  only a few rows are in use at a time and these stay in the cache.

Tried and rejected: turns until convergence, skipping rows that no longer change. S is then within 1e-4 of the fixed
point, but only one or two pixels in a million of the mask change, for two to three times the time.

Legend: L layers, H rows, W columns; a cell's place is (row * L + layer) * pitch + column; N half the number of places.

Source: Pearl 1988; Felzenszwalb & Huttenlocher 2006, "Efficient belief propagation for early vision", section 3.3,
for the checkerboard.
"""

from typing import Any, NamedTuple

import numpy as np

from prep.arrays import Floats
from prep.compiled import compiled

COUPLING = 0.5
TURNS = 20  # later turns, up to convergence (50 to 130), change at most 2e-5 of the mask's pixels; after 10 turns 8e-4
_WAVE = 10  # turns in progress at once; even, like TURNS, so that black begins and white ends
_DAMPING = np.float32(np.exp(-COUPLING))
_GAIN = np.float32(np.exp(COUPLING) - np.exp(-COUPLING))


class _Grid(NamedTuple):
    """Nodes and messages, each ``(2, N)``: index 0 for cells at even places (black), 1 for odd places (white).

    An edge belongs to its left, front or upper cell. It stores the latest message, in turn that of its black and of its
    white cell.
    """

    nodes: Floats  # a cell's own ratio times e
    across: Floats  # messages along the edge to the next column
    deeper: Floats  # messages along the edge to the next layer
    below: Floats  # messages along the edge to the next row
    height: int
    layers: int
    width: int
    pitch: int  # places from one layer to the next, odd


def propagate(ratios: Floats, pad: int = 0) -> Floats:
    """Compute the belief in "sharp" on the first layer after 20 turns.

    White cells get the messages of a 21st turn: a belief is read when the messages of the other colour are newest.

    Args:
        ratios: ``(L, H, W)`` log of P(sharp) / P(blurred) of each cell, with absolute values near 1; L is odd.
        pad: Cells to repeat beyond each border, so that a border cell has as many neighbours as any other.

    Returns:
        ``(H, W)`` float32 in (0, 1).

    Raises:
        ValueError: If L is even.
    """
    if not ratios.shape[0] % 2:
        raise ValueError(f"{ratios.shape[0]} layers; their number must be odd")
    grid = _lay_out(ratios, pad)
    for _ in range(0, TURNS, _WAVE):
        _send_waves(grid)
    belief = np.empty(ratios.shape[1:], np.float32)
    _read(grid, 0, pad, belief)
    _send_all(grid, 0)
    _read(grid, 1, pad, belief)
    return belief


def _lay_out(ratios: Floats, pad: int) -> _Grid:
    """Place the cells between two empty rows, and start all messages at 1, which favours neither label."""
    layers, height, width = ratios.shape[0], ratios.shape[1] + 2 * pad, ratios.shape[2] + 2 * pad
    pitch = width + 1 + width % 2  # at least one empty column separates a layer from the next
    places = (height + 2) * layers * pitch
    nodes, across, deeper, below = (np.ones((2, (places + 1) // 2), np.float32) for _ in range(4))
    grid = _Grid(nodes, across, deeper, below, height, layers, width, pitch)
    _fill_nodes(grid, np.exp(ratios), pad)
    return grid


@compiled
def _fill_nodes(grid: _Grid, cells: Any, pad: int) -> None:
    """Copy cells ``(L, H, W)`` to their places; border cells are repeated in the padding."""
    for row in range(grid.height):
        y = min(max(row - pad, 0), cells.shape[1] - 1)
        for layer in range(grid.layers):
            begin = ((row + 1) * grid.layers + layer) * grid.pitch
            for column in range(grid.width):
                x = min(max(column - pad, 0), cells.shape[2] - 1)
                grid.nodes[(begin + column) % 2, (begin + column) // 2] = cells[layer, y, x] * _DAMPING


@compiled
def _send_waves(grid: _Grid) -> None:
    """Send messages from all rows in ``_WAVE`` turns, black and white alternating."""
    total = np.empty(grid.layers * grid.pitch, np.float32)
    for front in range(1, grid.height + _WAVE):
        for turn in range(max(0, front - grid.height), min(_WAVE, front)):
            _send(grid, front - turn, turn % 2, total)


@compiled
def _send_all(grid: _Grid, colour: int) -> None:
    total = np.empty(grid.layers * grid.pitch, np.float32)
    for row in range(1, grid.height + 1):
        _send(grid, row, colour, total)


@compiled
def _part(begin: int, end: int, colour: int) -> slice:
    """Return a slice of a colour's half: its places from ``begin`` up to but excluding ``end``."""
    return slice((begin + 1 - colour) // 2, (end + 1 - colour) // 2)


@compiled
def _send(grid: _Grid, row: int, colour: int, total: Any) -> None:
    """Compute s = e T of a row's cells of one colour in ``total``, first layer first, and answer their messages."""
    length, pitch, other = grid.layers * grid.pitch, grid.pitch, 1 - colour
    begin, end = row * length, (row + 1) * length
    own = _part(begin, end, colour)
    left, right = grid.across[other, _part(begin - 1, end - 1, other)], grid.across[colour, own]
    above, below = grid.below[other, _part(begin - length, end - length, other)], grid.below[colour, own]
    back = grid.deeper[colour, _part(begin, end - pitch, colour)]
    front = grid.deeper[other, _part(begin, end - pitch, other)]
    deeper = total[own.stop - own.start - front.size :]
    _multiply(grid.nodes[colour, own], left, right, above, below, total)
    _scale(total, back)
    _scale(deeper, front)
    _answer(total, back)
    _answer(deeper, front)
    _answer_both(total, left, right)
    _answer_both(total, above, below)
    _close(grid, row)


@compiled
def _close(grid: _Grid, row: int) -> None:
    """Reset to 1 the messages that a row sent beyond the ends of its layers or the frame's border."""
    length = grid.layers * grid.pitch
    for place in range(row * length - 1, (row + 1) * length - 1, grid.pitch):
        for edge in (place, place + grid.width):
            grid.across[edge % 2, edge // 2] = 1
    for inner, outer in ((1, 0), (grid.height, grid.height)):
        if row == inner:
            for edge in range(outer * length, (outer + 1) * length):
                grid.below[edge % 2, edge // 2] = 1


@compiled
def _multiply(node: Any, left: Any, right: Any, above: Any, below: Any, total: Any) -> None:
    for i in range(node.size):
        total[i] = node[i] * (left[i] * right[i]) * (above[i] * below[i])


@compiled
def _scale(total: Any, message: Any) -> None:
    for i in range(message.size):
        total[i] *= message[i]


@compiled
def _answer(total: Any, message: Any) -> None:
    for i in range(message.size):
        message[i] = _DAMPING + _GAIN * total[i] / (total[i] + message[i])


@compiled
def _answer_both(total: Any, one: Any, two: Any) -> None:
    """Answer two messages with one division."""
    for i in range(one.size):
        first, second = total[i] + one[i], total[i] + two[i]
        share = _GAIN * total[i] / (first * second)
        one[i], two[i] = _DAMPING + share * second, _DAMPING + share * first


@compiled
def _read(grid: _Grid, colour: int, pad: int, belief: Any) -> None:
    """Write the beliefs of the first layer's cells of one colour, from the latest incoming messages."""
    length, other = grid.layers * grid.pitch, 1 - colour
    for y in range(belief.shape[0]):
        begin = (y + 1 + pad) * length + pad
        first = (begin + colour) % 2
        begin, end = begin + first, begin + belief.shape[1]
        own = _part(begin, end, colour)
        left, above = _part(begin - 1, end - 1, other), _part(begin - length, end - length, other)
        total = grid.nodes[colour, own] * grid.deeper[colour, own]
        total *= grid.across[colour, own] * grid.across[other, left]
        total *= grid.below[colour, own] * grid.below[other, above]
        belief[y, first::2] = total / (_DAMPING + total)
