"""Our weights in programs that load networks by spandrel: the same pictures, whatever the network and the file."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cdgnet import PRETRAINED, VARIANTS, CDGNet, ModelConfig, WeightsError, load_weights, save_weights
from cdgnet.recognition import SWITCHES
from cdgnet.tiling import restore

spandrel = pytest.importorskip("spandrel", reason="pip install 'cdgnet[peers]'")
arch = importlib.import_module("cdgnet.spandrel_arch")

TINY = ModelConfig.preset("tiny")
DIVIDED = replace(TINY, fusion="divided")
PLAIN, LARGE, CONCAT = (ModelConfig.preset("tiny", each) for each in ("dmphn-1", "large-branch", "two-branch-concat"))


def variant_of(config: ModelConfig) -> str:
    return config.variant


def learned(config: ModelConfig) -> CDGNet:
    torch.manual_seed(0)
    network = CDGNet(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape))
    return network


def images(height: int = 21, width: int = 30, count: int = 2) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def ours(path: Path, frames: Tensor) -> Tensor:
    return (restore(load_weights(path), frames - 0.5) + 0.5).clamp(0, 1)


def peer(path: Path) -> "spandrel.ImageModelDescriptor[CDGNet]":
    return spandrel.ModelLoader().load_from_file(path)


def saved(network: CDGNet, folder: Path, *, is_half: bool = False) -> Path:
    path = folder / "weights.safetensors"
    save_weights(path, network, {}, overwrite=True, is_half=is_half)
    return path


def without(path: Path, *names: str) -> Path:
    """The file as a release wrote it that knew nothing of these tensors."""
    kept = {name: tensor for name, tensor in load_file(path).items() if name not in names}
    save_file(kept, path.with_name("old.safetensors"))
    return path.with_name("old.safetensors")


@pytest.mark.parametrize(
    "config", [PLAIN, LARGE, CONCAT, TINY, DIVIDED, replace(PLAIN, shrinkage=20.0)], ids=variant_of
)
def test_a_file_gives_by_spandrel_what_it_gives_here(config: ModelConfig, tmp_path: Path) -> None:
    path, frames = saved(learned(config), tmp_path), images()

    model = peer(path)
    found = model(frames)

    assert isinstance(model, spandrel.ImageModelDescriptor) and model.tags == [config.variant, "8w"]
    torch.testing.assert_close(found, ours(path, frames), rtol=0, atol=1e-6)
    assert (found - frames).abs().max() > 0.01


def test_a_file_of_16_bit_weights_gives_what_it_gives_here(tmp_path: Path) -> None:
    path, frames = saved(learned(TINY), tmp_path, is_half=True), images()
    torch.testing.assert_close(peer(path)(frames), ours(path, frames), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (9, 5)])
def test_the_weights_of_the_package_give_the_same_at_any_size(size: tuple[int, int]) -> None:
    frames = images(*size)
    torch.testing.assert_close(peer(PRETRAINED)(frames), ours(PRETRAINED, frames), rtol=0, atol=1e-6)


def test_a_network_that_is_not_residual_stays_so(tmp_path: Path) -> None:
    path, frames = saved(learned(replace(TINY, residual=False)), tmp_path), images()
    torch.testing.assert_close(peer(path)(frames), ours(path, frames), rtol=0, atol=1e-6)


@pytest.mark.parametrize("skips", [False, True])
def test_one_branch_without_attention_keeps_or_lacks_its_skips(skips: bool, tmp_path: Path) -> None:
    path = saved(learned(replace(LARGE, attention="none", skips=skips)), tmp_path)
    frames = images()

    found = peer(path)

    assert found.model.config.skips == skips
    torch.testing.assert_close(found(frames), ours(path, frames), rtol=0, atol=1e-6)


def test_a_file_that_cannot_tell_its_skips_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = saved(learned(replace(LARGE, attention="none")), tmp_path)
    with pytest.raises(WeightsError, match=r"do not show .* \(skips\).* save_weights\(NEW, load_weights\(OLD\), \{\}"):
        peer(without(path, SWITCHES))


def test_only_a_file_that_needs_it_holds_more_than_the_network(tmp_path: Path) -> None:
    network = learned(TINY)
    assert set(load_file(saved(network, tmp_path))) == set(network.state_dict())
    assert SWITCHES in load_file(saved(learned(replace(TINY, residual=False)), tmp_path))


def test_files_of_the_first_release_are_read_too(tmp_path: Path) -> None:
    path, frames = saved(learned(LARGE), tmp_path), images()
    old = tmp_path / "first.safetensors"
    save_file({name.replace("offset_conv", "guide"): tensor for name, tensor in load_file(path).items()}, old)
    torch.testing.assert_close(peer(old)(frames), ours(path, frames), rtol=0, atol=1e-6)


def test_a_file_whose_tensors_do_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    path = saved(learned(TINY), tmp_path)
    with pytest.raises(WeightsError, match=r"are not a CDGNet: fusion\.head\.bias is missing"):
        peer(without(path, "fusion.head.bias"))
    with pytest.raises(WeightsError, match=r"gate\.body\.0\.bias is missing"):
        spandrel.ModelLoader().load_from_state_dict(
            {**load_file(path), "gate.body.0.weight": torch.zeros(16, 56, 3, 3)}
        )


def test_importing_twice_registers_once() -> None:
    count = len(spandrel.MAIN_REGISTRY)
    importlib.reload(arch)
    assert len(spandrel.MAIN_REGISTRY) == count and "CDGNet" in spandrel.MAIN_REGISTRY


@pytest.mark.filterwarnings("ignore")  # of torch about spandrel_extra_arches
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_other_architecture_takes_our_network(variant: str) -> None:
    from spandrel_extra_arches import EXTRA_REGISTRY

    with torch.device("meta"):
        state = CDGNet(ModelConfig.preset("tiny", variant)).state_dict()
    for known in (*spandrel.MAIN_REGISTRY, *EXTRA_REGISTRY):
        assert known.detect(dict(state)) == (known.architecture.id == "CDGNet"), known.architecture.id


@pytest.mark.filterwarnings("ignore")  # of torch about spandrel_extra_arches
@pytest.mark.parametrize(
    ("module", "name", "options"),
    [
        ("spandrel.architectures.NAFNet", "NAFNet", {"width": 8, "enc_blk_nums": [1], "dec_blk_nums": [1]}),
        ("spandrel.architectures.DRUNet", "DRUNet", {"nc": [8, 8, 8, 8]}),
        ("spandrel.architectures.Uformer", "Uformer", {"embed_dim": 8}),
        ("spandrel.architectures.FFTformer", "FFTformer", {"dim": 8}),
        ("spandrel_extra_arches.architectures.MPRNet", "MPRNet", {"n_feat": 8}),
        ("spandrel_extra_arches.architectures.Restormer", "Restormer", {"dim": 8}),
    ],
)
def test_another_network_is_not_taken_for_ours(module: str, name: str, options: dict[str, object]) -> None:
    state = getattr(importlib.import_module(module), name)(**options).state_dict()
    assert not arch.CDGNetArch().detect(state)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_gives_nearly_the_same(kind: torch.dtype, tmp_path: Path) -> None:
    path, frames = saved(learned(DIVIDED), tmp_path), images()
    wanted = ours(path, frames)

    found = peer(path).to(kind)(frames.to(kind))

    assert found.dtype == kind
    error, change = (float(each.square().mean().sqrt()) for each in (found.float() - wanted, wanted - frames))
    # Measured: 0.3 % of the change with the eleven bits of float16, 2.3 % with the eight of bfloat16.
    assert error < (0.01 if kind == torch.float16 else 0.05) * change
