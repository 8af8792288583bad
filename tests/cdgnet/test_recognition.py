"""A network's config out of its tensors alone."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from cdgnet import PRESETS, VARIANTS, CDGNet, ModelConfig
from cdgnet.recognition import SWITCHES, config_of, switches_of


def configs() -> Iterator[ModelConfig]:
    """Every network that the commands can make: variants and presets, the gate, the rows of Table 4."""
    for preset, variant in product(PRESETS, VARIANTS):
        yield ModelConfig.preset(preset, variant)
    for preset in PRESETS:
        yield replace(ModelConfig.preset(preset), fusion="divided")
        for attention in ("none", "channel", "spatial"):
            yield replace(ModelConfig.preset(preset, "large-branch"), attention=attention)


def state_of(config: ModelConfig) -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(CDGNet(config).state_dict())


def most_slow(all_configs: Iterable[ModelConfig]) -> list[Any]:
    """Networks as a test's parameters: those of other widths than ``tiny`` are slow."""
    tiny = ModelConfig.preset("tiny").widths
    return [
        pytest.param(
            config,
            id=f"{config.variant} {config.widths[0]}",
            marks=[] if config.widths == tiny else [pytest.mark.slow],
        )
        for config in all_configs
    ]


@pytest.mark.parametrize("config", most_slow(configs()))
def test_the_tensors_of_every_published_network_tell_its_config(config: ModelConfig) -> None:
    wanted = state_of(config)
    switches = switches_of(config)

    found = config_of(wanted if switches is None else {**wanted, SWITCHES: switches})

    assert (found.variant, found.residual) == (config.variant, config.residual)
    assert {name: tensor.shape for name, tensor in state_of(found).items()} == {
        name: tensor.shape for name, tensor in wanted.items()
    }


@pytest.mark.parametrize("variant", ["cdgnet", "dmphn-1", "dmphn-1-2-4"])
def test_whether_images_are_residual_is_told_where_it_is_not_as_usual(variant: str) -> None:
    usual = ModelConfig.preset("tiny", variant)
    other = replace(usual, residual=not usual.residual)
    assert switches_of(usual) is None
    switches = switches_of(other)
    assert switches is not None
    assert config_of({**state_of(other), SWITCHES: switches}).residual == other.residual


def test_only_one_deformable_branch_without_attention_needs_a_tensor_that_tells() -> None:
    needy = {config.variant for config in configs() if switches_of(config) is not None}
    table_4 = replace(ModelConfig.preset("tiny", "large-branch"), attention="none").variant
    assert needy == {"dmphn-ld", "dmphn-sd", table_4}


def test_a_tensor_that_tells_something_else_is_refused() -> None:
    state = state_of(ModelConfig.preset("tiny"))
    for wrong in (torch.tensor([1.0, 0.5]), torch.tensor([1.0])):
        with pytest.raises(ValueError, match="must be two numbers, each 0 or 1"):
            config_of({**state, SWITCHES: wrong})
