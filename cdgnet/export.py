"""A network for other programs: as ONNX, which needs the extra ``export``, or as an archive of torch.export."""

import io
import json
import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from cdgnet.network import CDGNet, Components
from cdgnet.weights import INPUT_RANGE


def to_onnx(network: CDGNet) -> bytes:
    """Translate a network; the frame's height and width stay free, from 16 pixels on.

    The deformable convolutions become ``GridSample`` and a matrix product of 9 values a channel and pixel: more than a
    GB for each layer at 1280 x 720 in the preset ``paper``.

    Args:
        network: On the CPU, in eval mode.

    Returns:
        An ONNX model: input ``blurry`` ``(1, 3, H, W)`` float32 in [-0.5, 0.5], outputs named as the fields of
        ``Components`` that the network has. Its metadata hold the config and the input's range.

    Raises:
        ImportError: If the extra ``export`` is not installed.
    """
    frame, sides = _example()
    with torch.no_grad():
        names = list(_named(network(frame)))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter about its own future
        program = torch.onnx.export(
            network,
            (frame,),
            dynamo=True,
            dynamic_shapes={"blurry": sides},
            input_names=["blurry"],
            output_names=names,
            optimize=False,  # what onnxruntime does again, and better
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _name_sides(model.graph)
    for key, value in _about(network).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


class _Named(nn.Module):
    """A network whose outputs have names that an archive can hold."""

    def __init__(self, network: CDGNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, blurry: Tensor) -> dict[str, Tensor]:
        return _named(self.network(blurry))


def to_archive(network: CDGNet) -> bytes:
    """Trace a network into one graph of torch's operations; height and width stay free, from 16 pixels on.

    ``torch.export.load`` reads it without this package. Its module takes ``blurry`` ``(1, 3, H, W)`` float32 in
    [-0.5, 0.5], on a CPU, and gives a dict, by the names of ``Components``. The config and the input's range are in the
    extra file ``cdgnet.json``.

    Args:
        network: On the CPU, in eval mode.

    Returns:
        The archive, as ``torch.export.save`` writes it.
    """
    frame, sides = _example()
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's about how it packs weights
        program = torch.export.export(_Named(network), (frame,), dynamic_shapes={"blurry": sides})
        torch.export.save(program, target, extra_files={"cdgnet.json": json.dumps(_about(network))})
    return target.getvalue()


def _example() -> tuple[Tensor, dict[int, Any]]:
    """A frame to trace with, whose sides are no multiples of 4 so that the padding is traced, and which are free."""
    return torch.zeros(1, 3, 50, 71), {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}


def _named(components: Components) -> dict[str, Tensor]:
    return {name: part for name, part in components._asdict().items() if part is not None}


def _about(network: CDGNet) -> dict[str, str]:
    return {"format": "cdgnet", "config": json.dumps(network.config.to_dict()), "input_range": INPUT_RANGE}


def _name_sides(graph: Any) -> None:
    """Call the frame's height and width so, and those that follow from them after their output."""
    for value in (*graph.input, *graph.output):
        is_map = value.name.endswith("attention")
        for place, side in ((2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[place].dim_param = f"{side}/4" if is_map else side
