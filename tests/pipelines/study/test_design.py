"""The rows of the studies, and what makes a training."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from study_runs import CONFIG

from pipelines.errors import TrainingError
from pipelines.paper import PaperScore
from pipelines.study import design
from pipelines.study.definitions import STUDIES
from pipelines.train import runs
from prep.packs.reader import read_info


def test_a_row_of_a_study_differs_in_what_the_study_names_alone() -> None:
    for study in STUDIES.values():
        for value in study.values:
            config, varied = asdict(study.config(CONFIG, value)), {*study.fields, *study.fixed}
            own = study.settings.get(str(value)) or dict.fromkeys(study.fields, value)
            assert {name: config[name] for name in own} == own
            assert own.keys() <= {*study.fields}
            assert {name for name in config if config[name] != asdict(CONFIG)[name]} <= varied
        assert set(study.paper) <= {str(value) for value in study.values}


def test_packs_with_other_frames_are_refused(train_pack: Path, test_pack: Path) -> None:
    with pytest.raises(TrainingError, match="contain different crops"):
        design.rows(STUDIES["table3"], CONFIG, [train_pack, test_pack])


def test_table_4_varies_the_attention_of_the_large_branch_alone(train_pack: Path, other_masks: Path) -> None:
    rows = design.rows(STUDIES["table4"], CONFIG, [train_pack, other_masks])
    networks = [runs.network_of(row.config) for row in rows]

    assert [row.title for row in rows] == ["none", "channel", "spatial", "both"]
    assert [network.attention for network in networks] == ["none", "channel", "spatial", "both"]
    assert len({replace(network, attention="both") for network in networks}) == 1
    assert networks[-1] == runs.network_of(replace(CONFIG, variant="large-branch"))
    stated = [row.paper for row in rows]
    assert stated[0] == PaperScore(28.88, 0.920) and stated[-1] == STUDIES["table3"].paper["large-branch"]


def test_what_masks_are_worth_is_told_by_a_row_that_learns_from_none(train_pack: Path, other_masks: Path) -> None:
    rows = design.rows(STUDIES["masks"], CONFIG, [train_pack, other_masks])
    assert [row.title for row in rows] == ["no masks", "masks, lbp 0.96", "masks, lbp 0.5"]
    assert [row.config.lambda_large for row in rows] == [0, 0.1, 0.1]


def test_runs_of_before_there_was_a_choice_of_attention_go_on(train_pack: Path) -> None:
    assert "attention" not in runs.identity(CONFIG, [read_info(train_pack)], 2)
    assert runs.identity(replace(CONFIG, attention="none"), [read_info(train_pack)], 2)["attention"] == "none"


def test_attention_asked_for_by_name_is_the_variants_own_where_it_is(train_pack: Path) -> None:
    config = replace(CONFIG, variant="large-branch")
    same, other = (
        runs.identity(replace(config, attention=attention), [read_info(train_pack)], 2)
        for attention in ("both", "none")
    )
    assert runs.identity(config, [read_info(train_pack)], 2) == same != other


def test_only_what_is_fine_tuned_brings_what_it_goes_on_from(train_pack: Path, other_masks: Path) -> None:
    transfer = STUDIES["table2"]
    names = [row.name for row in design.transfer_rows(transfer, CONFIG, train_pack, other_masks, ["fine-tuned"])]
    assert names == ["GoPro alone", "fine-tuned"]
    with pytest.raises(
        TrainingError, match="the study has no row tuned; its rows are GoPro alone, fine-tuned, VideoDebl"
    ):
        design.transfer_rows(transfer, CONFIG, train_pack, other_masks, ["tuned"])


def test_rows_of_the_supervision_that_look_at_no_mask_are_trained_once(train_pack: Path, other_masks: Path) -> None:
    rows = design.rows(STUDIES["supervision"], CONFIG, [train_pack, other_masks])

    once = ["none", "whole", "one branch"]
    assert [row.name for row in rows if not row.masks] == once
    twice = ["target black", "target grey", "region", "soft", "attention", "region divided"]
    assert [(row.name, row.masks) for row in rows if row.masks] == [
        (name, masks) for name in twice for masks in ("lbp 0.96", "lbp 0.5")
    ]
    assert len({json.dumps(asdict(row.config)) for row in rows}) == len(once) + len(twice)
