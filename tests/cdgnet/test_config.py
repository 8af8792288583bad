"""ModelConfig: presets, JSON round trip, and all problems at once."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdgnet.config import PRESETS, VARIANTS, ModelConfig

counts = st.integers(1, 9)


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    groups, reduction = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2, 4]))
    full, half, quarter = (draw(counts) for _ in range(3))
    branches = draw(st.sampled_from(["both", "large", "small", "plain"]))
    attention, skips = draw(st.sampled_from(["both", "channel", "spatial", "none"])), draw(st.booleans())
    return ModelConfig(
        encoder=draw(st.sampled_from(["dense", "residual"])),
        branches=branches,
        attention=attention,
        skips=skips,
        fusion=draw(st.sampled_from(["orientation", "concat"])) if branches == "both" else "none",
        widths=(full * groups, half * groups, quarter * 4 * groups * reduction),
        growths=(draw(counts), draw(counts), draw(counts)),
        fusion_width=draw(counts),
        attention_reduction=reduction,
        offset_groups=groups,
        residual=draw(st.booleans()),
        shrinkage=draw(st.floats(0, 255)),
        levels=draw(st.integers(1, 4)) if (branches, attention, skips) == ("plain", "none", False) else 1,
    )


@given(config=configs())
def test_a_config_survives_json(config: ModelConfig) -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_default_is_paper() -> None:
    assert ModelConfig() == ModelConfig.preset("paper")


def test_the_presets_differ_and_have_a_name_each() -> None:
    assert len({ModelConfig.preset(name) for name in PRESETS}) == len(PRESETS) == 4


def test_an_unknown_preset_is_named_beside_the_known_ones() -> None:
    with pytest.raises(ValueError, match="preset 'huge' does not exist; pass one of paper, light, small, tiny"):
        ModelConfig.preset("huge")


def test_all_problems_of_a_description_come_in_one_line() -> None:
    values = ModelConfig().to_dict()
    del values["fusion_width"]
    values |= {"growths": [1, 2], "offset_groups": True, "depth": 3}
    with pytest.raises(ValueError) as caught:
        ModelConfig.from_dict(values)
    assert str(caught.value) == (
        "depth is not a field; remove it; fusion_width is missing; add it; "
        "growths is (1, 2); it must be three whole numbers from 1 to 4096; "
        "offset_groups is True; it must be a whole number from 1 to 4096"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("widths", [8, 16, 32.0]),
        ("widths", "abc"),
        ("growths", [0, 1, 1]),
        ("residual", 1),
        ("skips", "no"),
        ("encoder", "rdb"),
        ("fusion", None),
        ("residual", None),
        ("levels", 5),
        ("shrinkage", -1),
        ("shrinkage", float("nan")),
        ("shrinkage", True),
    ],
)
def test_an_ill_typed_field_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} is "):
        ModelConfig.from_dict({**ModelConfig().to_dict(), field: value})


def test_fields_that_do_not_fit_together_are_all_named() -> None:
    with pytest.raises(ValueError) as caught:
        ModelConfig(widths=(9, 16, 36), attention_reduction=16)
    assert str(caught.value) == (
        "width 9 is not a multiple of offset_groups 2; change either; "
        "the last of widths, 36, is not a multiple of 4 * offset_groups 2; change either; "
        "the last of widths, 36, is not a multiple of attention_reduction 16; change either"
    )


@pytest.mark.parametrize(("branches", "fusion"), [("both", "none"), ("large", "concat")])
def test_only_two_branches_are_fused(branches: str, fusion: str) -> None:
    with pytest.raises(ValueError, match=f"fusion is {fusion} with branches {branches}; make it"):
        ModelConfig(branches=branches, fusion=fusion)


def test_a_network_of_one_level_is_described_as_before_there_were_several() -> None:
    assert not {"levels", "shrinkage"} & set(ModelConfig().to_dict())
    assert ModelConfig.preset("tiny", "dmphn-1-2-4").to_dict()["levels"] == 3


def test_only_the_plain_branch_without_attention_and_skips_has_levels() -> None:
    ModelConfig.preset("tiny", "dmphn-1-2-4-8")
    with pytest.raises(ValueError, match="levels is 3 with branches plain, attention channel, skips false; make it 1"):
        replace(ModelConfig.preset("tiny", "dmphn-1-2-4"), attention="channel")


def test_every_variant_knows_its_name_in_every_preset() -> None:
    assert [ModelConfig.preset("tiny", name).variant for name in VARIANTS] == list(VARIANTS)
    assert len({ModelConfig.preset("paper", name) for name in VARIANTS}) == len(VARIANTS) == 11
    assert replace(ModelConfig(), fusion="divided").variant == "cdgnet, divided fusion"
    residual = replace(ModelConfig.preset("paper", "dmphn-1-2-4"), residual=True).variant
    assert residual.startswith("encoder residual") and residual.endswith("levels 3, residual True")
    assert replace(ModelConfig(), attention="none").variant.startswith("encoder dense, branches both, attention none")
    with pytest.raises(ValueError, match="variant 'srn' does not exist; pass one of dmphn-1, "):
        ModelConfig.preset("paper", "srn")


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ModelConfig().fusion_width = 3  # type: ignore[misc]


def test_every_field_says_what_it_means() -> None:
    assert all(field.metadata["help"] for field in fields(ModelConfig))
