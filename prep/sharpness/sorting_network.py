"""A sorting network: comparisons in a fixed order, so that many sequences can be sorted side by side in registers."""

import numpy as np
import numpy.typing as npt


def smallest(inputs: int, outputs: int) -> npt.NDArray[np.int32]:
    """List the comparisons of merge exchange that sort the ``outputs`` smallest of ``inputs`` values to the front.

    Returns:
        ``(comparisons, 2)`` places to compare: the smaller value goes to the first of the two.

    Source: Batcher 1968; Knuth, The Art of Computer Programming 3, algorithm 5.2.2M.
    """
    powers = [1 << bit for bit in reversed(range((inputs - 1).bit_length()))]
    pairs = []
    for part in powers:
        for distance, residue in [(part, 0), *((power - part, part) for power in powers if power > part)]:
            pairs += [(low, low + distance) for low in range(inputs - distance) if low & part == residue]
    wanted, kept = set(range(outputs)), []
    for pair in reversed(pairs):
        if not wanted.isdisjoint(pair):
            wanted.update(pair)
            kept.append(pair)
    return np.array(kept[::-1], np.int32)
