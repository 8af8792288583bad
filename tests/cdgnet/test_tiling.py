"""Padding and cropping: the same frame back, for every size."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cdgnet import CDGNet, ModelConfig
from cdgnet.padding import SIZE_MULTIPLE, crop_to_size, pad_to_multiple
from cdgnet.tiling import HALO, components, halo_of, restore

sides = st.integers(1, 30)


@given(height=sides, width=sides, multiple=st.integers(1, 9))
def test_cropping_undoes_padding_and_padding_reaches_the_next_multiple(height: int, width: int, multiple: int) -> None:
    images = torch.rand(1, 3, height, width)
    padded = pad_to_multiple(images, multiple)
    added = [padded.shape[-2] - height, padded.shape[-1] - width]
    assert torch.equal(crop_to_size(padded, (height, width)), images)
    assert all(side % multiple == 0 for side in padded.shape[-2:])
    assert all(0 <= each < multiple for each in added)


def test_the_padding_repeats_the_last_row_and_column() -> None:
    images = torch.arange(6.0).view(1, 1, 2, 3)
    assert pad_to_multiple(images, 4).tolist() == [[[[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]]]


def test_a_frame_that_fits_is_not_copied() -> None:
    images = torch.rand(1, 3, 8, 12)
    assert pad_to_multiple(images) is images


def test_cropping_to_a_larger_size_is_refused() -> None:
    with pytest.raises(ValueError, match="images of 8 x 6 cannot be cropped to 8 x 7; pass a smaller size"):
        crop_to_size(torch.zeros(1, 3, 6, 8), (7, 8))


TINY = ModelConfig.preset("tiny")


def learned(config: ModelConfig = TINY) -> CDGNet:
    """A network that changes a frame by some ten grey levels, its offsets a tenth of a pixel, its channels unlike."""
    torch.manual_seed(0)
    network = CDGNet(config).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape))
            if "channel.body" in name:
                parameter.mul_(20)
    return network


@pytest.mark.parametrize(
    ("height", "width", "tile"),
    [
        (405, 333, 128),
        pytest.param(720, 1280, 400, marks=pytest.mark.slow),
        pytest.param(2159, 3839, 1024, marks=pytest.mark.long),
    ],
)
def test_tiles_give_what_the_whole_frame_gives(height: int, width: int, tile: int) -> None:
    network, frame = learned(), torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)) - 0.5
    with torch.no_grad():
        whole = network(frame).restored

    tiled = restore(network, frame, tile=tile)

    assert tiled.shape == frame.shape
    assert float((whole - frame).abs().mean()) > 0.02
    assert float((tiled - whole).abs().max()) * 255 < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "shrinkage"), [("dmphn-1", 0), ("dmphn-1-2-4", 0), ("dmphn-1", 20)])
def test_tiles_of_a_network_that_deforms_nothing_are_the_whole_frame_exactly(variant: str, shrinkage: float) -> None:
    network = learned(replace(ModelConfig.preset("tiny", variant), shrinkage=shrinkage)).double()
    frame = torch.rand(1, 3, 405, 333, generator=torch.Generator().manual_seed(1)).double() - 0.5
    with torch.no_grad():
        whole = network(frame).restored

    assert float((whole - frame).abs().mean()) > 0.02
    assert float((restore(network, frame, tile=128) - whole).abs().max()) < 1e-12
    assert float((restore(network, frame, tile=128, halo=60) - whole).abs().max()) > 1e-12


@pytest.mark.parametrize("size", [(1, 500), (500, 3), (8, 420)])
@pytest.mark.parametrize("variant", ["dmphn-1", "cdgnet"])
def test_a_frame_narrower_than_the_network_takes_is_restored_in_tiles_too(variant: str, size: tuple[int, int]) -> None:
    network = learned(ModelConfig.preset("tiny", variant))
    frame = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1)) - 0.5
    whole = restore(network, frame, tile=1024)

    tiled = restore(network, frame, tile=64)

    assert tiled.shape == frame.shape
    assert float((tiled - whole).abs().max()) * 255 < 0.01


@pytest.mark.parametrize(
    ("encoder", "variant", "halo"),
    [("residual", "dmphn-1", 64), ("dense", "dmphn-1", 80), ("dense", "cdgnet", 144), ("residual", "dmphn-acda", 144)],
)
def test_the_halo_is_what_a_network_reaches(encoder: str, variant: str, halo: int) -> None:
    config = replace(ModelConfig.preset("tiny", variant), encoder=encoder)
    assert halo_of(config) == halo
    if halo == HALO:
        return
    network, frame = CDGNet(config).double().eval(), torch.zeros(1, 3, 240, 240).double().requires_grad_()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.01)  # nothing is hidden by a ReLU

    network(frame).restored[..., 120:124, 120:124].sum().backward()

    assert frame.grad is not None
    rows = frame.grad.ne(0).any(dim=3)[0].any(dim=0).nonzero()
    assert halo - SIZE_MULTIPLE < max(120 - int(rows.min()), int(rows.max()) - 123) <= halo


@pytest.mark.slow
def test_every_result_in_tiles_is_that_of_the_whole_frame() -> None:
    """Images and attention maps, also of sides that four does not divide."""
    config = replace(ModelConfig.preset("tiny"), fusion="divided")
    network = learned(config)
    frame = torch.rand(1, 3, 405, 333, generator=torch.Generator().manual_seed(1)) - 0.5
    with torch.no_grad():
        whole = network(frame)

    tiled = components(network, frame, tile=128)

    for name, one, other in zip(whole._fields, tiled, whole, strict=True):
        assert one is not None and other is not None and one.shape == other.shape, name
        assert float((one - other).abs().max()) * 255 < 0.02, name
    assert tiled.small_attention is not None and tiled.small_attention.shape == (1, 1, 102, 84)


def test_results_that_a_network_lacks_are_none_in_tiles_too() -> None:
    found = components(learned(ModelConfig.preset("tiny", "large-branch")), torch.zeros(1, 3, 96, 32), tile=32, halo=0)
    assert [part is None for part in found] == [False, True, True, True, False, True]


def test_a_frame_smaller_than_a_network_takes_has_small_maps() -> None:
    found = components(learned(), torch.zeros(1, 3, 5, 9))
    assert found.restored.shape == (1, 3, 5, 9)
    assert found.small_attention is not None and found.small_attention.shape == (1, 1, 2, 3)


@pytest.mark.slow
def test_without_the_average_over_the_whole_frame_tiles_would_differ() -> None:
    network, frame = learned(), torch.rand(1, 3, 120, 500) * torch.linspace(0, 1, 500) - 0.5
    with torch.no_grad():
        whole, alone = network(frame).restored, network(frame[..., :244]).restored[..., :100]

    assert float((alone - whole[..., :100]).abs().max()) * 255 > 0.1
    assert float((restore(network, frame, tile=100) - whole).abs().max()) * 255 < 0.01


@pytest.mark.slow
def test_a_new_networks_pixel_is_decided_within_the_halo() -> None:
    network, mean = CDGNet(ModelConfig.preset("tiny")).double().eval(), torch.zeros(1, 32, 1, 1).double()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "offset_conv" not in name:  # taps stay at rest
                parameter.add_(0.05 * torch.randn(parameter.shape))
        frame = torch.rand(1, 3, 320, 320).double() - 0.5
        other = frame.clone()
        other[..., 160, 160] += 100
        changed = (network(frame, mean).restored != network(other, mean).restored).any(dim=1)[0].nonzero() - 160

    assert 100 < int(changed.abs().max()) <= 117 < HALO


def test_tiles_that_do_not_fit_the_network_are_refused() -> None:
    with pytest.raises(ValueError, match="tile is 30 and halo 144; both must be multiples of 4"):
        restore(learned(), torch.zeros(1, 3, 16, 16), tile=30)


@pytest.mark.parametrize("work", [restore, components])
def test_progress_comes_after_each_tile_grows_to_one_and_changes_no_result(work: Callable[..., Any]) -> None:
    network, frame = learned(), torch.rand(1, 3, 72, 140, generator=torch.Generator().manual_seed(1)) - 0.5
    shares: list[float] = []

    reported = work(network, frame, tile=64, halo=16, on_tile=shares.append)

    plain = work(network, frame, tile=64, halo=16)
    pairs = zip(reported, plain, strict=True)
    assert all(one is other or torch.equal(one, other) for one, other in pairs)
    assert len(shares) == 2 * 2 * 3 and shares == sorted(set(shares)) and shares[-1] == 1
    whole: list[float] = []
    work(network, frame, on_tile=whole.append)
    assert whole == [1]


def test_what_progress_raises_ends_the_work() -> None:
    reported: list[float] = []

    def stop(share: float) -> None:
        reported.append(share)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        restore(learned(), torch.zeros(1, 3, 72, 140), tile=64, halo=16, on_tile=stop)
    assert len(reported) == 1
