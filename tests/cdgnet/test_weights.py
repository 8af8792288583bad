"""Files of weights: bit-equal round trip, whole or not at all, and one clear line when they cannot be used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cdgnet import PRETRAINED, CDGNet, ModelConfig, WeightsError, load_weights, read_metadata, save_weights

TINY = ModelConfig.preset("tiny")


@pytest.fixture
def network() -> CDGNet:
    torch.manual_seed(0)
    network = CDGNet(TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.fixture
def saved(network: CDGNet, tmp_path: Path) -> Path:
    path = tmp_path / "network.safetensors"
    save_weights(path, network, {"step": "12"})
    return path


def test_a_clone_named_cdgnet_in_the_current_folder_does_not_hide_the_package(tmp_path: Path) -> None:
    (tmp_path / "cdgnet").mkdir()
    code = "import cdgnet; print(cdgnet.PRETRAINED)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == str(PRETRAINED), done.stderr


def rewrite(path: Path, drop: str = "", **changed: str) -> Path:
    """The same tensors beside another header."""
    header = {key: value for key, value in {**read_metadata(path), **changed}.items() if key != drop}
    other = path.with_name("rewritten.safetensors")
    save_file(load_file(path), other, metadata=header)
    return other


def test_a_network_comes_back_bit_by_bit(network: CDGNet, saved: Path) -> None:
    loaded = load_weights(saved)
    state = loaded.state_dict()
    assert loaded.config == TINY and not loaded.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_a_loaded_network_gives_the_same_image(network: CDGNet, saved: Path) -> None:
    blurry = torch.rand(1, 3, 17, 20) - 0.5
    with torch.no_grad():
        assert torch.equal(load_weights(saved)(blurry).restored, network(blurry).restored)


def test_a_loaded_network_can_be_trained(saved: Path) -> None:
    assert all(parameter.requires_grad for parameter in load_weights(saved).parameters())


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    before = torch.get_rng_state()
    load_weights(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_file_says_what_it_is(saved: Path) -> None:
    header = read_metadata(saved)
    assert json.loads(header.pop("config")) == TINY.to_dict()
    assert header == {
        "format": "cdgnet",
        "version": "1",
        "input_range": "[-0.5, 0.5]",
        "size_multiple": "4",
        "step": "12",
    }


def test_a_file_is_not_replaced_unasked(network: CDGNet, saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        save_weights(str(saved), network, {"step": "13"})
    assert saved.read_bytes() == before
    save_weights(saved, network, {"step": "13"}, overwrite=True)
    assert read_metadata(saved)["step"] == "13"
    assert read_metadata(str(saved)) == read_metadata(saved)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    network: CDGNet, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save_weights(saved, network, {}, overwrite=True)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def test_the_formats_own_names_are_refused_in_metadata(network: CDGNet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="metadata contains config, which the format reserves"):
        save_weights(tmp_path / "a.safetensors", network, {"config": "{}"})


@pytest.mark.parametrize("content", [b"", b"not tensors at all", b"\x80\x02}q\x00." * 40])
def test_what_is_no_safetensors_file_is_named_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "wrong.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"wrong\.safetensors is not a safetensors file"):
        load_weights(path)


def test_a_pickle_is_refused(network: CDGNet, tmp_path: Path) -> None:
    path = tmp_path / "network.pth"
    torch.save(network.state_dict(), path)
    with pytest.raises(WeightsError, match=r"not a safetensors file .* save_weights"):
        load_weights(path)


def test_a_truncated_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights(saved)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("drop", "changed", "message"),
    [
        ("config", {}, "contains no configuration"),
        ("format", {}, r"is not a weights file of cdgnet \(no format in its header\)"),
        ("", {"format": "spandrel"}, r"is not a weights file of cdgnet \(format 'spandrel' in"),
        (
            "",
            {"version": "2"},
            "has version '2', and this release reads version '1'; use the release that wrote the file",
        ),
        ("", {"config": "{]"}, "the configuration in it is invalid"),
        ("", {"config": "3"}, "the configuration in it is invalid: it is 3, not fields by name"),
        ("", {"config": '{"widths": 3}'}, "widths is 3; it must be three whole numbers"),
        ("", {"config": "[" * 100_000}, "the configuration in it is invalid: it is nested too deeply"),
        (
            "",
            {"config": json.dumps({**TINY.to_dict(), "fusion_width": 10**12})},
            "fusion_width is 1000000000000; it must be a whole number from 1 to 4096",
        ),
        ("", {"config": json.dumps({**TINY.to_dict(), "widths": [8, 16, 2**62]})}, "three whole numbers from 1 to"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(saved: Path, drop: str, changed: dict[str, str], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        load_weights(rewrite(saved, drop, **changed))


def test_a_config_of_another_network_does_not_fit_the_tensors(saved: Path) -> None:
    path = rewrite(saved, config=json.dumps(ModelConfig.preset("paper").to_dict()))
    with pytest.raises(WeightsError, match=r"bias is \(8,\), not \(32,\), .* and \d+ more; save the network"):
        load_weights(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "contains nan or inf"),
        (float("-inf"), "contains nan or inf"),
        (1e30, r"contains 1\.0e\+30; the limit is 1e\+06"),
    ],
)
def test_numbers_that_are_no_weights_are_refused_and_never_give_black_pictures(
    saved: Path, value: float, message: str
) -> None:
    tensors = load_file(saved)
    tensors["fusion.head.bias"][0] = value
    save_file(tensors, saved, metadata=read_metadata(saved))
    with pytest.raises(WeightsError, match=rf"fusion\.head\.bias {message}; save the network again"):
        load_weights(saved)


@pytest.mark.parametrize("kind", [torch.bool, torch.int8, torch.int64])
def test_tensors_that_are_no_floats_are_refused(saved: Path, kind: torch.dtype) -> None:
    tensors = load_file(saved)
    tensors["fusion.head.bias"] = tensors["fusion.head.bias"].to(kind)
    save_file(tensors, saved, metadata=read_metadata(saved))
    with pytest.raises(WeightsError, match=rf"bias is {str(kind)[6:]}, not floating point"):
        load_weights(saved)


def test_missing_and_unexpected_tensors_are_named(saved: Path) -> None:
    tensors = load_file(saved)
    tensors["stranger"] = tensors.pop("fusion.head.bias")
    save_file(tensors, saved, metadata=read_metadata(saved))
    with pytest.raises(WeightsError, match=r"fusion\.head\.bias is missing, stranger is unexpected; save"):
        load_weights(saved)


def test_every_refusal_is_one_line(saved: Path) -> None:
    paper = json.dumps(ModelConfig.preset("paper").to_dict())
    for path in (rewrite(saved, config=paper), rewrite(saved, config="{")):
        with pytest.raises(WeightsError) as caught:
            load_weights(path)
        assert len(str(caught.value).splitlines()) == 1


def test_equal_networks_are_equal_files(tmp_path: Path) -> None:
    network = CDGNet(ModelConfig.preset("tiny"))
    about = {f"name{number}": "x" for number in range(20)}  # safetensors shuffles them

    for name in ("a", "b"):
        save_weights(tmp_path / name, network, about)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert {**read_metadata(tmp_path / "a"), **about} == read_metadata(tmp_path / "a")


def as_first_released(name: str) -> str:
    """What the first release called a tensor."""
    return name.replace(".offset_conv.", ".guide.")


def test_weights_of_the_first_release_load(network: CDGNet, saved: Path) -> None:
    tensors = load_file(saved)
    old = {as_first_released(name): tensor for name, tensor in tensors.items()}
    assert set(old) != set(tensors)
    save_file(old, saved, metadata=read_metadata(saved))

    state = load_weights(saved).state_dict()

    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_a_checkpoint_of_the_first_release_loads(network: CDGNet) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(CDGNet(TINY))
    old = {as_first_released(name): tensor for name, tensor in network.state_dict().items()}

    averaged.load_state_dict({"n_averaged": torch.tensor(3), **{f"module.{name}": old[name] for name in old}})

    state = averaged.module.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_half_precision_is_read_as_the_nearest_float32(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset("tiny"))
    save_weights(tmp_path / "whole.safetensors", network, {})
    save_weights(tmp_path / "half.safetensors", network, {}, is_half=True)

    loaded = load_weights(tmp_path / "half.safetensors").state_dict()

    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * (tmp_path / "whole.safetensors").stat().st_size
    for name, weight in network.state_dict().items():
        assert loaded[name].dtype == torch.float32
        torch.testing.assert_close(loaded[name], weight, rtol=2**-11, atol=1e-7)


def test_the_weights_that_come_with_the_package_are_small_and_load_without_a_path() -> None:
    assert PRETRAINED.stat().st_size < 8e6
    assert load_weights().state_dict().keys() == load_weights(PRETRAINED).state_dict().keys()
    assert read_metadata(PRETRAINED)["name"]
