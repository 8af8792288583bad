"""Load the network in a weights file: one of cdgnet, or of another project."""

from pathlib import Path

from cdgnet import CDGNet, load_weights
from pipelines.restore import peers
from pipelines.restore.peers import PeerNetwork
from pipelines.restore.weights_files import is_ours

Network = CDGNet | PeerNetwork


def load(path: Path) -> Network:
    """The network that a file describes, on the CPU, in eval mode.

    Raises:
        WeightsError: If it is neither of cdgnet nor of a network that spandrel knows, or is damaged.
        ModuleNotFoundError: If it is not of cdgnet, and the extra ``peers`` is not installed.
        OSError: If it cannot be read.
    """
    return load_weights(path) if is_ours(path) else peers.load(path)


def name_of(network: Network) -> str:
    """What a network is called: its variant, or its architecture and what tells its size."""
    return network.config.variant if isinstance(network, CDGNet) else network.name
