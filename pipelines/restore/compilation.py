"""Compile a network, and keep the compiled code across restarts."""

import os
import shutil
import sys
from pathlib import Path

import torch
from torch import nn

from pipelines.errors import CompilerMissing


def compile_for_restoring(network: nn.Module, device: torch.device) -> None:
    """Compile a network in place, once for each frame size; on CUDA with CUDA graphs."""
    refuse_without_compiler(device)
    persist_compilation_cache()
    network.compile(mode="reduce-overhead" if device.type == "cuda" else "default", dynamic=False)


def compile_for_training(network: nn.Module, *, graphs: bool) -> nn.Module:
    """Return the compiled network; with ``graphs`` it uses CUDA graphs, whose results the next step overwrites."""
    persist_compilation_cache()
    model: nn.Module = torch.compile(network, mode="reduce-overhead" if graphs else "default")  # type: ignore[assignment]
    return model


def refuse_without_compiler(device: torch.device) -> None:
    """Refuse to compile for a CPU without a C++ compiler, because torch looks for it only after a minute of work.

    Raises:
        CompilerMissing: If no compiler is installed.
    """
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    name, *_ = os.environ.get("CXX", usual).split() or [usual]  # torch's choice, without its options
    if device.type == "cpu" and shutil.which(name) is None:
        raise CompilerMissing(
            f"--compile needs a C++ compiler, and {name} was not found; install it, set the variable CXX to "
            "another, or leave out --compile"
        )


def persist_compilation_cache() -> None:
    """Keep compiled code in the user's cache folder; torch's default is the temporary folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "cdgnet" / "torchinductor"))
