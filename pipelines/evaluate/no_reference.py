"""Measures that need no sharp frame: NIQE, computed here, and those of pyiqa (extra ``iqa``)."""

import hashlib
import io
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.errors import EvaluationError
from pipelines.evaluate import niqe
from pipelines.packs import to_array

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LOWER_IS_BETTER = ("niqe", "piqe", "ilniqe", "brisque", "pi", "afine_nr")
_HIGHER_IS_BETTER = (
    *("musiq", "musiq-ava", "musiq-paq2piq", "musiq-spaq", "maniqa", "maniqa-pipal", "maniqa-kadid", "clipiqa"),
    *("clipiqa+", "clipiqa+_vitL14_512", "clipiqa+_rn50_512", "topiq_nr", "topiq_nr-flive", "topiq_nr-spaq", "nrqm"),
    *("hyperiqa", "metaiqa", "dbcnn", "cnniqa", "paq2piq", "tres", "tres-flive", "wadiqam_nr", "unique", "liqe"),
    *("liqe_mix", "nima", "nima-koniq", "nima-spaq", "nima-vgg16-ava", "laion_aes", "entropy", "arniqa", "arniqa-live"),
    *("arniqa-csiq", "arniqa-tid", "arniqa-kadid", "arniqa-clive", "arniqa-flive", "arniqa-spaq", "maclip", "fgresq"),
    *("qualiclip", "qualiclip+", "qualiclip+-clive", "qualiclip+-flive", "qualiclip+-spaq"),
)
NAMES = (*_LOWER_IS_BETTER, *_HIGHER_IS_BETTER)
"""Names in pyiqa. Its other measures score whole sets, need a text, or have models of gigabytes."""

_SOME = "musiq, maniqa, clipiqa+, topiq_nr or brisque"  # examples for a message
_DIRECTIONS = {**dict.fromkeys(_LOWER_IS_BETTER, "lower"), **dict.fromkeys(_HIGHER_IS_BETTER, "higher")}
LEGEND = {name: f"by pyiqa; {direction} is better" for name, direction in _DIRECTIONS.items()}
LEGEND["niqe"] = f"blocks of {niqe.BLOCK} x {niqe.BLOCK}, the authors' model; lower is better"


class NoReference(Protocol):
    """A measure of one picture."""

    @property
    def name(self) -> str: ...

    @property
    def origin(self) -> str:
        """The implementation and its weights; measures of equal origin give equal scores."""
        ...

    def __call__(self, picture: "Tensor") -> float:
        """Score a ``(3, H, W)`` uint8 picture; NaN if it has no score.

        Raises:
            EvaluationError: If the picture is too small.
        """
        ...


def is_lower_better(name: str) -> bool:
    """Return whether lower is better for a measure that needs no sharp frame; False for PSNR and other names."""
    return name in _LOWER_IS_BETTER


def check_name(name: str) -> None:
    """Refuse a name that is not one of ``NAMES``.

    Raises:
        EvaluationError: If the name is unknown.
    """
    if name not in NAMES:
        near = get_close_matches(name, NAMES)
        advice = f"did you mean {' or '.join(near)}?" if near else f"use niqe, or one of pyiqa such as {_SOME}"
        raise EvaluationError(f"--measure {name} is not known; {advice}")


def load(name: str, device: "torch.device") -> NoReference:
    """Load a measure by its name.

    Args:
        name: One of ``NAMES``.
        device: The device to compute it on, if it is a network.

    Raises:
        EvaluationError: If there is no such measure, or weights are missing; nothing is downloaded.
        ModuleNotFoundError: If it needs pyiqa and that is not installed.
    """
    check_name(name)
    return NIQE() if name == "niqe" else PyIQA(name, device)


class NIQE:
    """The measure of ``niqe.niqe``."""

    name, origin = "niqe", "the authors' model of 2013"

    def __call__(self, picture: "Tensor") -> float:
        return niqe.niqe(to_array(picture))


class PyIQA:
    """A measure of pyiqa, a package whose licence (PolyForm Noncommercial) forbids commercial use.

    Args:
        name: Its name in pyiqa.
        device: The device to compute it on.

    Raises:
        EvaluationError: If weights are missing, or this release of pyiqa has no such measure.
        ModuleNotFoundError: If pyiqa is not installed.
    """

    def __init__(self, name: str, device: "torch.device") -> None:
        self.name, self.device = name, device
        import pyiqa

        if name not in pyiqa.list_models("NR"):
            raise EvaluationError(f"pyiqa {pyiqa.__version__} has no measure {name}; install a later version")
        with _no_downloads(name), redirect_stdout(io.StringIO()):  # pyiqa prints what it loads
            self._metric = pyiqa.create_metric(name, device=device)
        self.origin = f"pyiqa {pyiqa.__version__}, weights {_checksum(self._metric)}"

    def __call__(self, picture: "Tensor") -> float:
        import torch

        batch = picture[None].to(self.device).float() / 255
        try:
            with torch.no_grad(), redirect_stdout(io.StringIO()):
                return float(self._metric(batch))
        except (AssertionError, RuntimeError, ValueError) as error:
            height, width = picture.shape[1:]
            reason = " ".join(str(error).split())
            raise EvaluationError(
                f"pyiqa cannot compute {self.name} of {width} x {height} pixels ({reason})"
            ) from error


def _checksum(network: "torch.nn.Module") -> str:
    import torch

    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


@contextmanager
def _no_downloads(name: str) -> Iterator[None]:
    """Refuse downloads by pyiqa and its dependencies, with an error that names the missing file or host."""

    def refuse_file(url: str, dst: str, *_: object, **__: object) -> None:
        raise EvaluationError(f"--measure {name} needs {dst}, which does not exist; put the file there, or {remedy}")

    def refuse_connection(host: object, *_: object, **__: object) -> Any:
        raise EvaluationError(f"--measure {name} needs weights that pyiqa downloads from {host}; {remedy}")

    remedy = f"""run python -c "import pyiqa; pyiqa.create_metric('{name}')" on a machine with internet access"""
    import torch

    holders = [torch.hub, *(each for known, each in sys.modules.items() if known.startswith("pyiqa."))]
    with ExitStack() as stack:
        for module in holders:
            if "download_url_to_file" in vars(module):
                stack.enter_context(_replaced(module, "download_url_to_file", refuse_file))
        stack.enter_context(_replaced(socket, "getaddrinfo", refuse_connection))
        yield


@contextmanager
def _replaced(module: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, original)
