"""Detection of export: some code takes another path while torch traces a network."""

import torch


def is_exporting() -> bool:
    """Whether ``torch.export`` is tracing the network; the traced code must hold for frames of any size."""
    return bool(
        getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)()
    )  # is_exporting: torch 2.7 and newer
