"""Networks outside torch's eager mode."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cdgnet import CDGNet, ModelConfig
from cdgnet.export import to_archive, to_onnx

SIZES = ((64, 96), (37, 130), (16, 16))


def learned(variant: str = "cdgnet") -> CDGNet:
    torch.manual_seed(0)
    config = ModelConfig.preset("tiny", "cdgnet" if variant == "divided" else variant)
    network = CDGNet(replace(config, fusion="divided") if variant == "divided" else config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape))
    return network


def frame_of(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)) - 0.5


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["cdgnet", "divided", "large-branch"])
def test_onnxruntime_gives_what_torch_gives_for_frames_of_any_size(variant: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'cdgnet[export]'")
    network = learned(variant)

    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])

    assert json.loads(session.get_modelmeta().custom_metadata_map["config"]) == network.config.to_dict()
    names = [output.name for output in session.get_outputs()]
    for size in SIZES:
        frame = frame_of(*size)
        with torch.no_grad():
            wanted = network(frame)
        found = dict(zip(names, session.run(names, {"blurry": frame.numpy()}), strict=True))
        assert set(found) == {name for name, part in zip(wanted._fields, wanted, strict=True) if part is not None}
        for name, values in found.items():
            assert np.abs(values - getattr(wanted, name).numpy()).max() < 1e-4, name
        assert np.abs(found["restored"] - frame.numpy()).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["cdgnet", "dmphn-1-2-4"])
def test_an_archive_of_torch_export_gives_what_the_network_gives_for_frames_of_any_size(variant: str) -> None:
    network, extra = learned(variant), {"cdgnet.json": ""}

    restore = torch.export.load(io.BytesIO(to_archive(network)), extra_files=extra).module()

    assert json.loads(json.loads(extra["cdgnet.json"])["config"]) == network.config.to_dict()
    for size in SIZES:
        frame = frame_of(*size)
        with torch.no_grad():
            found, wanted = restore(frame), network(frame)
        assert set(found) == {name for name, part in zip(wanted._fields, wanted, strict=True) if part is not None}
        for name, values in found.items():
            # float32: sums in another order, in images that reach several units.
            torch.testing.assert_close(values, getattr(wanted, name), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler, about the versions of its own parts
def test_a_compiled_network_gives_the_same_images_and_gradients() -> None:
    network, frame = learned().train(), frame_of(32, 44)
    # Traced whole and differentiated ahead of time, but not turned into machine code: that needs a C++ compiler.
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    restored = [each(frame).restored for each in (network, compiled)]
    weights = [weight for name, weight in network.named_parameters() if "decoder.head" not in name]
    slopes = [torch.autograd.grad(image.square().sum(), weights) for image in restored]
    torch.testing.assert_close(*restored, rtol=0, atol=1e-5)
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)  # sums over 1408 pixels
