"""Networks outside torch's eager mode."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cdgnet import CDGNet, ModelConfig
from cdgnet.export import Program, to_archive, to_onnx
from cdgnet.tiling import components

SIZES = ((1, 64, 48), (3, 33, 47), (1, 16, 16), (2, 9, 5))  # batch, height, width


def learned(variant: str = "cdgnet") -> CDGNet:
    torch.manual_seed(0)
    own: dict[str, Any] = {"divided": {"fusion": "divided"}, "shrinking": {"shrinkage": 20.0}}.get(variant, {})
    config = ModelConfig.preset("tiny", {"divided": "cdgnet", "shrinking": "dmphn-1"}.get(variant, variant))
    network = CDGNet(replace(config, **own)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape))
    return network


def frames_of(batch: int, height: int, width: int) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) - 0.5


def results_of(network: CDGNet, frames: Tensor) -> dict[str, Tensor]:
    """All that a network makes of frames of any size, in the range of the network."""
    return {name: part for name, part in components(network, frames)._asdict().items() if part is not None}


def in_zero_to_one(results: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: part if part.shape[1] == 1 else (part + 0.5).clamp(0, 1) for name, part in results.items()}


def assert_same(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    assert list(found) == list(wanted)
    for name, values in found.items():
        # float32: sums in another order, in images that reach several units.
        torch.testing.assert_close(
            values, wanted[name], rtol=0, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("variant", ["divided", "shrinking"])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_exported_gives_what_the_network_gives_in_either_range(
    size: tuple[int, int, int], variant: str
) -> None:
    network, frames = learned(variant), frames_of(*size)
    wanted = results_of(network, frames)
    with torch.no_grad():
        assert_same(Program(network)(frames), wanted)
        assert_same(Program(network, is_zero_to_one=True)(frames + 0.5), in_zero_to_one(wanted))
        only = Program(network, only_restored=True)(frames)
    assert_same(only, {"restored": wanted["restored"]})


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "is_zero_to_one"), [("divided", True), ("dmphn-1", False), ("shrinking", True)])
def test_onnxruntime_gives_what_torch_gives_for_any_batch_size_and_range(variant: str, is_zero_to_one: bool) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'cdgnet[export]'")
    network = learned(variant)
    data = to_onnx(Program(network, is_zero_to_one=is_zero_to_one))

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["config"]) == network.config.to_dict()
    assert about["input_range"] == ("[0, 1]" if is_zero_to_one else "[-0.5, 0.5]")
    names = [output.name for output in session.get_outputs()]
    for size in SIZES:
        frames = frames_of(*size)
        wanted = results_of(network, frames)
        wanted, given = (in_zero_to_one(wanted), frames + 0.5) if is_zero_to_one else (wanted, frames)
        found = dict(zip(names, map(torch.from_numpy, session.run(names, {"blurry": given.numpy()})), strict=True))
        assert_same(found, wanted)
        assert (found["restored"] - given).abs().max() > 0.01


@pytest.mark.slow
def test_an_onnx_model_names_its_sides_and_holds_no_path_of_the_machine_that_made_it() -> None:
    onnx = pytest.importorskip("onnx", reason="pip install 'cdgnet[export]'")
    data = to_onnx(Program(learned("dmphn-acda"), only_restored=True))

    graph = onnx.load_from_string(data).graph

    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {name: ["batch", 3, "height", "width"] for name in ("blurry", "restored")}
    assert str(Path(__file__).parents[2]).encode() not in data


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "is_zero_to_one"), [("large-branch", False), ("dmphn-1-2-4", True), ("shrinking", True)]
)
def test_an_archive_of_torch_export_gives_what_the_network_gives(variant: str, is_zero_to_one: bool) -> None:
    network, extra = learned(variant), {"cdgnet.json": ""}
    archive = to_archive(Program(network, is_zero_to_one=is_zero_to_one))

    restore = torch.export.load(io.BytesIO(archive), extra_files=extra).module()

    assert str(Path(__file__).parents[2]).encode() not in archive  # no path of the machine that made it
    about = json.loads(extra["cdgnet.json"])
    assert json.loads(about["config"]) == network.config.to_dict()
    assert about["input_range"] == ("[0, 1]" if is_zero_to_one else "[-0.5, 0.5]")
    for size in SIZES:
        frames = frames_of(*size)
        wanted = results_of(network, frames)
        wanted, given = (in_zero_to_one(wanted), frames + 0.5) if is_zero_to_one else (wanted, frames)
        with torch.no_grad():
            assert_same(restore(given), wanted)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler, about the versions of its own parts
def test_a_compiled_network_gives_the_same_images_and_gradients() -> None:
    network, frame = learned().train(), frames_of(1, 32, 44)
    # Traced whole and differentiated ahead of time, but not turned into machine code: that needs a C++ compiler.
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    restored = [each(frame).restored for each in (network, compiled)]
    weights = [weight for name, weight in network.named_parameters() if "decoder.head" not in name]
    slopes = [torch.autograd.grad(image.square().sum(), weights) for image in restored]
    torch.testing.assert_close(*restored, rtol=0, atol=1e-5)
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)  # sums over 1408 pixels
