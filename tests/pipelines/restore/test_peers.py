"""Networks of other projects, from the files that they publish to restored frames."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from peer_networks import ARCHITECTURES, some_slow, write
from safetensors.torch import save_file
from torch import Tensor

from cdgnet import CDGNet, ModelConfig, WeightsError, save_weights
from pipelines.errors import InputError
from pipelines.restore import footprint, networks, peers, restorer
from pipelines.restore.peers import PeerNetwork
from pipelines.restore.restorer import Restorer

spandrel = pytest.importorskip("spandrel")

LEVEL = 1 / 255
CPU = Fabric(accelerator="cpu", devices=1)


def frame_of(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def by_the_library(path: Path, frame: Tensor) -> Tensor:
    """What spandrel itself makes of a file and a frame in [0, 1]."""
    content = torch.load(path, weights_only=True)
    descriptor = spandrel.ModelLoader().load_from_state_dict(content)
    restored: Tensor = descriptor(frame)
    return restored


def load(folder: Path, name: str) -> PeerNetwork:
    network = networks.load(write(folder, name))
    assert isinstance(network, PeerNetwork)
    return network


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("name", some_slow(ARCHITECTURES))
def test_a_published_network_restores_a_frame_of_any_size_as_its_library_does(tmp_path: Path, name: str) -> None:
    path, frame = write(tmp_path, name), frame_of(37, 51)
    restored = Restorer(networks.load(path), CPU)(frame - 0.5) + 0.5
    wanted = by_the_library(path, frame)
    assert float((wanted - frame).abs().mean()) > 5 * LEVEL  # it does something
    torch.testing.assert_close(restored, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["NAFNet", "FFTformer"])
def test_half_precision_stays_within_some_grey_levels(tmp_path: Path, name: str) -> None:
    frame = frame_of(40, 40) - 0.5
    exact = Restorer(load(tmp_path, name), CPU)(frame)
    half = Restorer(load(tmp_path, name), Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"))(frame)
    assert half.dtype == torch.float32
    assert 0 < float((half - exact).abs().max()) < 4 * LEVEL


def test_each_frame_of_a_batch_is_restored_alone(tmp_path: Path) -> None:
    network, frames = load(tmp_path, "NAFNet"), frame_of(32, 40, batch=2) - 0.5
    together = Restorer(network, CPU)(frames)
    torch.testing.assert_close(together[1:], Restorer(network, CPU)(frames[1:]), rtol=0, atol=1e-6)


@dataclass
class Sizes:
    """What ``padded`` and ``forward`` of a network see."""

    multiple: int

    def get_padding(self, width: int, height: int) -> tuple[int, int]:
        return -width % self.multiple, -height % self.multiple


class Average(torch.nn.Module):
    """A frame and its mean, which the whole frame decides."""

    def forward(self, frame: Tensor) -> Tensor:
        return frame + frame.mean(dim=(-2, -1), keepdim=True)


class Local(torch.nn.Conv2d):
    """A network that looks no farther than 9 pixels."""

    def __init__(self) -> None:
        super().__init__(3, 3, 19, padding=9, padding_mode="replicate", bias=False)
        torch.nn.init.uniform_(self.weight, 0, 2 / (3 * 19**2), generator=torch.Generator().manual_seed(0))


class Descriptor:
    """A network as spandrel describes it."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model, self.name, self.tags = model, "own", ["19"]
        self.architecture, self.size_requirements = self, Sizes(1)

    def __call__(self, frame: Tensor) -> Tensor:
        restored: Tensor = self.model(frame)
        return restored


@pytest.mark.parametrize("size", [(400, 431), (64, 700), (701, 65)])
def test_tiles_give_the_whole_where_the_network_looks_no_farther_than_their_halo(size: tuple[int, int]) -> None:
    network = PeerNetwork(Descriptor(Local()))  # type: ignore[arg-type]
    frame = frame_of(*size) - 0.5
    shares: list[float] = []
    tiled = peers.restore(network, frame, tile=64, on_tile=shares.append)
    assert len(shares) > 1
    assert shares[-1] == 1
    torch.testing.assert_close(tiled, network(frame), rtol=0, atol=1e-5)


