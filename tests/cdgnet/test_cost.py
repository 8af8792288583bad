"""What networks cost, against the specification's tables."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from cdgnet import CDGNet, ModelConfig
from cdgnet.cost import network_cost
from pipelines.timing import time_network

# Parameters, and GMac at 1280 x 720 as ptflops counts and of all convolutions, worked out apart from this code.
ROWS = {
    ("paper", "dmphn-1"): (1_808_131, 229.8, 229.0),
    ("paper", "dmphn-acda"): (2_041_976, 242.0, 242.6),
    ("paper", "dmphn-ld"): (1_682_119, 183.7, 238.5),
    ("paper", "large-branch"): (1_915_964, 196.0, 252.1),
    ("paper", "dmphn-sd"): (2_132_645, 257.8, 284.7),
    ("paper", "small-branch"): (2_366_490, 270.1, 298.3),
    ("paper", "two-branch-concat"): (3_415_897, 354.5, 439.2),
    ("paper", "two-branch-off"): (3_442_713, 379.2, 463.8),
    ("paper", "dmphn-1-2-4"): (3 * 1_808_131, 689.4, 687.0),  # each level costs what one does
    ("paper", "cdgnet"): (6_374_729, 541.0, 625.5),
    ("light", "cdgnet"): (2_875_937, 292.8, 377.6),
}


@pytest.mark.parametrize(("preset", "variant"), ROWS)
def test_a_network_costs_what_its_row_says(preset: str, variant: str) -> None:
    parameters, ptflops, honest = ROWS[preset, variant]

    cost = network_cost(ModelConfig.preset(preset, variant), 720, 1280)["total"]

    assert cost.parameters == parameters
    assert cost.ptflops / 1e9 == pytest.approx(ptflops, rel=0.002)
    assert cost.honest / 1e9 == pytest.approx(honest, rel=0.002)


@pytest.mark.parametrize(
    ("attention", "parameters", "megabytes"),
    [("none", 1_682_119, 6.73), ("channel", 1_684_303, 6.74), ("spatial", 1_913_780, 7.66), ("both", 1_915_964, 7.67)],
)
def test_table_4_has_the_papers_sizes(attention: str, parameters: int, megabytes: float) -> None:
    config = replace(ModelConfig.preset("paper", "large-branch"), attention=attention)

    cost = network_cost(config, 720, 1280)["total"]

    assert cost.parameters == parameters
    assert cost.megabytes == pytest.approx(megabytes, rel=0.001)


def test_the_whole_is_the_sum_of_its_parts_and_a_real_network_has_as_many_parameters() -> None:
    config = ModelConfig.preset("tiny")
    costs = dict(network_cost(config, 64, 96))
    total = costs.pop("total")

    assert set(costs) == {
        "encoder",
        "fusion",
        *(f"{b}.{p}" for b in ("small", "large") for p in ("attention", "decoder")),
    }
    for name in ("parameters", "ptflops", "honest"):
        assert getattr(total, name) == sum(getattr(cost, name) for cost in costs.values())
    assert total.parameters == sum(weight.numel() for weight in CDGNet(config).parameters())


def test_each_level_of_patches_has_a_row() -> None:
    costs = dict(network_cost(ModelConfig.preset("tiny", "dmphn-1-2-4"), 64, 96))
    total = costs.pop("total")

    levels = [f"levels.{level}.{part}" for level in "23" for part in ("encoder", "decoder")]
    assert list(costs) == ["encoder", "plain.decoder", *levels]
    for name in ("parameters", "ptflops", "honest"):
        assert getattr(total, name) == sum(getattr(cost, name) for cost in costs.values())


def test_a_convolution_is_counted_as_ptflops_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from cdgnet import cost

    layer, features = nn.Conv2d(5, 7, 3, padding=1), torch.zeros(1, 5, 8, 9)

    ptflops, honest = cost._of_layer(layer, features, layer(features))

    assert honest == 5 * 7 * 9 * 8 * 9
    assert ptflops == honest + 7 * 8 * 9


def test_timing_names_a_range_and_the_memory() -> None:
    timing = time_network(CDGNet(ModelConfig.preset("tiny")).eval(), 32, 32, repeats=3)

    assert 0 < timing.fastest <= timing.seconds <= timing.slowest
    assert timing.peak_megabytes > 10
