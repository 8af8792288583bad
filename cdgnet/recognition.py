"""Find a network's config from its tensors, for programs that keep the tensors of a file and drop its header."""

from collections.abc import Mapping

import torch
from torch import Tensor

from cdgnet.config import ModelConfig

SWITCHES = "skips_residual"
"""A tensor of two numbers, 0 or 1, that ``save_weights`` adds if the other tensors do not determine these fields."""

SHRINKAGE = "shrinkage"
"""A tensor of one number, the field of this name, that ``save_weights`` adds unless it is 0."""

_LEVELS = ("full", "half", "quarter")


def config_of(tensors: Mapping[str, Tensor]) -> ModelConfig:
    """Find the config of a network with these tensors; fields that have no effect in it get arbitrary values.

    No shape determines ``residual`` and ``skips``. Without ``SWITCHES``, ``residual`` is assumed for networks of one
    level, and ``skips`` unless the only branch is plain. This is right for all networks that the commands write, except
    for a single deformable branch without attention: the paper has it with and without ``skips``, so it is an error.

    Args:
        tensors: Named as in ``CDGNet.state_dict``; other names are ignored.

    Raises:
        ValueError: If a tensor that determines a field is missing or has an impossible shape, or ``skips`` is unknown.
    """
    widths = [_outputs(tensors, f"encoder.{level}_level.0.weight") for level in _LEVELS]
    is_dense = "encoder.full_level.1.join.weight" in tensors
    growths = [_outputs(tensors, f"encoder.{level}_level.1.dense.0.0.weight") for level in _LEVELS if is_dense]
    branches, attention, fusion = _branches(tensors), _attention(tensors), _fusion(tensors)
    has_orientations = fusion in ("orientation", "divided")
    squeeze = next((name for name in tensors if name.endswith("attention.channel.body.1.weight")), None)
    guide = next((name for name in tensors if name.endswith(".offset_conv.weight")), None)
    levels = len({name.split(".")[1] for name in tensors if name.startswith("levels.")}) + 1
    skips, residual = _usual_skips(branches, attention), levels == 1
    if SWITCHES in tensors:
        skips, residual = _switched(tensors[SWITCHES])
    if skips is None:
        raise ValueError(
            f"the tensors do not show whether the {branches} branch takes features of the encoder (skips), since an "
            "early version wrote the file; write it again with save_weights(NEW, load_weights(OLD), {})"
        )
    return ModelConfig.from_dict(
        {
            "encoder": "dense" if is_dense else "residual",
            "branches": branches,
            "attention": attention,
            "skips": skips,
            "fusion": fusion,
            "widths": widths,
            "growths": growths or [1, 1, 1],
            "fusion_width": _outputs(tensors, "fusion.large.0.weight") if has_orientations else 1,
            "attention_reduction": widths[2] // max(_outputs(tensors, squeeze), 1) if squeeze else 1,
            "offset_groups": _outputs(tensors, guide) // 27 if guide else 1,  # offsets and modulation of 3 x 3 taps
            "residual": residual,
            "shrinkage": tensors[SHRINKAGE].tolist() if SHRINKAGE in tensors else 0.0,
            "levels": levels,
        }
    )


def hints_of(config: ModelConfig) -> dict[str, Tensor]:
    """Return the tensors, ``SWITCHES`` and ``SHRINKAGE``, without which ``config_of`` would be wrong; often none."""
    hints = {}
    if config.residual != (config.levels == 1) or config.skips != _usual_skips(config.branches, config.attention):
        hints[SWITCHES] = torch.tensor([float(config.skips), float(config.residual)])
    if config.shrinkage:
        hints[SHRINKAGE] = torch.tensor(config.shrinkage)
    return hints


def without_hints(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the network itself."""
    return {name: tensor for name, tensor in tensors.items() if name not in (SWITCHES, SHRINKAGE)}


def _usual_skips(branches: str, attention: str) -> bool | None:
    """Return ``skips`` of Tables 3 and 4; None if they differ: ``dmphn-ld`` has no skips, Table 4's first row has."""
    if branches == "plain":
        return False
    return None if branches != "both" and attention == "none" else True


def _switched(switches: Tensor) -> tuple[bool, bool]:
    values = switches.flatten().tolist()
    if len(values) != 2 or not set(values) <= {0, 1}:
        raise ValueError(f"{SWITCHES} must be two numbers, each 0 or 1")
    return bool(values[0]), bool(values[1])


def _outputs(tensors: Mapping[str, Tensor], name: str) -> int:
    if name not in tensors or not tensors[name].ndim:
        raise ValueError(f"{name} is {'not a weight' if name in tensors else 'missing'}")
    return len(tensors[name])


def _branches(tensors: Mapping[str, Tensor]) -> str:
    names = {name.split(".")[1] for name in tensors if name.startswith("branches.")}
    return "both" if names == {"small", "large"} else ", ".join(sorted(names)) or "none"


def _attention(tensors: Mapping[str, Tensor]) -> str:
    parts = [part for part in ("channel", "spatial") if any(f".attention.{part}." in name for name in tensors)]
    return "both" if len(parts) == 2 else "".join(parts) or "none"


def _fusion(tensors: Mapping[str, Tensor]) -> str:
    if "fusion.head.weight" not in tensors:
        return "none"
    if "fusion.large.0.weight" not in tensors:
        return "concat"
    return "divided" if "gate.body.0.weight" in tensors else "orientation"
