"""Levels of patches: DMPHN as published, against plain torch modules; cuts, sizes, weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from plain_dmphn import PlainDMPHN
from torch import Tensor, nn

from cdgnet import CDGNet, ModelConfig, deblurring_losses, load_weights, read_metadata, save_weights
from cdgnet.patches import Cuts, in_patches, in_window, size_multiples, whole_frame
from cdgnet.tiling import restore

WIDTHS = (4, 8, 16)


def config_of(levels: int) -> ModelConfig:
    variant = {3: "dmphn-1-2-4", 4: "dmphn-1-2-4-8"}[levels]
    return replace(ModelConfig.preset("tiny", variant), widths=WIDTHS, attention_reduction=4)


def ours(plain: PlainDMPHN) -> CDGNet:
    """Our network with the weights of theirs: both list their layers in the order in which they are used."""
    network = CDGNet(config_of(len(plain.encoders))).eval()
    first, *others = zip(plain.encoders, plain.decoders, strict=True)
    pairs = [(network.encoder, first[0]), (network.branches["plain"], first[1])]
    for level, parts in zip(network.levels.values(), others, strict=True):
        assert isinstance(level.encoder, nn.Module) and isinstance(level.decoder, nn.Module)
        pairs += [(level.encoder, parts[0]), (level.decoder, parts[1])]
    with torch.no_grad():
        for own, theirs in pairs:
            for to, source in zip(own.parameters(), theirs.parameters(), strict=True):
                to.copy_(source)
    return network


def frame_of(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) - 0.5


@pytest.mark.parametrize(("levels", "size"), [(3, (48, 56)), (3, (16, 24)), (4, (48, 56)), (4, (64, 40))])
def test_a_frame_that_the_patches_divide_becomes_what_dmphn_makes_of_it(levels: int, size: tuple[int, int]) -> None:
    plain, frame = PlainDMPHN(levels, WIDTHS), frame_of(*size, batch=2)
    wanted = plain(frame)

    with torch.no_grad():
        restored = ours(plain)(frame).restored

    assert float(wanted.abs().mean()) > 0.02
    # float32: the same sums, which may be added up in another order.
    torch.testing.assert_close(restored, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("levels", [3, 4])
def test_every_level_reaches_the_image(levels: int) -> None:
    plain, frame = PlainDMPHN(levels, WIDTHS), frame_of(32, 32)
    network = ours(plain)
    with torch.no_grad():
        whole = network(frame).restored
        for level in network.levels.values():
            for part in level.children():
                (*_, last) = part.parameters()
                before = last.clone()
                last.add_(1)
                assert float((network(frame).restored - whole).abs().max()) > 1e-3
                last.copy_(before)


@pytest.mark.parametrize(
    ("height", "width", "levels"), [(1, 1, 3), (3, 40, 4), (17, 33, 3), (33, 31, 4), (20, 64, 3), (40, 24, 4)]
)
def test_any_frame_is_continued_until_the_patches_divide_it(height: int, width: int, levels: int) -> None:
    plain, frame = PlainDMPHN(levels, WIDTHS), frame_of(height, width)
    down, across = (
        max(16, -(-side // step) * step) for side, step in zip((height, width), (2**levels, 8), strict=True)
    )
    continued = nn.functional.pad(frame, (0, across - width, 0, down - height), mode="replicate")

    restored = restore(ours(plain), frame)

    # float32: the same sums, which may be added up in another order.
    torch.testing.assert_close(restored, plain(continued)[..., :height, :width], rtol=0, atol=1e-5)


def test_levels_cut_downwards_first_and_into_equal_patches() -> None:
    cuts = whole_frame(4, (64, 40))
    assert cuts == [Cuts(), Cuts((32,)), Cuts((32,), (20,)), Cuts((16, 32, 48), (20,))]
    assert [size_multiples(levels) for levels in (1, 2, 3, 4)] == [(4, 4), (8, 4), (8, 8), (16, 8)]
    window = in_window(cuts, (slice(16, 48), slice(20, 40)))
    assert window == [Cuts(), Cuts((16,)), Cuts((16,)), Cuts((16,))]


def test_nothing_passes_from_patch_to_patch() -> None:
    blur = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.ones_(blur.weight)
    images = torch.zeros(1, 1, 4, 4)
    images[..., 1, 1] = 1
    with torch.no_grad():
        spread = in_patches(blur, images, Cuts((2,), (2,)))[0, 0]
    assert spread.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_tiles_are_cut_where_the_frame_is() -> None:
    network, frame = ours(PlainDMPHN(3, WIDTHS)), frame_of(61, 333)
    with torch.no_grad():
        whole, alone = network(frame).restored, network(frame[..., :160]).restored

    # float32 in another order of sums; what lies beyond so small a halo adds less than that.
    torch.testing.assert_close(restore(network, frame, tile=64, halo=96), whole, rtol=0, atol=1e-5)
    assert float((alone[..., :64] - whole[..., :64]).abs().max()) > 1e-3  # so cut by itself a tile is another picture


def test_levels_survive_a_weights_file_and_say_what_sizes_they_take(tmp_path: Path) -> None:
    network = ours(PlainDMPHN(4, WIDTHS))
    save_weights(tmp_path / "w.safetensors", network, {})

    loaded = load_weights(tmp_path / "w.safetensors")

    assert read_metadata(tmp_path / "w.safetensors")["size_multiple"] == "16"
    assert loaded.config == network.config
    with torch.no_grad():
        assert torch.equal(loaded(frame_of(33, 41)).restored, network(frame_of(33, 41)).restored)


@pytest.mark.slow
def test_a_crop_is_learned_in_sixty_steps() -> None:
    torch.manual_seed(0)
    network = CDGNet(config_of(3))
    sharp = nn.functional.interpolate(frame_of(8, 8), size=(24, 24), mode="bilinear")
    blurry = nn.functional.avg_pool2d(sharp, 5, stride=1, padding=2)
    optimiser, mask = torch.optim.Adam(network.parameters(), lr=2e-3), torch.ones(1, 1, 24, 24, dtype=torch.uint8)
    errors = []
    for _ in range(60):
        losses = deblurring_losses(network(blurry), sharp, mask)
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        errors.append(float((network(blurry).restored.detach() - sharp).square().mean()))
    assert errors[-1] < 0.5 * float((blurry - sharp).square().mean()) < errors[0]


def test_names_of_tensors_are_those_of_one_level_and_of_the_levels_below_it() -> None:
    one, three = (CDGNet(ModelConfig.preset("tiny", name)).state_dict() for name in ("dmphn-1", "dmphn-1-2-4"))
    encoder = [name for name in one if name.startswith("encoder.")]
    decoder = [name.removeprefix("branches.plain.") for name in one if name.startswith("branches.plain.")]
    assert list(three) == [*one, *(f"levels.{level}.{name}" for level in "23" for name in (*encoder, *decoder))]
