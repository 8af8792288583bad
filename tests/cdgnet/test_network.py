"""The network: sizes, parameter counts, what a new one does, and what its parts promise."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cdgnet import PRESETS, VARIANTS, CDGNet, Components, ModelConfig, deblurring_losses
from cdgnet.attention import ComponentAttention
from cdgnet.decoder import DeformableLayer, large_decoder, small_decoder
from cdgnet.encoder import Encoder, Features, ResBlock, ResidualDenseBlock
from cdgnet.fusion import DiagonalConv, DivisionGate, OrientationFusion

TINY = ModelConfig.preset("tiny")
LITERAL = ModelConfig(**{**vars(TINY), "residual": False})


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def frames(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0)) - 0.5


def trained(config: ModelConfig) -> CDGNet:
    """A network whose every weight, offsets and heads included, has left its start."""
    torch.manual_seed(1)
    network = CDGNet(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize(("name", "parameters"), [("paper", 6_374_729), ("light", 2_875_937)])
def test_a_preset_has_the_parameters_of_its_table(name: str, parameters: int) -> None:
    assert count(CDGNet(ModelConfig.preset(name))) == parameters


def test_the_parts_of_paper_have_the_parameters_of_their_tables() -> None:
    network = CDGNet(ModelConfig.preset("paper"))
    assert count(network.encoder) == 3_800_304
    assert {name: (count(branch.attention), count(branch.decoder)) for name, branch in network.branches.items()} == {
        "small": (233_845, 1_264_357),
        "large": (233_845, 813_831),
    }
    assert network.fusion is not None and count(network.fusion) == 28_547


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_starts_as_the_identity_or_grey_learns_and_keeps_the_size(variant: str) -> None:
    torch.manual_seed(0)
    network, blurry = CDGNet(ModelConfig.preset("tiny", variant)), frames(18, 22)
    components = network(blurry)
    has_both = network.config.branches == "both"
    assert torch.equal(components.restored, blurry if network.config.residual else torch.zeros_like(blurry))
    assert (components.small is not None, components.large is not None) == (has_both, has_both)

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    losses = deblurring_losses(network(blurry), -blurry, (blurry[:, :1] > 0).to(torch.uint8))
    losses.total.backward()
    silent = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent == []
    if not has_both:  # trained with equation 13 alone
        assert torch.equal(losses.total, losses.restored)


def test_a_variant_of_one_branch_has_no_map_that_it_lacks() -> None:
    maps = {}
    for attention in ("both", "channel", "spatial", "none"):
        config = replace(ModelConfig.preset("tiny", "large-branch"), attention=attention)
        maps[attention] = CDGNet(config)(frames(16, 16)).large_attention is not None
    assert maps == {"both": True, "channel": False, "spatial": True, "none": False}


def test_dmphn_has_no_skips() -> None:
    torch.manual_seed(0)
    skips = Features(torch.randn(1, 8, 16, 16), torch.randn(1, 16, 8, 8), torch.randn(1, 32, 4, 4))
    without = skips._replace(full=skips.full + 1, half=skips.half + 1)
    for variant, is_changed in (("dmphn-ld", False), ("large-branch", True)):
        branch = CDGNet(ModelConfig.preset("tiny", variant)).branches["large"]
        assert torch.equal(branch(skips).features, branch(without).features) is not is_changed


@settings(max_examples=12, deadline=None)
@given(height=st.integers(16, 40), width=st.integers(16, 40))
def test_any_size_in_gives_the_same_size_out(height: int, width: int) -> None:
    with torch.no_grad():
        components = CDGNet(replace(TINY, fusion="divided"))(frames(height, width))
    image, quarter = (1, 3, height, width), (1, 1, -(-height // 4), -(-width // 4))
    assert [tuple(part.shape) for part in components if part is not None] == [image] * 3 + [quarter] * 3


def test_a_new_residual_network_is_the_identity() -> None:
    blurry = frames(21, 18)
    components = CDGNet(TINY)(blurry)
    assert all(torch.equal(image, blurry) for image in components[:3])


def test_a_new_literal_network_is_not_the_identity() -> None:
    blurry = frames(16, 16)
    assert not torch.allclose(CDGNet(LITERAL)(blurry).restored, blurry, atol=1e-2)


def test_residual_adds_the_blurry_frame_to_every_image_and_nothing_else() -> None:
    blurry = frames(18, 22)
    literal, residual = trained(LITERAL), CDGNet(TINY).eval()
    residual.load_state_dict(literal.state_dict())
    with torch.no_grad():
        changes, images = literal(blurry), residual(blurry)
    for change, image in zip(changes[:3], images[:3], strict=True):
        # One addition of numbers near 1 in float32.
        torch.testing.assert_close(image, blurry + change, rtol=0, atol=1e-6)


def test_padding_is_repeating_the_last_row_and_column() -> None:
    network, blurry = trained(TINY), frames(17, 18)
    by_hand = functional.pad(blurry, (0, 2, 0, 3), mode="replicate")
    with torch.no_grad():
        found, wanted = network(blurry).restored, network(by_hand).restored[..., :17, :18]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    network, pair = trained(replace(TINY, fusion="divided")), frames(20, 20, batch=2)
    with torch.no_grad():
        together = network(pair)
        alone = [network(pair[index : index + 1]) for index in range(2)]
    for index, part in enumerate(together):
        # Convolutions of another batch size may sum in another order.
        torch.testing.assert_close(part, torch.cat([each[index] for each in alone]), rtol=1e-4, atol=1e-5)


def test_nothing_is_clamped() -> None:
    components = trained(LITERAL)(frames(16, 16) * 40)
    assert float(components.restored.detach().abs().max()) > 0.5


def test_attention_maps_lie_between_zero_and_one() -> None:
    with torch.no_grad():
        components = trained(TINY)(frames(24, 24))
    for spatial in (components.small_attention, components.large_attention):
        assert spatial is not None
        assert 0 < float(spatial.min()) <= float(spatial.max()) < 1


def test_every_parameter_that_counts_learns() -> None:
    network = trained(TINY)
    blurry = frames(16, 16)
    mask = (blurry[:, :1] > 0).to(torch.uint8)
    deblurring_losses(network(blurry), -blurry, mask).total.backward()
    silent = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


def test_the_channel_attention_of_every_preset_has_as_many_inner_units_as_the_papers() -> None:
    configs = [ModelConfig.preset(name) for name in PRESETS]
    assert {config.widths[2] // config.attention_reduction for config in configs} == {8}


def test_it_runs_under_bfloat16_autocast() -> None:
    network, blurry = trained(TINY), frames(24, 20)
    with torch.no_grad():
        wanted = network(blurry).restored
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(blurry).restored
    assert found.dtype == torch.float32
    # bfloat16 keeps 8 bits, and the changes are below 1.
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("blurry", "message"),
    [
        (torch.zeros(3, 32, 32), r"blurry is \(3, 32, 32\); it must be \(B, 3, H, W\)"),
        (torch.zeros(1, 1, 32, 32), r"blurry is \(1, 1, 32, 32\); it must be"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "blurry is uint8; it must be float in"),
        (torch.zeros(1, 3, 15, 32), "blurry is 32 x 15 pixels; it must be at least 16 x 16"),
    ],
)
def test_what_is_no_batch_of_frames_is_refused(blurry: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CDGNet(TINY)(blurry)


def test_components_keep_their_order() -> None:
    assert Components._fields == ("restored", "small", "large", "small_attention", "large_attention", "share")


def test_only_the_taps_on_its_diagonal_count_in_a_diagonal_convolution() -> None:
    for is_main in (True, False):
        layer = DiagonalConv(2, 3, is_main=is_main)
        layer(torch.randn(1, 2, 6, 6)).square().sum().backward()
        counting = torch.eye(3, dtype=torch.bool) if is_main else torch.eye(3, dtype=torch.bool).flip(0)
        assert layer.weight.grad is not None
        assert not layer.weight.detach()[..., ~counting].any()
        assert not layer.weight.grad[..., ~counting].any()
        assert layer.weight.grad[..., counting].all()


def test_weights_off_the_diagonal_change_nothing() -> None:
    layer, features = DiagonalConv(2, 3, is_main=True), torch.randn(1, 2, 6, 6)
    before = layer(features)
    with torch.no_grad():
        layer.weight[..., 0, 2] += 7.0
    assert torch.equal(layer(features), before)


def test_the_two_diagonals_are_mirror_images() -> None:
    main, anti = DiagonalConv(2, 3, is_main=True), DiagonalConv(2, 3, is_main=False)
    with torch.no_grad():
        anti.weight.copy_(main.weight.flip(-1))
        assert main.bias is not None and anti.bias is not None
        anti.bias.copy_(main.bias)
    features = torch.randn(1, 2, 7, 7)
    torch.testing.assert_close(anti(features.flip(-1)).flip(-1), main(features), rtol=1e-5, atol=1e-6)


def test_fusion_treats_its_branches_with_weights_of_their_own() -> None:
    fusion = OrientationFusion(TINY)
    one, other = torch.randn(2, 1, TINY.widths[0], 6, 6)
    assert not torch.allclose(fusion(one, other), fusion(other, one))


def test_attention_is_equation_4() -> None:
    torch.manual_seed(0)
    attention = ComponentAttention(TINY)
    features = torch.randn(2, TINY.widths[2], 6, 5)
    found = attention(features)
    by_channel = attention.channel(features)
    wanted = features * by_channel * attention.spatial(features * by_channel) + features
    torch.testing.assert_close(found.features, wanted)


def test_blocks_start_from_their_input() -> None:
    features = torch.randn(1, 8, 6, 6)
    blocks = (ResBlock(8), DeformableLayer(8, 2), ResidualDenseBlock(8, 4))
    last_layers = (blocks[0].body[-1], blocks[1].body[-1], blocks[2].join)
    for block, last in zip(blocks, last_layers, strict=True):
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        assert torch.equal(block(features), features)


def test_the_encoder_gives_features_at_three_resolutions() -> None:
    features = Encoder(TINY)(frames(16, 24))
    assert [tuple(each.shape[1:]) for each in features] == [(8, 16, 24), (16, 8, 12), (32, 4, 6)]


@pytest.mark.parametrize("make", [large_decoder, small_decoder])
def test_a_decoder_adds_the_skips_after_each_step_up(make: object) -> None:
    torch.manual_seed(0)
    decoder = large_decoder(TINY) if make is large_decoder else small_decoder(TINY)
    skips = Features(torch.randn(1, 8, 16, 16), torch.randn(1, 16, 8, 8), torch.randn(1, 32, 4, 4))
    half = decoder.to_half(decoder.quarter_blocks(skips.quarter)) + skips.half
    wanted = decoder.full_blocks(decoder.to_full(decoder.half_blocks(half)) + skips.full)
    torch.testing.assert_close(decoder(skips.quarter, skips), wanted)


def test_the_decoders_hold_the_blocks_of_figure_6() -> None:
    large, small = large_decoder(TINY).half_blocks, small_decoder(TINY).half_blocks
    assert [type(block) for block in large.children()] == [DeformableLayer, DeformableLayer]
    assert [type(block) for block in small.children()] == [ResBlock, ResBlock, DeformableLayer]


def make_divided() -> CDGNet:
    torch.manual_seed(0)
    return CDGNet(replace(ModelConfig.preset("tiny"), fusion="divided")).eval()


def test_a_new_network_of_divided_fusion_is_the_identity() -> None:
    blurry = torch.rand(1, 3, 21, 34) - 0.5
    assert torch.equal(make_divided()(blurry).restored, blurry)


def test_divided_fusion_takes_the_small_branch_where_the_gate_is_open_and_the_fused_image_elsewhere() -> None:
    network = make_divided()
    torch.nn.init.constant_(network.branches["small"].decoder.head.bias, 0.3)
    torch.nn.init.constant_(network.fusion.head.bias, -0.2)
    # Open in the left half of the frame.
    network.gate.forward = lambda features: (torch.arange(16) < 8).float().expand(1, 1, 4, 16)
    blurry = torch.zeros(1, 3, 16, 64)
    with torch.no_grad():
        restored = network(blurry).restored
    # Bilinear between the cells on both sides of the middle.
    torch.testing.assert_close(restored[..., :30], torch.full((1, 3, 16, 30), 0.3), rtol=0, atol=1e-6)
    torch.testing.assert_close(restored[..., 34:], torch.full((1, 3, 16, 30), -0.2), rtol=0, atol=1e-6)
    assert torch.equal(network.train()(blurry).restored, torch.full((1, 3, 16, 64), -0.2))


def test_a_gate_changes_nothing_in_the_training_of_the_rest() -> None:
    images, mask = frames(32, 32, batch=2), torch.ones(2, 1, 32, 32)
    gradients = []
    for fusion in ("orientation", "divided"):
        torch.manual_seed(0)
        network = CDGNet(replace(TINY, fusion=fusion)).train()
        deblurring_losses(network(images), images.flip(-1), mask, component_loss="region").total.backward()
        gradients.append({name: weight.grad for name, weight in network.named_parameters()})
    gate = {name: gradient for name, gradient in gradients[1].items() if name not in gradients[0]}
    assert gate and all(name.startswith("gate.") and gradient.any() for name, gradient in gate.items())
    assert all(torch.equal(gradients[1][name], gradient) for name, gradient in gradients[0].items())


def test_the_gate_looks_at_ratios_of_energies_not_at_contrast() -> None:
    torch.manual_seed(0)
    features = [
        torch.rand(1, width, 32 // size, 40 // size) + 0.5 for width, size in zip(TINY.widths, (1, 2, 4), strict=True)
    ]
    gate = DivisionGate(TINY)
    first = gate.body[0]
    with torch.no_grad():
        first.weight -= first.weight.mean(dim=1, keepdim=True)  # looks at differences of logarithms alone
        given = gate(Features(*features))
        fainter = gate(Features(*(level / 4 for level in features)))
    assert given.shape == (1, 1, 8, 10) and float(given.std()) > 1e-3
    # Away from the border, where zeros are seen beside the features.
    torch.testing.assert_close(fainter[..., 2:-2, 2:-2], given[..., 2:-2, 2:-2], rtol=1e-4, atol=1e-5)


def test_divided_fusion_needs_two_branches() -> None:
    with pytest.raises(ValueError, match="fusion is divided with branches large; make it none"):
        replace(ModelConfig.preset("tiny", "large-branch"), fusion="divided")


def test_a_gate_of_16_bit_weights_takes_features_of_16_bits() -> None:
    gate = DivisionGate(TINY)
    levels = [torch.rand(1, width, 32 // 2**level, 32 // 2**level) for level, width in enumerate(TINY.widths)]
    wanted = gate(Features(*levels))
    found = gate.to(torch.bfloat16)(Features(*(level.to(torch.bfloat16) for level in levels)))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=0, atol=0.02)  # eight bits, through two convolutions
