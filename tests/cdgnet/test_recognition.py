"""A network's config out of its tensors alone."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from cdgnet import PRESETS, VARIANTS, CDGNet, ModelConfig
from cdgnet.recognition import SHRINKAGE, SWITCHES, config_of, hints_of


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

    found = config_of({**wanted, **hints_of(config)})

    assert (found.variant, found.residual) == (config.variant, config.residual)
    assert {name: tensor.shape for name, tensor in state_of(found).items()} == {
        name: tensor.shape for name, tensor in wanted.items()
    }


@pytest.mark.parametrize("variant", ["cdgnet", "dmphn-1", "dmphn-1-2-4"])
def test_whether_images_are_residual_is_told_where_it_is_not_as_usual(variant: str) -> None:
    usual = ModelConfig.preset("tiny", variant)
    other = replace(usual, residual=not usual.residual)
    assert not hints_of(usual)
    assert list(hints_of(other)) == [SWITCHES]
    assert config_of({**state_of(other), **hints_of(other)}).residual == other.residual


def test_the_shrinkage_is_found_from_a_tensor_also_in_half_precision() -> None:
    config = ModelConfig.preset("tiny", "dmphn-1")
    assert config_of(state_of(config)).shrinkage == 0
    hints = hints_of(replace(config, shrinkage=2.5))
    assert list(hints) == [SHRINKAGE]
    for given in (hints, {SHRINKAGE: hints[SHRINKAGE].half()}):
        assert config_of({**state_of(config), **given}).shrinkage == 2.5
    with pytest.raises(ValueError, match=r"shrinkage is .*; it must be a number from 0 to 255"):
        config_of({**state_of(config), SHRINKAGE: torch.ones(2)})


def test_only_one_deformable_branch_without_attention_needs_a_tensor_that_tells() -> None:
    needy = {config.variant for config in configs() if hints_of(config)}
    table_4 = replace(ModelConfig.preset("tiny", "large-branch"), attention="none").variant
    assert needy == {"dmphn-ld", "dmphn-sd", table_4}


def test_a_tensor_that_tells_something_else_is_refused() -> None:
    state = state_of(ModelConfig.preset("tiny"))
    for wrong in (torch.tensor([1.0, 0.5]), torch.tensor([1.0])):
        with pytest.raises(ValueError, match="must be two numbers, each 0 or 1"):
            config_of({**state, SWITCHES: wrong})
