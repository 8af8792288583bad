"""What is printed: nothing in a name steers the terminal, and no encoding ends a command."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import call, mistake
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli import evaluate, progress
from pipelines.cli.printing import escaped, escaping
from pipelines.cli.tables import print_table
from prep.io import frames

NOT_UTF8 = os.fsdecode(b"x\xff")
STEERING = "a[/red]\x1b[31m\x9b5m\u202eb"


def pictures_named(folder: Path, name: str) -> tuple[object, ...]:
    for kind in ("restored", "sharp"):
        frames.write(folder / kind / f"{name}.png", np.zeros((20, 30, 3), np.uint8))
    return ("evaluate", "--restored", folder / "restored", "--sharp", folder / "sharp", "--out", "scores")


@given(st.text(st.characters(categories=None)), st.sampled_from(["utf-8", "ascii", "cp1252"]))
def test_whatever_is_printed_is_plain_text_that_the_encoding_has(text: str, encoding: str) -> None:
    printed = escaped(text, encoding)
    assert printed.encode(encoding).decode(encoding) == printed
    assert all(character in "\t\n" or character >= " " for character in printed)
    assert not any("\x7f" <= character <= "\x9f" for character in printed)
    assert escaped(printed, encoding) == printed


def test_names_that_steer_a_terminal_or_look_like_markup_are_printed_as_text(tmp_path: Path) -> None:
    done = call(tmp_path, *pictures_named(tmp_path, STEERING))

    assert done.returncode == 0, done.stderr
    assert r"a[/red]\x1b[31m\x9b5m\u202eb" in done.stdout
    assert not {"\x1b", "\x9b", "\u202e"} & {*done.stdout, *done.stderr}


def test_a_mistake_is_one_line_whatever_the_name(tmp_path: Path) -> None:
    name = f"{STEERING}\nnot here"
    said = call(tmp_path, "evaluate", "--restored", name, "--sharp", ".")
    assert said.stderr.count("\n") == 1
    assert r"a[/red]\x1b[31m\x9b5m\u202eb\nnot here" in said.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_of_a_smaller_encoding_gets_the_scores_too(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = pictures_named(tmp_path, "写")[1:]
    output = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "argv", ["cdg-eval", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        evaluate.main()

    output.flush()
    said = output.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert (end.value.code, r"\u5199  100.00  1.0000" in said) == (0, True)


def test_what_a_bar_and_a_table_show_is_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    with escaping():
        assert list(progress.track([1], 1, STEERING)) == [1]
        print_table([STEERING], [[STEERING]])

    said = capsys.readouterr()
    assert r"a[/red]\x1b[31m\x9b5m\u202eb" in said.err
    assert said.out.count(r"a[/red]\x1b[31m\x9b5m\u202eb") == 2
    assert "\x1b[31m" not in said.out + said.err


def test_frames_whose_names_are_not_utf8_are_refused_and_folders_are_not(tmp_path: Path) -> None:
    words = pictures_named(tmp_path / "frames", NOT_UTF8)
    assert rf"the name of {tmp_path}/frames/restored/x\udcff.png is not UTF-8; rename it" in mistake(tmp_path, *words)

    done = call(tmp_path, *pictures_named(tmp_path / NOT_UTF8, "a"))
    assert done.returncode == 0, done.stderr
    assert r"x\udcff" in (tmp_path / "scores" / "report.html").read_text(encoding="utf-8")


def test_photographs_whose_names_are_not_utf8_are_refused(tmp_path: Path) -> None:
    frames.write(tmp_path / "photos" / f"{NOT_UTF8}.png", np.zeros((400, 600, 3), np.uint8))
    said = mistake(tmp_path, "prep", "synth", "--photos", "photos", "--out", "made")
    assert r"x\udcff.png is not UTF-8; rename it" in said


def test_progress_of_a_resumed_run_counts_what_was_done_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1.0)
    times = iter((0.0, 2.0, 4.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))

    assert list(progress.narrate("ab", lambda: 12, "train", unit="steps", seconds_left=lambda: 60.0, start=10)) == [
        "a",
        "b",
    ]

    assert capsys.readouterr().err.splitlines() == [
        "train: 11 of 12, 0.50 steps/s, 60 s left",
        "train: 12 of 12, 0.50 steps/s, 60 s left",
    ]


def test_progress_counts_steps_and_no_validation_before_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1.0)
    times = iter((0.0, 2.0, 4.0, 6.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))

    assert list(progress.narrate((0, 1, 2), 2, "train", unit="steps", position=int)) == [0, 1, 2]

    assert capsys.readouterr().err.splitlines() == [
        "train: 0 of 2, 0.00 steps/s",
        "train: 1 of 2, 0.25 steps/s, 4 s left",
        "train: 2 of 2, 0.33 steps/s, under 1 s left",
    ]
