"""Export a network for other programs: to ONNX, which needs the extra ``export``, or to torch.export's format."""

import io
import json
import logging
import warnings
from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cdgnet.network import CDGNet
from cdgnet.padding import MINIMUM_SIZE, SIZE_MULTIPLE, crop_to_size
from cdgnet.weights import INPUT_RANGE

_SIDES = ("height", "width")


class Program(nn.Module):
    """The exported module: a network that takes frames of any size, from 2 x 2 pixels, and names its outputs.

    Args:
        network: On the CPU, in eval mode.
        is_zero_to_one: Take and return images in [0, 1], with the results clamped. Otherwise images are in
            [-0.5, 0.5], and results are not clamped.
        only_restored: Leave out all outputs but ``restored``, and the layers that only they need.
    """

    def __init__(self, network: CDGNet, *, is_zero_to_one: bool = False, only_restored: bool = False) -> None:
        super().__init__()
        self.network = network
        self.is_zero_to_one, self.only_restored = is_zero_to_one, only_restored

    def forward(self, blurry: Tensor) -> dict[str, Tensor]:
        """Restore ``(B, 3, H, W)`` float32; return all outputs that the network has, by the names of ``Components``."""
        height, width = blurry.shape[-2:]
        frames = blurry - 0.5 if self.is_zero_to_one else blurry
        below, right = _missing(height), _missing(width)
        components = self.network(functional.pad(frames, (0, right, 0, below), mode="replicate"))
        quarter = (_quarter(height), _quarter(width))
        results = {}
        for name, part in components._asdict().items():
            if part is None or (self.only_restored and name != "restored"):
                continue
            is_map = part.shape[1] == 1
            result = crop_to_size(part, quarter if is_map else (height, width))
            results[name] = (result + 0.5).clamp(0, 1) if self.is_zero_to_one and not is_map else result
        return results

    @property
    def input_range(self) -> str:
        """Range of the input images."""
        return "[0, 1]" if self.is_zero_to_one else INPUT_RANGE

    @property
    def output_range(self) -> str:
        """Range of the output images; maps are in [0, 1]."""
        return "[0, 1]" if self.is_zero_to_one else f"{INPUT_RANGE}, not limited to it"

    def outputs(self) -> dict[str, tuple[str, ...]]:
        """Return the shape of each output, in words."""
        with torch.no_grad():
            results = self(_example())
        return {
            name: ("batch", "1", *(f"ceil({side}/{SIZE_MULTIPLE})" for side in _SIDES))
            if result.shape[1] == 1
            else ("batch", "3", *_SIDES)
            for name, result in results.items()
        }

    def about(self) -> dict[str, str]:
        """Return the metadata of the file."""
        return {
            "format": "cdgnet",
            "config": json.dumps(self.network.config.to_dict()),
            "input_range": self.input_range,
            "output_range": self.output_range,
        }


def to_onnx(program: Program) -> bytes:
    """Export to ONNX, with free batch size, height and width.

    Each deformable convolution becomes ``GridSample`` and a matrix product over 9 values per channel and pixel. This
    takes more than 1 GB per layer at 1280 x 720 with the preset ``paper``.

    Returns:
        An ONNX model with the input ``blurry`` and the outputs of ``program``. Its metadata contain the config and the
        range of the images.

    Raises:
        ImportError: If the extra ``export`` is not installed.
    """
    outputs = program.outputs()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of torch's exporter about future versions
        translated = torch.onnx.export(
            program,
            (_example(),),
            dynamo=True,
            dynamic_shapes={"blurry": _free_sides()},
            input_names=["blurry"],
            output_names=list(outputs),
            optimize=False,  # because onnxruntime optimises again, and better
            verbose=False,
        )
    assert translated is not None
    model = translated.model_proto
    _name_sides(model.graph, outputs)
    for node in model.graph.node:  # names of traced source files would fill most of a small model
        del node.metadata_props[:]
    for key, value in program.about().items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


def to_archive(program: Program) -> bytes:
    """Export to one graph of torch's operations, with free batch size, height and width.

    ``torch.export.load`` reads it without this package. Its module takes ``blurry`` on a CPU and returns a dict, as
    ``Program.forward`` does. The extra file ``cdgnet.json`` contains the config and the range of the images.

    Returns:
        The archive, as ``torch.export.save`` writes it.
    """
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's warnings about how it packs weights
        traced = torch.export.export(program, (_example(),), dynamic_shapes={"blurry": _free_sides()})
        for node in traced.graph.nodes:
            node.meta.pop("stack_trace", None)
        torch.export.save(traced, target, extra_files={"cdgnet.json": json.dumps(program.about())})
    return target.getvalue()


def _missing(side: int) -> int:
    """Return the pixels that a side lacks to a network's smallest; also for torch's symbols, which have no ``max``."""
    return cast(int, torch.sym_max(MINIMUM_SIZE, side)) - side


def _quarter(side: int) -> int:
    """Return a quarter of a side, rounded up; without dividing a negative number, which ONNX rounds towards zero."""
    return (side + SIZE_MULTIPLE - 1) // SIZE_MULTIPLE


def _example() -> Tensor:
    """Return frames for tracing: two, because a batch of one would be taken as fixed; sides not multiples of 4."""
    return torch.zeros(2, 3, 50, 71)


def _free_sides() -> dict[int, Any]:
    return dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)


def _name_sides(graph: Any, outputs: dict[str, tuple[str, ...]]) -> None:
    """Name the free dimensions of all inputs and outputs: batch, height, width and their quarters."""
    shapes = {"blurry": ("batch", "3", *_SIDES), **outputs}
    for value in (*graph.input, *graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
            if not name.isdigit():
                dimension.dim_param = name
