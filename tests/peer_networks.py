"""Small networks of other projects' architectures, with random weights, in the files that those projects publish."""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of torch.jit, which the library still uses
    import spandrel_extra_arches
    from spandrel.architectures.FFTformer import FFTformer
    from spandrel.architectures.KBNet import KBNet_l, KBNet_s
    from spandrel.architectures.NAFNet import NAFNet
    from spandrel.architectures.Uformer import Uformer
    from spandrel_extra_arches.architectures.M3SNet import M3SNet
    from spandrel_extra_arches.architectures.MIRNet2 import MIRNet2
    from spandrel_extra_arches.architectures.MPRNet import MPRNet
    from spandrel_extra_arches.architectures.Restormer import Restormer

spandrel_extra_arches.install(ignore_duplicates=True)  # whichever test comes first

Weights = dict[str, Tensor]


def _params(weights: Weights) -> dict[str, Any]:
    """As basicsr saves them, which NAFNet, Restormer, KBNet and MIRNet-v2 are trained with."""
    return {"params": weights}


def _checkpoint(weights: Weights) -> dict[str, Any]:
    """As MPRNet, Uformer and M3SNet save them: of several GPUs, with the optimiser's state."""
    state = OrderedDict((f"module.{name}", value) for name, value in weights.items())
    optimizer = {"state": {0: {"step": 7, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 2e-4, "params": [0]}]}
    return {"epoch": 3000, "state_dict": state, "optimizer": optimizer}


def _bare(weights: Weights) -> dict[str, Any]:
    """As FFTformer saves them."""
    return OrderedDict(weights)


_ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], Callable[[Weights], dict[str, Any]]]] = {
    "NAFNet": (lambda: NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]), _params),
    "Restormer": (
        lambda: Restormer(dim=8, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1, heads=[1, 1, 2, 2]),
        _params,
    ),
    "FFTformer": (lambda: FFTformer(dim=8, num_blocks=[1, 1, 1], num_refinement_blocks=1), _bare),
    "MPRNet": (lambda: MPRNet(n_feat=8, scale_unetfeats=4, scale_orsnetfeats=4, num_cab=2), _checkpoint),
    "Uformer": (
        lambda: Uformer(img_size=256, embed_dim=8, depths=[1] * 9, num_heads=[1] * 9, modulator=True, dd_in=3),
        _checkpoint,
    ),
    "KBNet": (lambda: KBNet_s(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]), _params),
    "KBNet-L": (
        lambda: KBNet_l(dim=24, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1, heads=[1, 1, 2, 2]),
        _params,
    ),
    "MIRNet2": (lambda: MIRNet2(n_feat=16, n_MRB=1), _params),
    "M3SNet": (
        lambda: M3SNet(width=8, middle_blk_num=1, enc_blk_nums=[1, 1, 1, 1], dec_blk_nums=[1, 1, 1, 1]),
        _checkpoint,
    ),
}
ARCHITECTURES = tuple(_ARCHITECTURES)
_QUICK = ("NAFNet",)


def some_slow(names: Sequence[str]) -> list[Any]:
    """Names as a test's parameters: of most the test is slow."""
    return [pytest.param(name, marks=[] if name in _QUICK else [pytest.mark.slow]) for name in names]


def write(folder: Path, name: str) -> Path:
    """Write the weights of one of ``ARCHITECTURES``, random and the same at every call; gives the file."""
    make, layout = _ARCHITECTURES[name]
    torch.manual_seed(0)
    network = make()
    for parameter in network.parameters():
        if not parameter.any():  # what starts at zero would hide what feeds it
            nn.init.normal_(parameter, std=0.05)
    path = folder / f"{name}.pth"
    torch.save(layout(network.state_dict()), path)
    return path
