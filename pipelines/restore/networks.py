"""Load the network in a weights file: one of cdgnet, or of another project."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from cdgnet import CDGNet, load_weights, read_metadata
from pipelines.restore import peers
from pipelines.restore.peers import PeerNetwork

Network = CDGNet | PeerNetwork


def load(path: Path) -> Network:
    """The network that a file describes, on the CPU, in eval mode.

    Raises:
        WeightsError: If it is neither of cdgnet nor of a network that spandrel knows, or is damaged.
        ModuleNotFoundError: If it is not of cdgnet, and the extra ``peers`` is not installed.
        OSError: If it cannot be read.
    """
    return load_weights(path) if is_ours(path) else peers.load(path)


def check_kind(path: Path) -> None:
    """Refuse a file that cannot contain weights, by its first bytes.

    Raises:
        WeightsError: If it is of cdgnet and damaged, or of no known kind.
    """
    if is_ours(path):
        read_metadata(path)
    else:
        peers.check_kind(path)


def is_ours(path: Path) -> bool:
    """Whether a file is of cdgnet, by its first bytes and its header; of one that cannot be read its name decides."""
    if peers.is_pickle(path):
        return False
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except SafetensorError:
        return path.suffix == ".safetensors"
    return header.get("format") not in (None, "pt")


def name_of(network: Network) -> str:
    """What a network is called: its variant, or its architecture and what tells its size."""
    return network.config.variant if isinstance(network, CDGNet) else network.name
