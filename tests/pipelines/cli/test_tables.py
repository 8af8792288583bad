"""Tables in plain text: aligned, narrow, with whole numbers."""

import sys

import pytest

from pipelines.cli.tables import print_table

ROWS = [["GOPR0384_11_00/000001", "25.32", "+0.49"], ["mean", "9.1", "-"]]


def test_columns_are_aligned_and_a_total_stands_apart(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["frame", "psnr\nblurry", "gain"], ROWS, has_total=True)

    assert capsys.readouterr().out.splitlines() == [
        "                         psnr",
        "frame                  blurry   gain",
        "---------------------  ------  -----",
        "GOPR0384_11_00/000001   25.32  +0.49",
        "---------------------  ------  -----",
        "mean                      9.1      -",
    ]


def test_a_narrow_terminal_shortens_names_and_no_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(["frame", "psnr", "gain"], ROWS)

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 30
    assert lines[2] == "..._11_00/000001  25.32  +0.49"


def test_wide_characters_take_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["frame", "psnr"], [["写", "1.0"], ["abc", "2.0"]])

    assert capsys.readouterr().out.splitlines()[2:] == ["写      1.0", "abc     2.0"]
