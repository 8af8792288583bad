"""Self-describing safetensors: the one file of this package that touches the disk."""

import json
import logging
import os
import platform
import reprlib
import secrets
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cdgnet.config import ModelConfig
from cdgnet.deform import current_name
from cdgnet.errors import WeightsError
from cdgnet.network import CDGNet
from cdgnet.patches import size_multiples
from cdgnet.recognition import SWITCHES, switches_of

_LOG = logging.getLogger(__name__)

PRETRAINED = Path(__file__).parent / "pretrained.safetensors"
"""The weights that come with the package; ``read_metadata`` gives their name and their card."""

FORMAT = "cdgnet"
VERSION = "1"
INPUT_RANGE = "[-0.5, 0.5]"
_LARGEST = 1e6  # of a weight: those of a trained network are below some tens, and float32 overflows soon from here
_OWN_KEYS = ("format", "version", "config", "input_range", "size_multiple")


def save_weights(
    path: Path | str, network: CDGNet, metadata: Mapping[str, str], *, overwrite: bool = False, is_half: bool = False
) -> None:
    """Write the network with all that is needed to use it; the file appears whole or not at all.

    Args:
        path: Where, usually ``*.safetensors``; the folder exists.
        network: On any device.
        metadata: What the caller wants remembered, such as the data set and the step.
        overwrite: Whether ``path`` may be replaced.
        is_half: Store 16-bit floats: half the size; ``load_weights`` gives float32 again.

    Raises:
        FileExistsError: If ``path`` exists and ``overwrite`` is False.
        ValueError: If ``metadata`` uses a name that the format keeps for itself.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists, and weights are not replaced unasked; pass overwrite=True")
    taken = [key for key in metadata if key in _OWN_KEYS]
    if taken:
        raise ValueError(f"metadata holds {', '.join(taken)}, which the format sets itself; rename them")
    header = {
        **metadata,
        "format": FORMAT,
        "version": VERSION,
        "config": json.dumps(network.config.to_dict()),
        "input_range": INPUT_RANGE,
        "size_multiple": str(max(size_multiples(network.config.levels))),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if (switches := switches_of(network.config)) is not None:
        tensors[SWITCHES] = switches
    if is_half:
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    _write_whole(path, _in_order(save(tensors, metadata=header)))


def load_weights(path: Path | str | None = None) -> CDGNet:
    """The network a file describes, on the CPU, in eval mode; without a path, the one that comes with the package.

    Which weights come with the package is logged. The file holds no code, and the shapes it claims are compared before
    memory is taken for them. Draws no random numbers.

    Raises:
        WeightsError: If the file is no safetensors file, is of another format or version, describes no network, or
            its tensors are missing, too many, of the wrong shape or type, or hold what is no weight.
        OSError: If it cannot be read.
    """
    is_pretrained = path is None
    path = PRETRAINED if path is None else Path(path)
    header, tensors = _read(path, wants_tensors=True)
    if is_pretrained:
        _LOG.info("weights: %s, which come with cdgnet", header["name"])
    tensors.pop(SWITCHES, None)  # for programs that do not read the header
    config = _config(path, header)
    try:
        return network_of(config, tensors)
    except ValueError as error:
        raise WeightsError(
            f"{path}: tensors cannot be used with the config beside them: {error}; "
            "save the network anew with save_weights, or fetch the file again"
        ) from error


def network_of(config: ModelConfig, tensors: Mapping[str, Tensor]) -> CDGNet:
    """The network of a config, filled with tensors named as today; on the CPU, float32, in eval mode.

    Draws no random numbers, and takes no memory before the shapes are compared.

    Raises:
        ValueError: If tensors are missing, too many, of the wrong shape or type, or hold what is no weight.
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


def read_metadata(path: Path | str) -> dict[str, str]:
    """Everything a file says about itself, the caller's own entries included, without its tensors.

    Raises:
        WeightsError: If the file is no safetensors file or of another format or version.
        OSError: If it cannot be read.
    """
    return _read(Path(path), wants_tensors=False)[0]


def _read(path: Path, *, wants_tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; pass the weights.safetensors in it")
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise WeightsError(f"{path} is no regular file; pass a weights.safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            _check_format(path, header)
            names = file.keys() if wants_tensors else []
            return header, {current_name(name): file.get_tensor(name) for name in names}
    except SafetensorError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{path}: not a safetensors file ({reason}); pass one written by cdg-train or save_weights"
        ) from error


def _check_format(path: Path, header: Mapping[str, str]) -> None:
    if header.get("format") != FORMAT:
        found = f"format {header['format']!r}" if "format" in header else "no format"
        raise WeightsError(f"{path}: {found} inside, wanted {FORMAT!r}; pass a file written by save_weights")
    if header.get("version") != VERSION:
        found = f"version {header['version']!r}" if "version" in header else "no version"
        raise WeightsError(f"{path}: {found} inside, wanted {VERSION!r}; use the release that wrote the file")


def _config(path: Path, header: Mapping[str, str]) -> ModelConfig:
    if "config" not in header:
        raise WeightsError(f"{path}: no config inside; pass a file written by save_weights")
    try:
        values = json.loads(header["config"])
        if not isinstance(values, dict):
            raise ValueError(f"it is {reprlib.repr(values)}, wanted fields by name")
        return ModelConfig.from_dict(values)
    except RecursionError as error:
        raise WeightsError(f"{path}: the config inside cannot be used: it is nested too deeply") from error
    except ValueError as error:
        raise WeightsError(f"{path}: the config inside cannot be used: {error}") from error


def _misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is unexpected" for name in found if name not in wanted]
    for name, tensor in wanted.items():
        if name in found and found[name].shape != tensor.shape:
            problems.append(f"{name} is {tuple(found[name].shape)}, wanted {tuple(tensor.shape)}")
    return problems


def fault_of(tensor: Tensor) -> str:
    """What makes a tensor useless whatever its shape; empty where nothing does."""
    if not tensor.is_floating_point():
        return f"is {str(tensor.dtype).removeprefix('torch.')}, wanted floating point"
    values = tensor.float()  # of some short floats torch compares nothing
    if not values.isfinite().all():
        return "holds nan or inf"
    largest = float(values.abs().max()) if values.numel() else 0.0
    return f"holds {largest:.1e}, wanted at most {_LARGEST:.0e}" if largest > _LARGEST else ""


def _in_order(content: bytes) -> bytes:
    """The same file with its header's names in order: safetensors writes them in another at every call."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # so that the tensors behind it stay aligned
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _write_whole(path: Path, content: bytes) -> None:
    # Nobody can put a link there beforehand, and prep.io.files knows again what a kill leaves.
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
            error.filename = error.filename or str(path)  # a full disk's error names no file
        raise
    finally:
        part.unlink(missing_ok=True)
