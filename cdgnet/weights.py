"""Weights as self-describing safetensors files; only this module and ``header`` access files."""

import json
import logging
import os
import platform
import secrets
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from cdgnet import header
from cdgnet.config import ModelConfig
from cdgnet.deform import current_name
from cdgnet.errors import WeightsError
from cdgnet.header import PRETRAINED
from cdgnet.network import CDGNet
from cdgnet.patches import size_multiples
from cdgnet.recognition import hints_of, without_hints

_LOG = logging.getLogger(__name__)

INPUT_RANGE = "[-0.5, 0.5]"
_LARGEST = 1e6  # largest absolute weight; trained weights stay below 100, and larger ones would soon overflow float32
_OWN_KEYS = ("format", "version", "config", "input_range", "size_multiple")


def save_weights(
    path: Path | str, network: CDGNet, metadata: Mapping[str, str], *, overwrite: bool = False, is_half: bool = False
) -> None:
    """Save a network and its configuration as a safetensors file.

    The file is written under a temporary name and renamed, so that ``path`` never holds a partial file.

    Args:
        path: File to write, usually ``*.safetensors``, in an existing folder.
        network: On any device.
        metadata: Further entries for the file's header, such as the data set and the step; ``read_metadata`` returns
            them.
        overwrite: Whether an existing file may be replaced.
        is_half: Store float16, which halves the size; ``load_weights`` converts back to float32.

    Raises:
        FileExistsError: If ``path`` exists and ``overwrite`` is False.
        ValueError: If ``metadata`` uses a name that the format reserves (``format``, ``version``, ``config``,
            ``input_range``, ``size_multiple``).
        OSError: If the file cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True to replace it, or another path")
    taken = [key for key in metadata if key in _OWN_KEYS]
    if taken:
        raise ValueError(f"metadata contains {', '.join(taken)}, which the format reserves; rename them")
    entries = {
        **metadata,
        "format": header.FORMAT,
        "version": header.VERSION,
        "config": json.dumps(network.config.to_dict()),
        "input_range": INPUT_RANGE,
        "size_multiple": str(max(size_multiples(network.config.levels))),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    tensors |= hints_of(network.config)
    if is_half:
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    _write_whole(path, _in_order(save(tensors, metadata=entries)))


def load_weights(path: Path | str | None = None) -> CDGNet:
    """Load a network from a file written by ``save_weights`` or ``cdg-train``.

    Loading executes no code from the file and does not change the state of the random number generators.

    Args:
        path: A ``*.safetensors`` file; None for the weights included in the package (``PRETRAINED``), whose name is
            then logged.

    Returns:
        The network in float32, on the CPU, in eval mode.

    Raises:
        WeightsError: If the file is not a safetensors file of this format and version, its configuration is invalid,
            or its tensors do not fit the configuration or hold invalid values.
        OSError: If the file cannot be read.

    Examples:
        >>> network = load_weights()
        >>> network.config.variant
        'dmphn-1'
    """
    is_pretrained = path is None
    path = PRETRAINED if path is None else Path(path)
    entries, tensors = _read(path)
    if is_pretrained:
        _LOG.info("weights: %s, which come with cdgnet", entries["name"])
    config = header.config_of(path, entries)
    try:
        return network_of(config, without_hints(tensors))  # hints are for programs that do not read the header
    except ValueError as error:
        raise WeightsError(
            f"{path}: the tensors do not match the configuration in the file: {error}; "
            "save the network again with save_weights, or download the file again"
        ) from error


def network_of(config: ModelConfig, tensors: Mapping[str, Tensor]) -> CDGNet:
    """Build a network from a configuration and its tensors.

    Draws no random numbers, and allocates memory only after all shapes were checked.

    Args:
        config: The network's configuration.
        tensors: The state dict, with current names (see ``deform.current_name``).

    Returns:
        The network in float32, on the CPU, in eval mode.

    Raises:
        ValueError: If tensors are missing or unexpected, have a wrong shape or type, or hold invalid values.
    """
    with torch.device("meta"):
        network = CDGNet(config)
    problems = _misfits(network.state_dict(), tensors)
    problems += [f"{name} {fault}" for name, tensor in tensors.items() if (fault := fault_of(tensor))]
    if problems:
        rest = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(f"{', '.join(problems[:3])}{rest}")
    network = network.to_empty(device="cpu")
    network.load_state_dict(tensors)
    return network.eval()


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with header.opened(path, "pt") as (entries, file):
        names: list[str] = file.keys()
        return entries, {current_name(name): file.get_tensor(name) for name in names}


def _misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is unexpected" for name in found if name not in wanted]
    for name, tensor in wanted.items():
        if name in found and found[name].shape != tensor.shape:
            problems.append(f"{name} is {tuple(found[name].shape)}, not {tuple(tensor.shape)}")
    return problems


def fault_of(tensor: Tensor) -> str:
    """Say why a tensor cannot be a weight, whatever its shape; empty if it can."""
    if not tensor.is_floating_point():
        return f"is {str(tensor.dtype).removeprefix('torch.')}, not floating point"
    values = tensor.float()  # torch cannot compare 8-bit floats
    if not values.isfinite().all():
        return "contains nan or inf"
    largest = float(values.abs().max()) if values.numel() else 0.0
    return f"contains {largest:.1e}; the limit is {_LARGEST:.0e}" if largest > _LARGEST else ""


def _in_order(content: bytes) -> bytes:
    """Sort the names in the header, whose order varies between calls of safetensors; makes files reproducible."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # keeps the tensors aligned
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _write_whole(path: Path, content: bytes) -> None:
    # With a random name, nobody can place a link there first. prep.io.files recognises what a killed run leaves behind.
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    machine = f"{zlib.crc32(platform.node().encode()):08x}"
    part = path.with_name(f".{os.getpid()}-{machine}-{secrets.token_hex(8)}.cdg.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno:
            error.filename = error.filename or str(path)  # "disk full" errors lack the file name
        raise
    finally:
        part.unlink(missing_ok=True)
