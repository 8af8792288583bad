"""Convert the checkpoints that DMPHN's authors published to a network of cdgnet.

Each level has two files, ``encoder_lvN.pkl`` and ``decoder_lvN.pkl``, each with the state dict of one module. The
files are pickles, but no code in them is ever run: torch reads tensors from them and refuses everything else.

Source: Zhang, Dai, Li, Koniusz 2019, Deep stacked hierarchical multi-patch network for image deblurring.
"""

import hashlib
import io
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdgnet import ModelConfig
from pipelines.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cdgnet import CDGNet

_ENCODER = {  # the authors' layer names -> names in cdgnet
    **{"layer1": "full_level.0", "layer2": "full_level.1.body", "layer3": "full_level.2.body"},
    **{"layer5": "half_level.0", "layer6": "half_level.1.body", "layer7": "half_level.2.body"},
    **{"layer9": "quarter_level.0", "layer10": "quarter_level.1.body", "layer11": "quarter_level.2.body"},
}
_DECODER = {
    **{"layer13": "quarter_blocks.0.body", "layer14": "quarter_blocks.1.body", "layer16": "to_half"},
    **{"layer17": "half_blocks.0.body", "layer18": "half_blocks.1.body", "layer20": "to_full"},
    **{"layer21": "full_blocks.0.body", "layer22": "full_blocks.1.body", "layer24": "head"},
}
_VARIANTS = {3: "dmphn-1-2-4", 4: "dmphn-1-2-4-8"}  # number of levels -> variant
_SOURCE = (
    "Zhang, Dai, Li, Koniusz 2019, Deep stacked hierarchical multi-patch network for image deblurring (CVPR); "
    "from files in the authors' layout"
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A folder with all files of one network."""

    folder: Path
    levels: int

    @property
    def variant(self) -> str:
        """Name of the network's variant in ``cdgnet.VARIANTS``."""
        return _VARIANTS[self.levels]

    @property
    def names(self) -> list[str]:
        """Names of the checkpoint's files."""
        return _names(self.levels)


def find(folder: Path) -> Checkpoint:
    """Find the files of three or four levels in a folder, without reading them.

    Raises:
        CheckpointError: If files are missing, or files of another network are there; the message names them.
    """
    there = {each.name for each in folder.iterdir() if each.is_file()}
    if not there.intersection(_names(4)):
        inner = sorted(each.name for each in folder.iterdir() if (each / "encoder_lv1.pkl").is_file())
        hint = f"; pass {' or '.join(str(folder / name) for name in inner)}" if inner else ""
        stacked = " (its files are of stacked networks, SDNet)" if "encoder_s1_lv1.pkl" in there else ""
        hint = hint or "; pass the folder of a published DMPHN checkpoint"
        raise CheckpointError(f"{folder} contains no encoder_lv1.pkl or decoder_lv1.pkl{stacked}{hint}")
    is_deep = "1_2_4_8" in folder.resolve().name or bool(there.intersection(("encoder_lv4.pkl", "decoder_lv4.pkl")))
    checkpoint = Checkpoint(folder=folder, levels=4 if is_deep else 3)
    missing = [name for name in checkpoint.names if name not in there]
    others = sorted(
        name for name in there if re.fullmatch(r"(en|de)coder_\w+\.pkl", name) and name not in checkpoint.names
    )
    if missing or others:
        found = [*(f"{name} is missing" for name in missing), *(f"{name} does not belong to it" for name in others)]
        raise CheckpointError(
            f"{folder}: {', '.join(found)}; {checkpoint.variant} has encoder_lv1.pkl to "
            f"encoder_lv{checkpoint.levels}.pkl and as many decoders"
        )
    return checkpoint


def read(checkpoint: Checkpoint) -> "tuple[CDGNet, dict[str, str]]":
    """Return the network in eval mode, and the metadata of its weights file, which record its origin.

    Raises:
        CheckpointError: If a file contains anything but the tensors of one of DMPHN's encoders or decoders.
        OSError: If a file cannot be read.
    """
    import torch

    from cdgnet import CDGNet

    with torch.device("meta"):
        network = CDGNet(ModelConfig.preset("paper", checkpoint.variant))
    tensors: dict[str, Tensor] = {}
    checksums = {}
    for name in checkpoint.names:
        path = checkpoint.folder / name
        content = path.read_bytes()
        checksums[name] = hashlib.sha256(content).hexdigest()
        part, level = name.removesuffix(".pkl").split("_lv")
        place, names = _place(part, int(level))
        wanted = {_theirs(own, names): own for own in network.get_submodule(place).state_dict()}
        state = _checked(path, _state(path, content), network.get_submodule(place), wanted)
        tensors |= {f"{place}.{own}": state[theirs] for theirs, own in wanted.items()}
    network = network.to_empty(device="cpu")
    network.load_state_dict(tensors)
    about = {"name": f"DMPHN {checkpoint.variant.removeprefix('dmphn-')}", "source": _SOURCE}
    return network.eval(), {**about, "method": "cdg-import dmphn", "sha256": json.dumps(checksums)}


def _names(levels: int) -> list[str]:
    return [f"{part}_lv{level}.pkl" for level in range(1, levels + 1) for part in ("encoder", "decoder")]


def _place(part: str, level: int) -> tuple[str, Mapping[str, str]]:
    """Return the submodule of the network that takes a file's tensors, and the table of its layer names."""
    if part == "encoder":
        return "encoder" if level == 1 else f"levels.{level}.encoder", _ENCODER
    return "branches.plain.decoder" if level == 1 else f"levels.{level}.decoder", _DECODER


def _theirs(own: str, names: Mapping[str, str]) -> str:
    """Return the authors' name of a tensor of cdgnet."""
    return next(f"{theirs}{own.removeprefix(ours)}" for theirs, ours in names.items() if own.startswith(f"{ours}."))


def _state(path: Path, content: bytes) -> "dict[str, Tensor]":
    """Return the tensors of a file by name, without the prefix that DataParallel adds."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about the age of the file
            state: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # untrusted bytes can make a reader fail in any way
        raise CheckpointError(f"{path}: {_unread(error)}") from error
    is_state = isinstance(state, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    )
    if not is_state:
        kind = type(state).__name__
        raise CheckpointError(
            f"{path} contains a {kind}, not tensors by name; save it with torch.save(module.state_dict(), FILE)"
        )
    is_parallel = bool(state) and all(name.startswith("module.") for name in state)
    prefix = "module." if is_parallel else ""
    return {name.removeprefix(prefix): tensor.detach() for name, tensor in state.items()}


def _unread(error: Exception) -> str:
    """Describe in one line why torch's safe reader failed."""
    code = re.search(r"GLOBAL ([\w.]+) (?:was not|whose module)", str(error))
    if code:
        return (
            f"contains {code[1]}, which is code, and code in a checkpoint is never run; save only the tensors, with "
            "torch.save(module.state_dict(), FILE)"
        )
    # The text of an UnpicklingError is omitted, because it advises users to run the code in the file.
    reason = "" if isinstance(error, pickle.UnpicklingError) else " ".join(str(error).partition(".")[0].split())[:100]
    return f"not a checkpoint that torch can read safely{f' ({reason})' * bool(reason)}; download it again"


def _checked(
    path: Path, state: "dict[str, Tensor]", module: "nn.Module", wanted: Mapping[str, str]
) -> "dict[str, Tensor]":
    """Return ``state`` if its tensors fit the module; ``wanted`` maps the authors' names to names in cdgnet."""
    import torch

    from cdgnet.weights import fault_of

    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    problems = [f"{name} is missing" for name in wanted if name not in state]
    problems += [f"{name[:60]} is unexpected" for name in state if name not in wanted]
    for name, tensor in state.items():
        shape = shapes[wanted[name]] if name in wanted else tensor.shape
        if tensor.shape != shape:
            problems.append(f"{name} is {tuple(tensor.shape)}, not {tuple(shape)}")
        elif tensor.layout != torch.strided or tensor.device.type != "cpu":
            problems.append(f"{name} is {tensor.layout} on {tensor.device}, not plain values")
        elif fault := fault_of(tensor):
            problems.append(f"{name} {fault}")
    if problems:
        rest = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        kind = "Encoder" if path.name.startswith("encoder") else "Decoder"
        raise CheckpointError(f"{path} is not DMPHN's {kind}: {', '.join(problems[:3])}{rest}; pass the published file")
    return state
