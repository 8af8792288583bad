"""A scores folder: other scores are refused, and tables come back as they were."""

import csv
import json
import math
from pathlib import Path

import pytest

from cdgnet.metrics import PSNR_CEILING
from pipelines.errors import EvaluationError
from pipelines.evaluate import folder
from pipelines.evaluate.measures import MEASURES


def test_a_folder_of_other_scores_or_other_files_is_refused(tmp_path: Path) -> None:
    folder.begin(tmp_path / "scores", {"mu": 0.9}, {})
    with pytest.raises(EvaluationError, match=r"contains scores made with other settings \(mu\); use another --out"):
        folder.begin(tmp_path / "scores", {"mu": 0.8}, {})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(EvaluationError, match=r"contains other files"):
        folder.begin(tmp_path / "mine", {"mu": 0.9}, {})


def test_two_processes_never_score_into_one_folder(tmp_path: Path) -> None:
    with folder.held(tmp_path / "s"):
        folder.begin(tmp_path / "s", {"mu": 0.9}, {})
        with (
            pytest.raises(EvaluationError, match="s is in use by another cdg-eval process; wait until it ends, or use"),
            folder.held(tmp_path / "s"),
        ):
            pass
    with folder.held(tmp_path / "s"):
        folder.begin(tmp_path / "s", {"mu": 0.9}, {})
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["asked.json"]


def test_rows_come_back_as_they_were_scored(tmp_path: Path) -> None:
    row = {"key": "a", "psnr": 20.0, "psnr_m1": math.nan, "ssim": 0.5, "extents": [[3, 20, 10]] * 6}
    assert folder.begin(tmp_path / "s", {"pack": 1}, {}) == {}
    folder.append(tmp_path / "s", row, [])

    (found,) = folder.begin(tmp_path / "s", {"pack": 1}, {}).values()

    assert math.isnan(found["psnr_m1"])
    assert {**found, "psnr_m1": 0} == {**row, "psnr_m1": 0}


def test_scores_of_an_earlier_release_that_were_infinite_are_those_of_today(tmp_path: Path) -> None:
    row = {"key": "a", "psnr": "inf", "psnr_m1": 112.0, "psnr_m0": None, "lead_small": "-inf", "ssim": 1.0}
    folder.begin(tmp_path / "s", {"pack": 1}, {})
    (tmp_path / "s" / "scores.jsonl").write_text(json.dumps({**row, "sources": []}) + "\n")
    (tmp_path / "results.csv").write_text("key,psnr,psnr_m0\na,inf,\n")

    (found,) = folder.begin(tmp_path / "s", {"pack": 1}, {}).values()

    assert (found["psnr"], found["psnr_m1"]) == (PSNR_CEILING, PSNR_CEILING)
    assert math.isnan(found["psnr_m0"]) and math.isnan(found["lead_small"])
    assert folder.read(tmp_path)["a"]["psnr"] == PSNR_CEILING


def test_a_return_in_a_name_ends_no_line_of_the_table(tmp_path: Path) -> None:
    folder.write_csv(tmp_path / "results.csv", [{"key": "a\rb", "psnr": 20.0, "ssim": 0.5, "ssim_matlab3d": 0.5}])
    assert folder.read(tmp_path)["a\rb"]["psnr"] == 20


def test_scores_are_read_from_their_table(tmp_path: Path) -> None:
    row = {"key": "a/1", "psnr": 20.0, "psnr_m1": math.nan}
    folder.write_csv(tmp_path / "results.csv", [row, {"key": "mean", "psnr": 30.0, "psnr_m1": 0.0}])
    rows = folder.read(tmp_path)
    assert list(rows) == ["a/1", "mean"]
    assert rows["mean"]["psnr"] == 30
    assert (rows["a/1"]["psnr"], math.isnan(float(rows["a/1"]["psnr_m1"]))) == (20.0, True)
    (tmp_path / "results.csv").write_text("hello\nworld\n")
    with pytest.raises(EvaluationError, match="contains no scores of cdg-eval"):
        folder.read(tmp_path)


def test_the_table_ends_with_the_mean_and_leaves_missing_scores_empty(tmp_path: Path) -> None:
    names = [measure + suffix for measure in MEASURES for suffix in ("_blurry", "")]
    row = {"key": "a", "y": 0, "x": 0, "mask_share": 0.0, **dict.fromkeys(names, 20.0), "psnr_m1": math.nan}

    folder.write_csv(tmp_path / "results.csv", [row])

    with (tmp_path / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["key"] for line in lines] == ["a", "mean"]
    assert lines[0]["psnr_m1"] == ""
    assert float(lines[1]["psnr"]) == 20


def test_of_a_folder_of_scores_folders_a_few_are_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        folder.write_csv(tmp_path / "eval" / name / "results.csv", [{"key": "1", "psnr": 20.0, "ssim": 0.5}])

    with pytest.raises(
        EvaluationError, match=r"eval contains 4 scores folders; pass one of them, such as .*a, .*b, .*c$"
    ):
        folder.read(tmp_path / "eval")
    for name in ("c", "d"):
        (tmp_path / "eval" / name / "results.csv").unlink()
    with pytest.raises(EvaluationError, match=r"eval is not a scores folder; pass .*eval/a or .*eval/b$"):
        folder.read(tmp_path / "eval")
    with pytest.raises(EvaluationError, match="none does not exist; pass a scores folder"):
        folder.read(tmp_path / "none")
