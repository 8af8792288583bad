"""A page, or a table, of a person's own is never replaced."""

from pathlib import Path

import numpy as np
import pytest
from commands import call, mistake

from pipelines.pages import page_file
from prep.errors import ForeignFile
from prep.io import frames


def test_a_page_replaces_a_page_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(ForeignFile, match=r"report\.html would be replaced, but cdgnet did not write it"):
        page_file.write(path, "a page")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["report.html", "results.csv", "results.json"])
def test_scores_replace_their_own_files_alone_and_say_so_before_the_work(tmp_path: Path, name: str) -> None:
    for kind in ("restored", "sharp"):
        frames.write(tmp_path / kind / "a.png", np.zeros((20, 30, 3), np.uint8))
    asked = ("evaluate", "--restored", "restored", "--sharp", "sharp", "--out", "scores")
    for _ in range(2):
        assert call(tmp_path, *asked).returncode == 0
    (tmp_path / "scores" / name).write_text("mine")

    assert f"scores/{name} would be replaced, but cdgnet did not write it" in mistake(tmp_path, *asked)
    assert (tmp_path / "scores" / name).read_text() == "mine"


def test_a_run_replaces_its_own_page_alone_and_says_so_before_the_work(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.html").write_text("mine")
    asked = ("train", "--h5", train_pack, "--out", "run", "--preset", "tiny", "--steps", "1", "--crop", "32")
    assert "run contains files but no run.json" in mistake(tmp_path, *asked)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.html"]


@pytest.mark.parametrize("name", ["loss.html", "loss.csv", "loss-runs.csv"])
def test_a_study_replaces_its_own_files_alone_and_says_so_before_the_work(
    train_pack: Path, test_pack: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    asked = ("study", "loss", "--h5", train_pack, "--test", test_pack, "--out", "out", "--preset", "tiny")
    assert f"out/{name} would be replaced" in mistake(tmp_path, *asked)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
