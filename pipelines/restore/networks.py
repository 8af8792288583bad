"""Load the network in a weights file of cdgnet or of another project."""

from pathlib import Path

from cdgnet import CDGNet, load_weights
from pipelines.restore import peers
from pipelines.restore.peers import PeerNetwork
from pipelines.restore.weights_files import is_ours

Network = CDGNet | PeerNetwork


def load(path: Path) -> Network:
    """Load the network in a file, on the CPU, in eval mode.

    Raises:
        WeightsError: If the file is damaged, or contains neither a network of cdgnet nor one that spandrel knows.
        ModuleNotFoundError: If the network is not of cdgnet, and the extra ``peers`` is not installed.
        OSError: If the file cannot be read.
    """
    return load_weights(path) if is_ours(path) else peers.load(path)


def name_of(network: Network) -> str:
    """Return the name of a network: its variant, or its architecture and spandrel's tags, such as its size."""
    return network.config.variant if isinstance(network, CDGNet) else network.name
