"""Belief propagation: the quick form against the textbook's."""

import numpy as np
import pytest

from prep.sharpness import propagation

RNG = np.random.default_rng(5)


def plain_propagation(ratios: np.ndarray, rounds: int) -> np.ndarray:
    """Sum-product on a dictionary of messages, two labels written out, float64."""
    nodes = list(np.ndindex(ratios.shape))
    near = {
        node: [
            tuple(int(place) for place in other)
            for axis in range(3)
            for step in (-1, 1)
            for other in [np.add(node, np.eye(3, dtype=int)[axis] * step)]
            if all(0 <= place < side for place, side in zip(other, ratios.shape, strict=True))
        ]
        for node in nodes
    }
    edge = np.array([[1, np.exp(-0.5)], [np.exp(-0.5), 1]])
    own = {node: np.array([np.exp(ratios[node]), 1.0]) for node in nodes}
    message = {(one, other): np.ones(2) for one in nodes for other in near[one]}
    for _ in range(rounds):
        message = {
            (one, other): edge
            @ (
                own[one]
                * np.prod([message[third, one] for third in near[one] if third != other] or [np.ones(2)], axis=0)
            )
            for one, other in message
        }
        message = {edge_: value / value[1] for edge_, value in message.items()}
    belief = {node: own[node] * np.prod([message[other, node] for other in near[node]], axis=0) for node in nodes}
    return np.array([belief[node][0] / belief[node].sum() for node in nodes]).reshape(ratios.shape)


@pytest.mark.parametrize("shape", [(3, 5, 6), (3, 4, 5), (3, 1, 7), (3, 6, 1), (1, 4, 4), (5, 3, 4)])
def test_every_belief_is_the_textbooks_after_20_rounds_or_21(shape: tuple[int, int, int]) -> None:
    ratios = RNG.uniform(-1, 1, shape).astype(np.float32)

    belief = propagation.propagate(ratios)

    plain = [plain_propagation(ratios, rounds)[0] for rounds in (propagation.TURNS, propagation.TURNS + 1)]
    white = np.indices(shape[1:]).sum(axis=0) % 2 == (1 if shape[0] % 2 else 0)
    black_rounds = np.where(white, plain[1], plain[0]), np.where(white, plain[0], plain[1])
    nearest = min(np.abs(belief - each).max() for each in black_rounds)
    assert nearest < 2e-6  # float32 products of 7


def plain_rounds(ratios: np.ndarray, rounds: int) -> np.ndarray:
    """All messages of a round from those of the round before, in float64 numpy: for larger grids."""
    node, damp = np.exp(ratios.astype(np.float64)), np.exp(-0.5)
    message = np.ones((3, 2, *ratios.shape))  # axis, from the lower or the higher neighbour

    def along(axis: int, part: slice) -> tuple[slice, ...]:
        return tuple(part if place == axis else slice(None) for place in range(3))

    for _ in range(rounds):
        total = node * message.prod(axis=(0, 1))
        new = np.ones_like(message)
        for axis in range(3):
            low, high = along(axis, slice(None, -1)), along(axis, slice(1, None))
            for place, (sender, receiver) in enumerate(((low, high), (high, low))):
                back = message[axis, 1 - place][sender]
                new[axis, place][receiver] = (total[sender] + damp * back) / (damp * total[sender] + back)
        message = new
    total = node * message.prod(axis=(0, 1))
    return (total / (1 + total))[0]


def test_twenty_turns_decide_the_mask_as_two_hundred_rounds_do() -> None:
    smooth = RNG.normal(size=(3, 160, 220))
    for axis in (1, 2):
        smooth = np.cumsum(smooth, axis=axis)
        smooth = smooth[:, 12:] - smooth[:, :-12] if axis == 1 else smooth[:, :, 12:] - smooth[:, :, :-12]
    ratios = np.clip(smooth / smooth.std(), -1, 1).astype(np.float32)

    belief, settled = propagation.propagate(ratios), plain_rounds(ratios, 200)

    assert ((belief > 0.96) != (settled > 0.96)).mean() < 2e-4
    assert np.abs(belief - settled).mean() < 1e-3


@pytest.mark.parametrize("pad", [1, 4])
def test_a_pad_repeats_the_border(pad: int) -> None:
    ratios = RNG.uniform(-1, 1, (3, 9, 12)).astype(np.float32)
    padded = np.pad(ratios, ((0, 0), (pad, pad), (pad, pad)), mode="edge")

    assert np.array_equal(propagation.propagate(ratios, pad), propagation.propagate(padded)[pad:-pad, pad:-pad])


def test_an_even_number_of_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="2 layers; their number must be odd"):
        propagation.propagate(np.zeros((2, 4, 4), np.float32))
