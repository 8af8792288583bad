"""``cdg-train --config`` and ``--resume``: a run continued from its folder, or repeated from one file."""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from commands import call, mistake
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import TrainingError
from pipelines.train import config_file, runs
from pipelines.train.settings import TrainingConfig

SMALL = ("--variant", "dmphn-1", "--preset", "tiny", "--batch", "2", "--crop", "32", "--workers", "0")


@pytest.fixture
def begun(train_pack: Path, tmp_path: Path) -> Path:
    """A working folder with ``a.h5`` and a run of two steps, ``runs/a``."""
    shutil.copy(train_pack, tmp_path / "a.h5")
    done = call(tmp_path, "train", "--h5", "a.h5", *SMALL, "--steps", "2", "--seed", "7")
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_a_run_continues_from_its_folder_alone(begun: Path) -> None:
    finished = call(begun, "train", "--resume", "runs/a").stdout
    assert "runs/a is finished, at step 2" in finished
    assert "next: cdg-eval --weights runs/a/weights.safetensors --root DATA_SET" in finished

    done = call(begun, "train", "--resume", "runs/a", "--steps", "3")

    assert done.returncode == 0 and "step 3/3" in done.stdout, done.stderr
    assert yaml.safe_load((begun / "runs" / "a" / "config.yaml").read_text())["steps"] == 3


@pytest.mark.slow
def test_one_file_repeats_a_run_and_options_override_it(begun: Path) -> None:
    file = begun / "runs" / "a" / "config.yaml"
    for name, words in (("b", ()), ("c", ("--seed", "8", "--hours", "0.001"))):
        assert call(begun, "train", "--config", file, "--out", f"runs/{name}", *words).returncode == 0

    first, same, other = (json.loads((begun / "runs" / name / "run.json").read_text()) for name in "abc")
    assert first == same
    assert {name for name in {*first, *other} if first.get(name) != other.get(name)} == {"seed", "hours", "schedule"}


def test_the_packs_of_a_file_lie_relative_to_it(begun: Path) -> None:
    shutil.move(begun, moved := begun.with_name("moved"))
    elsewhere = moved / "elsewhere"
    elsewhere.mkdir()

    assert "is finished, at step 2" in call(elsewhere, "train", "--resume", moved / "runs" / "a").stdout


def test_a_pack_that_is_gone_is_named_and_can_be_passed_anew(begun: Path) -> None:
    shutil.move(begun / "a.h5", begun / "b.h5")

    assert "a.h5: this pack of the run does not exist; pass all its packs by --h5" in mistake(
        begun, "train", "--resume", "runs/a"
    )
    assert "is finished, at step 2" in call(begun, "train", "--resume", "runs/a", "--h5", "b.h5").stdout


def test_the_page_of_a_run_needs_no_other_option(begun: Path) -> None:
    page = begun / "runs" / "a" / "run.html"
    page.unlink()

    assert call(begun, "train", "--page", "runs/a").returncode == 0 and page.exists()


def test_a_run_of_an_earlier_release_says_how_to_continue_it(begun: Path) -> None:
    (begun / "runs" / "a" / "config.yaml").unlink()

    line = mistake(begun, "train", "--resume", "runs/a")

    assert line.endswith("an earlier release began this run; to continue, repeat the command that began it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bach: 3", "'bach' is not a setting; did you mean batch?"),
        ("batch: many", "wrong.yaml: --batch is many; it must be a whole number of at least 1"),
        ("hours: 3min", "wrong.yaml: --hours is 3min; it must be a number "),
        ("learning-rate: [1, 2]", "learning_rate is '[1, 2]'; it must be one value"),
        ("loss: l3", "wrong.yaml: --loss is l3; it must be one of l2, l1, ssim, psnr"),
        ("just words", "contains no settings; write lines such as 'batch: 4'"),
        ("batch: 'open", "cannot be read as YAML"),
        ("batch: !!python/object/apply:os.getcwd []", "cannot be read as YAML"),
        ("batch: 2", "--h5 is missing; pass --h5 FILE"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)

    assert said in mistake(tmp_path, "train", "--config", "wrong.yaml")


def test_a_file_and_a_run_to_continue_exclude_each_other(begun: Path) -> None:
    (begun / "packs.yaml").write_text("h5: a.h5")

    for words in (("--config", "packs.yaml", "--resume", "runs/a"), ("--resume", "runs/a", "--config", "packs.yaml")):
        assert "--config and --resume exclude each other" in mistake(begun, "train", *words)
    assert "--resume and --out exclude each other" in mistake(begun, "train", "--resume", "runs/a", "--out", "x")


def test_folders_that_hold_no_run_are_refused(tmp_path: Path) -> None:
    assert "nowhere is not a run folder" in mistake(tmp_path, "train", "--resume", "nowhere")
    assert "nowhere" in mistake(tmp_path, "train", "--page", "nowhere")


def test_numbers_may_be_written_as_people_write_them(train_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(f"h5: {train_pack}\nlearning-rate: 1e-5\ncrop: 32\nval: [none]\n")

    done = call(tmp_path, "train", "--config", "run.yaml", "--dry-run")

    assert done.returncode == 0 and "learning rate 1e-05" in done.stdout, done.stderr


@pytest.mark.slow
@settings(deadline=None, max_examples=200)  # each writes a file: a busy disk takes its time
@given(
    rate=st.floats(1e-12, 1.0),
    val=st.one_of(st.none(), st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), max_size=3)),
    mu=st.one_of(st.none(), st.floats(0, 1)),
)
def test_every_setting_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rate: float, val: list[str] | None, mu: float | None
) -> None:
    path = tmp_path_factory.mktemp("c") / "config.yaml"
    config = TrainingConfig(learning_rate=rate, mu=mu, val=None if val is None else tuple(val))

    config_file.write(path, config, [path.parent / "a.h5"])
    found = config_file.read(path)

    assert found.pop("h5") == [path.parent / "a.h5"]
    for each in fields(config):
        value = getattr(config, each.name)
        wanted = (list(value) or ["none"]) if each.name == "val" and value is not None else value
        assert found.get(each.name) == wanted


def test_the_frames_that_a_run_trained_on_are_those_of_its_packs_without_the_held_out(begun: Path) -> None:
    folder = begun / "runs" / "a"
    call(begun, "train", "--config", folder / "config.yaml", "--val", "GOPR0002", "--out", "runs/b")

    some = runs.frames_trained_on(begun / "runs" / "b")
    assert some and not any(key.startswith("GOPR0002") for _, key in some)
    (begun / "runs" / "b" / "config.yaml").write_text("h5: ../../a.h5\nval: GOPR0002\n")
    assert runs.frames_trained_on(begun / "runs" / "b").keys() == some.keys()
    (begun / "a.h5").unlink()
    assert not runs.frames_trained_on(folder)


def test_a_folder_is_no_file_of_settings(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read as YAML"):
        config_file.read(tmp_path)
