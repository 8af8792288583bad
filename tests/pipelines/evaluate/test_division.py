"""Where attention looks, and what each branch restores better, against counts by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cdgnet import Components
from pipelines.evaluate import division


def auc_by_pairs(values: Tensor, positive: Tensor, negative: Tensor) -> float:
    """Every pixel of one kind against every pixel of the other."""
    ups, downs = values[positive].double(), values[negative].double()
    return float(((ups[:, None] > downs) + 0.5 * (ups[:, None] == downs)).double().mean())


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 13), width=st.integers(2, 14), levels=st.integers(1, 50), seed=st.integers(0, 1000))
def test_the_auc_is_the_share_of_pairs_in_order(height: int, width: int, levels: int, seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    attention = torch.randint(levels, (1, -(-height // 4), -(-width // 4)), generator=chance) / levels
    kinds = torch.randint(3, (1, height, width), generator=chance)  # the third is unknown
    kinds[0, 0, :2] = torch.tensor([0, 1])
    whole = attention.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, :height, :width]
    found = division.attention_auc(attention, kinds == 1, kinds == 0)
    assert found == pytest.approx(auc_by_pairs(whole, kinds == 1, kinds == 0))


def test_an_auc_without_one_kind_is_not_a_number() -> None:
    nothing = torch.zeros(1, 4, 4, dtype=torch.bool)
    assert math.isnan(division.attention_auc(torch.rand(1, 1, 1), ~nothing, nothing))


def make() -> tuple[Components, Tensor, Tensor, Tensor]:
    """The left half is blurred little; each branch is 10 levels off in its own half and 40 in the other."""
    sharp = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[..., :4] = 1
    off = torch.where(mask.bool(), 10, 40).expand(3, 8, 8)
    images = [(sharp + each).float()[None] / 255 - 0.5 for each in (off, 50 - off)]
    attention = torch.tensor([[0.8, 0.2], [0.7, 0.3]]).view(1, 1, 2, 2)
    components = Components(images[0], images[0], images[1], attention, 1 - attention)
    return components, sharp, mask, torch.where(mask.bool(), 1.0, 20.0)


def test_branches_that_divide_a_frame_win_where_they_should() -> None:
    gap, own = 20 * math.log10(4), 20 * math.log10(255 / 10)
    # A frame of two by two cells, which are all as near to its middle.
    wanted = {"auc_small": 1, "auc_large": 1, "auc_middle": 0.5, "psnr_small_branch": own, "psnr_large_branch": own}
    assert division.measure(*make()) == pytest.approx({**wanted, "lead_small": gap, "lead_large": gap})


def test_a_subject_in_the_middle_is_found_without_a_look() -> None:
    components, *_ = make()
    large = components._replace(**{name: torch.zeros(1, 3, 40, 60) for name in ("restored", "small", "large")})
    large = large._replace(small_attention=torch.rand(1, 1, 10, 15), large_attention=None)
    mask = torch.zeros(1, 40, 60, dtype=torch.uint8)
    mask[..., 16:24, 24:36] = 1
    scores = division.measure(
        large, torch.zeros(3, 40, 60, dtype=torch.uint8), mask, torch.where(mask.bool(), 1.0, 20.0)
    )
    assert scores["auc_middle"] > 0.97


def test_branches_the_wrong_way_round_lose() -> None:
    components, *others = make()
    swapped = components._replace(small=components.large, large=components.small)
    assert division.measure(swapped, *others)["lead_small"] == pytest.approx(-20 * math.log10(4))


def test_pixels_of_unknown_extent_count_nowhere() -> None:
    components, sharp, mask, extent = make()
    extent[..., :2, :] = math.nan
    wrong = sharp.clone()
    wrong[..., :2, :] = 255
    known = division.measure(components, wrong, mask, extent)
    assert known == pytest.approx(division.measure(*make()))


def test_equal_branches_are_level_even_without_an_error() -> None:
    components, sharp, mask, extent = make()
    exact = sharp[None] / 255 - 0.5
    scores = division.measure(components._replace(small=exact, large=exact), sharp, mask, extent)
    assert (scores["lead_small"], scores["lead_large"]) == (0, 0)


def test_a_network_has_the_measures_of_what_it_has() -> None:
    components, *others = make()
    one_branch = components._replace(small=None, large=None, small_attention=None)
    assert division.measure(one_branch, *others).keys() == {"auc_large", "auc_middle"}
    assert division.measure(components._replace(share=components.small_attention), *others)["auc_gate"] == 1
    no_attention = components._replace(small_attention=None, large_attention=None)
    wanted = {"psnr_small_branch", "psnr_large_branch", "lead_small", "lead_large"}
    assert division.measure(no_attention, *others).keys() == wanted


def test_a_handful_of_pixels_is_no_component() -> None:
    components, sharp, _, extent = make()
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[..., 0, 0] = 1  # 1.6 %
    assert division.is_large_enough(mask)
    assert not math.isnan(division.measure(components, sharp, mask, extent)["lead_small"])
    wider = Components(*(part if part is None else part.repeat(1, 1, 1, 2) for part in components))
    sharp, mask, extent = sharp.repeat(1, 1, 2), torch.cat([mask, 0 * mask], dim=2), extent.repeat(1, 1, 2)
    scores = division.measure(wider, sharp, mask, extent)  # 0.8 %
    assert math.isnan(scores["lead_small"]) and math.isnan(scores["auc_large"])
    assert not math.isnan(scores["lead_large"])
