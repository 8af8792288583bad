"""Networks outside torch's eager mode."""

import json

import numpy as np
import pytest
import torch

from cdgnet import CDGNet, ModelConfig

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'cdgnet[export]'")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["cdgnet", "large-branch"])
def test_onnxruntime_gives_what_torch_gives_for_frames_of_any_size(variant: str) -> None:
    from cdgnet.export import to_onnx

    torch.manual_seed(0)
    network = CDGNet(ModelConfig.preset("tiny", variant)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))

    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])

    assert json.loads(session.get_modelmeta().custom_metadata_map["config"]) == network.config.to_dict()
    names = [output.name for output in session.get_outputs()]
    for height, width in ((64, 96), (37, 130), (16, 16)):
        frame = torch.rand(1, 3, height, width) - 0.5
        with torch.no_grad():
            wanted = network(frame)
        found = dict(zip(names, session.run(names, {"blurry": frame.numpy()}), strict=True))
        assert set(found) == {name for name, part in zip(wanted._fields, wanted, strict=True) if part is not None}
        for name, values in found.items():
            assert np.abs(values - getattr(wanted, name).numpy()).max() < 1e-4, name
        assert np.abs(found["restored"] - frame.numpy()).max() > 0.01