def test_tiles_of_a_network_that_averages_meet_without_a_seam() -> None:
    network = PeerNetwork(Descriptor(Average()))  # type: ignore[arg-type]
    light = torch.linspace(0, 1, 900).expand(1, 3, 96, 900) - 0.5
    change = peers.restore(network, light, tile=128) - network(light)
    assert float(change.max() - change.min()) > 100 * LEVEL  # the tiles' own means
    assert float(change.diff(dim=-1).abs().max()) < 0.6 * LEVEL


def test_the_multiply_accumulates_are_those_of_the_convolutions(tmp_path: Path) -> None:
    network = load(tmp_path, "NAFNet")
    counted = 0

    def count(layer: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal counted
        counted += layer.weight.numel() * output.shape[-2] * output.shape[-1]  # type: ignore[operator]

    handles = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    network(frame_of(64, 96))
    for handle in handles:
        handle.remove()
    assert footprint.measure(network, 64, 96).multiply_accumulates == counted


def test_the_memory_of_a_frame_grows_with_its_pixels_and_holds_what_is_alive_at_once() -> None:
    chain = torch.nn.Sequential(*(torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(9)))
    # Two neighbours of the chain live at once, in float32, whatever its length.
    assert footprint.measure(chain, 100, 200).bytes == 2 * 3 * 100 * 200 * 4
    assert footprint.measure(chain, 200, 200).bytes == 2 * 3 * 200 * 200 * 4


class Choosy(torch.nn.Module):
    """A network that looks at values, which shapes do not have."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 3, 1)

    def forward(self, frame: Tensor) -> Tensor:
        return self.layer(frame) if float(frame.sum()) >= 0 else frame


def test_a_network_that_looks_at_values_is_measured_on_a_small_frame() -> None:
    assert footprint.measure(Choosy(), 256, 512).multiply_accumulates == 9 * 256 * 512


@pytest.mark.slow
def test_measuring_leaves_the_weights_where_they_are(tmp_path: Path) -> None:
    network = load(tmp_path, "MPRNet")  # which uses one activation in many places
    before = {name: value.clone() for name, value in network.state_dict().items()}
    footprint.measure(network, 64, 64)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_frame_is_cut_where_memory_is_short_and_only_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load(tmp_path, "NAFNet")
    need = footprint.measure(network, 512, 512).bytes
    monkeypatch.setattr(restorer, "free_memory", lambda device: 2 * need)
    assert Restorer(network, CPU).tile + 2 * peers.HALO == pytest.approx(512, abs=2)


def test_frames_that_must_be_whole_are_refused_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, frame = load(tmp_path, "NAFNet"), frame_of(300, 400) - 0.5
    exact = Restorer(network, CPU, is_whole=True)
    monkeypatch.setattr(restorer, "free_memory", lambda device: footprint.measure(network, 300, 400).bytes)
    torch.testing.assert_close(exact(frame), network(frame), rtol=0, atol=0)
    short = Restorer(network, CPU, is_whole=True)
    monkeypatch.setattr(restorer, "free_memory", lambda device: footprint.measure(network, 300, 399).bytes)
    with pytest.raises(
        InputError, match=r"NAFNet, 8w needs [\d.]+ [kM]B for a frame of 400 x 300 pixels, .*; use --tile 512"
    ):
        short(frame)


class Evil:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch evil",)


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    for write_evil in (lambda: torch.save({"params": Evil()}, path), lambda: path.write_bytes(pickle.dumps(Evil()))):
        write_evil()
        with pytest.raises(WeightsError, match=r"evil\.pth (contains more than tensors|is damaged)"):
            networks.load(path)
        assert not (tmp_path / "evil").exists()


def test_whole_networks_in_a_pickle_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "network.pth"
    torch.save(torch.nn.Conv2d(3, 3, 3), path)
    with pytest.raises(WeightsError, match=r"code in it is never run; save only its state_dict\(\)"):
        networks.load(path)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, part: float) -> None:
    path = write(tmp_path, "NAFNet")
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(WeightsError, match=r"NAFNet\.pth is (damaged|not a weights file)"):
        networks.load(path)


def test_weights_of_no_known_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"layer.weight": torch.zeros(3)}, path)
    with pytest.raises(
        WeightsError, match="does not know the architecture of these weights; pass weights of cdg-train"
    ):
        networks.load(path)


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {1: torch.zeros(3)}, 7])
def test_a_pickle_that_holds_no_tensors_by_name_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match="not tensors by name; save its state_dict"):
        networks.load(path)


def test_a_network_that_enlarges_pictures_is_refused(tmp_path: Path) -> None:
    from spandrel.architectures.Compact import Compact

    path = tmp_path / "sr.pth"
    torch.save({"params": Compact(num_feat=8, num_conv=2, upscale=4).state_dict()}, path)
    with pytest.raises(WeightsError, match=r"SR, 3 to 3 channels, scale 4; pass a network that takes RGB"):
        networks.load(path)


def test_weights_with_a_missing_tensor_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "NAFNet")
    content = torch.load(path, weights_only=True)
    del content["params"]["encoders.0.0.conv3.weight"]
    torch.save(content, path)
    with pytest.raises(WeightsError, match="is damaged, or a variant"):
        networks.load(path)


def test_safetensors_of_another_project_are_read(tmp_path: Path) -> None:
    pickled, path = write(tmp_path, "NAFNet"), tmp_path / "nafnet.safetensors"
    save_file(torch.load(pickled, weights_only=True)["params"], path)
    frame = frame_of(32, 32) - 0.5
    torch.testing.assert_close(networks.load(path)(frame), networks.load(pickled)(frame), rtol=0, atol=0)


def test_our_own_weights_stay_ours(tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    save_weights(path, CDGNet(ModelConfig.preset("tiny")), {})
    assert isinstance(networks.load(path), CDGNet)


@pytest.mark.slow
def test_a_compiled_network_restores_the_same(tmp_path: Path) -> None:
    frame = frame_of(32, 48) - 0.5
    plain = Restorer(load(tmp_path, "NAFNet"), CPU)(frame)
    fast = Restorer(load(tmp_path, "NAFNet"), CPU, is_compiled=True)(frame)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-4)  # float32: fused operations round in another order


def test_safetensors_are_told_from_pickles_whatever_the_length_of_their_header(tmp_path: Path) -> None:
    """The header's length comes first, and may look like the beginning of a pickle."""
    network, firsts = CDGNet(ModelConfig.preset("tiny")), set()
    for length in range(0, 256, 8):
        path = tmp_path / f"{length}.safetensors"
        save_weights(path, network, {"name": "x" * length})
        firsts.add(path.read_bytes()[0])
        assert networks.is_ours(path)
    assert 0x80 in firsts


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "NAFNet")
    content = torch.load(path, weights_only=True)
    content["params"]["intro.weight"][0, 0, 0, 0] = torch.nan
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"cannot be used: intro\.weight .*nan or inf; download"):
        networks.load(path)


def test_a_small_file_that_claims_large_tensors_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "NAFNet")
    content = torch.load(path, weights_only=True)
    content["params"]["intro.weight"] = torch.zeros(1).expand(100_000, 3, 3, 3)
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"intro\.weight is larger than its data in the file"):
        networks.load(path)


@pytest.mark.parametrize("length", [50, 733, 5000])
def test_a_file_of_an_early_torch_that_is_cut_off_is_named(tmp_path: Path, length: int) -> None:
    path = write(tmp_path, "NAFNet")
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match=r"NAFNet\.pth (is damaged|contains more than tensors)"):
        networks.load(path)
