"""Detection of export: some code takes another path while torch traces a network."""

import torch


def is_exporting() -> bool:
    """Return whether ``torch.export`` is tracing the network; the traced code must hold for frames of any size."""
    return bool(
        getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)()
    )  # torch has is_exporting from 2.7 on
