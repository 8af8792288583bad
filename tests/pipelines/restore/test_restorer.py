"""A trained network at work on a device."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from cdgnet import CDGNet, ModelConfig
from cdgnet.fusion import OrientationFusion
from pipelines.restore import restorer
from pipelines.restore.restorer import Restorer

GPU = pytest.param("cuda", marks=pytest.mark.gpu)


def make_network(*, residual: bool = True) -> CDGNet:
    """Random weights whose convolutions give 0.05 in the mean, as trained ones do."""
    torch.manual_seed(0)
    network = CDGNet(replace(ModelConfig.preset("tiny"), residual=residual))
    assert isinstance(network.fusion, OrientationFusion)
    torch.nn.init.normal_(network.fusion.head.weight, std=0.005)
    return network


def make_frame(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(seed)) - 0.5


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("device", ["cpu", GPU])
def test_half_precision_gives_float32_frames_within_a_grey_level(device: str, residual: bool) -> None:
    network = make_network(residual=residual)
    exact, half = (
        Restorer(network, Fabric(accelerator=device, devices=1, precision=precision))(make_frame()).cpu()
        for precision in ("32-true", "bf16-mixed")
    )
    assert half.dtype == torch.float32
    assert 0 < float((half - exact).abs().max()) < 1 / 255


def test_tiles_give_the_result_of_the_whole() -> None:
    network, fabric = make_network(), Fabric(accelerator="cpu", devices=1)
    torch.manual_seed(0)
    frame = torch.rand(1, 3, 32, 400) - 0.5
    whole = Restorer(network, fabric)(frame)
    # float32: sums of other lengths, in another order.
    torch.testing.assert_close(Restorer(network, fabric, tile=64)(frame), whole, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", GPU])
def test_a_compiled_network_restores_the_same_and_keeps_earlier_frames(device: str) -> None:
    fabric = Fabric(accelerator=device, devices=1)
    plain, fast = Restorer(make_network(), fabric), Restorer(make_network(), fabric, is_compiled=True)
    first = fast(make_frame(0))
    second = fast(make_frame(1))
    # float32: fused operations round in another order.
    torch.testing.assert_close(first, plain(make_frame(0)), rtol=0, atol=1e-4)
    torch.testing.assert_close(second, plain(make_frame(1)), rtol=0, atol=1e-4)


def test_the_ensemble_is_the_mean_over_the_eight_orientations() -> None:
    network, fabric, frame = make_network(), Fabric(accelerator="cpu", devices=1), make_frame()
    single = Restorer(network, fabric)
    wanted = torch.zeros_like(frame)
    for quarters in range(4):
        for is_mirrored in (False, True):
            seen = torch.rot90(frame.flip(-1) if is_mirrored else frame, quarters, (-2, -1))
            back = torch.rot90(single(seen), -quarters, (-2, -1))
            wanted += (back.flip(-1) if is_mirrored else back) / 8

    restored = Restorer(network, fabric, is_ensemble=True)(frame)

    torch.testing.assert_close(restored, wanted, rtol=0, atol=1e-6)
    assert float((restored - single(frame)).abs().max()) > 1e-3


def test_the_components_of_an_ensemble_are_of_the_upright_frame_and_the_result_is_the_mean() -> None:
    network, fabric, frame = make_network(), Fabric(accelerator="cpu", devices=1), make_frame()
    passes: list[int] = []
    network.register_forward_hook(lambda *_: passes.append(1))

    components = Restorer(network, fabric, is_ensemble=True).components(frame)

    assert len(passes) == 8
    assert torch.equal(components.restored, Restorer(network, fabric, is_ensemble=True)(frame))
    upright = Restorer(network, fabric).components(frame)
    assert components.small is not None and upright.small is not None
    assert torch.equal(components.small, upright.small)


def test_the_ensemble_of_a_frame_turned_is_its_ensemble_turned() -> None:
    restorer = Restorer(make_network(), Fabric(accelerator="cpu", devices=1), is_ensemble=True)
    turned = torch.rot90(make_frame(), 1, (-2, -1))
    torch.testing.assert_close(restorer(turned), torch.rot90(restorer(make_frame()), 1, (-2, -1)), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("is_ensemble", [False, True])
def test_strength_multiplies_the_change_of_the_network_and_leaves_its_other_outputs(is_ensemble: bool) -> None:
    network, fabric, frame = make_network(), Fabric(accelerator="cpu", devices=1), make_frame()
    usual = Restorer(network, fabric, is_ensemble=is_ensemble)
    restored, components = usual(frame), usual.components(frame)
    assert float((restored - frame).abs().max()) > 0.01

    for strength in (0.5, 1.0, 2.5):
        other = Restorer(network, fabric, is_ensemble=is_ensemble, strength=strength)
        torch.testing.assert_close(other(frame), frame + strength * (restored - frame), rtol=0, atol=1e-6)
        assert torch.equal(other.components(frame).restored, other(frame))
        assert components.small is not None and torch.equal(other.components(frame).small, components.small)


@pytest.mark.parametrize(("memory", "batch", "tile"), [(0, 1, 128), (2 * 10**9, 1, 1376), (2 * 10**9, 4, 544)])
def test_a_tile_is_as_large_as_memory_allows(memory: int, batch: int, tile: int) -> None:
    network = CDGNet(ModelConfig.preset("tiny"))  # 720 bytes a pixel, 144 pixels of halo at every side
    side = restorer.fitting_tile(network, torch.device("cuda"), memory, batch)
    assert side == tile
    assert memory == 0 or batch * 720 * (side + 2 * 144) ** 2 <= memory < batch * 720 * (side + 4 + 2 * 144) ** 2


def test_no_memory_is_asked_for_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []

    def full(network: CDGNet, blurry: torch.Tensor, *, tile: int, on_tile: None) -> torch.Tensor:
        sides.append(tile)
        if tile > 300:
            raise torch.OutOfMemoryError
        return blurry

    monkeypatch.setattr("cdgnet.tiling.restore", full)
    restorer = Restorer(make_network(), Fabric(accelerator="cpu", devices=1))
    restorer.tile = 1024
    restorer(make_frame())
    restorer(make_frame())
    assert sides == [1024, 512, 256, 256]
    with pytest.raises(torch.OutOfMemoryError):
        Restorer(make_network(), Fabric(accelerator="cpu", devices=1), tile=512)(make_frame())


def test_the_progress_of_an_ensemble_is_that_of_its_eight_passes() -> None:
    shares: list[float] = []
    restorer = Restorer(make_network(), Fabric(accelerator="cpu", devices=1), is_ensemble=True)

    restored = restorer(make_frame(), shares.append)

    assert shares == [place / 8 for place in range(1, 9)]
    assert torch.equal(restored, restorer(make_frame()))
