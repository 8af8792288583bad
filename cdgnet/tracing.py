"""What a network must know while torch traces it into a program of its own."""

import torch


def is_exporting() -> bool:
    """Whether torch.export is looking on: what it sees must hold for every size."""
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())  # the former from torch 2.7
