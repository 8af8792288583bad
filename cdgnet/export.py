"""A network as ONNX, for programs without torch. Needs the extra ``export``."""

import json
import logging
import warnings
from typing import Any

import torch

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
    frame = torch.zeros(1, 3, 50, 71)  # whose sides are no multiples of 4: the padding is a part of the program
    with torch.no_grad():
        found = network(frame)
    names = [name for name in Components._fields if getattr(found, name) is not None]
    free = torch.export.Dim.AUTO
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter about its own future
        program = torch.onnx.export(
            network,
            (frame,),
            dynamo=True,
            dynamic_shapes={"blurry": {2: free, 3: free}},
            input_names=["blurry"],
            output_names=names,
            optimize=False,  # what onnxruntime does again, and better
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _name_sides(model.graph)
    about = {"format": "cdgnet", "config": json.dumps(network.config.to_dict()), "input_range": INPUT_RANGE}
    for key, value in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


def _name_sides(graph: Any) -> None:
    """Call the frame's height and width so, and those that follow from them after their output."""
    for value in (*graph.input, *graph.output):
        is_map = value.name.endswith("attention")
        for place, side in ((2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[place].dim_param = f"{side}/4" if is_map else side
