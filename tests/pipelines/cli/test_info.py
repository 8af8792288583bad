"""``cdg-info``."""

from pathlib import Path

import pytest
from commands import call, mistake

import cdgnet


def test_both_tables_come_with_one_command(tmp_path: Path) -> None:
    done = call(tmp_path, "info", "--tables", "--size", "64x64")

    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[4:13]] == list(cdgnet.VARIANTS[:9])  # the others are no rows of it
    assert lines[21].split()[:2] == ["attention", "both"] and lines[21].split()[-1] == "7.67"
    assert max(map(len, lines)) <= 80


def test_a_size_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = call(tmp_path, "info", "--size", "720p")

    assert done.returncode == 2
    assert "720p' is not a size; pass WIDTHxHEIGHT such as 1280x720, each from 16 to 65536" in done.stderr


def test_the_card_of_the_weights_that_come_with_the_package_names_what_they_saw() -> None:
    shown = call(Path(), "info", "--card").stdout

    assert "commit 935c688 with uncommitted changes, torch" in shown
    assert "Trained on, 29 pictures" in shown and "Aitzol Berasategi (CC BY 4.0)" in shown
    assert "GOPR" not in shown.partition("Trained on")[2]


def test_weights_without_a_card_say_what_they_know(weights: Path) -> None:
    shown = call(weights.parent, "info", "--card", "--weights", weights).stdout.splitlines()
    assert "has no card; its metadata:" in shown[0]
    assert "config:" in shown and "format: cdgnet" in shown
    assert '  encoder: "dense"' in shown, "JSON is shown with a line for each entry"
    assert "--card and --size exclude each other" in mistake(weights.parent, "info", "--card", "--size", "64x64")


def test_weights_are_priced_as_they_are_or_not_at_all(weights: Path) -> None:
    for other in (("--preset", "tiny"), ("--variant", "cdgnet"), ("--tables",)):
        said = mistake(weights.parent, "info", "--weights", weights, *other)
        assert f"--weights and {other[0]} exclude each other" in said


@pytest.mark.slow
def test_the_papers_figures_stand_beside_the_papers_widths_only(tmp_path: Path) -> None:
    assert "30.67" in call(tmp_path, "info", "--tables", "--size", "64x64").stdout
    small = call(tmp_path, "info", "--tables", "--size", "64X64", "--preset", "tiny").stdout
    assert "cdgnet" in small and "30.67" not in small and "paper\n" not in small


def test_without_options_the_first_line_says_what_is_described(tmp_path: Path) -> None:
    said = call(tmp_path, "info").stdout.splitlines()
    assert said[0] == "preset paper: cdgnet, widths 32, 64, 128; one frame of 1280 x 720"
    assert said[2].split() == ["parameters", "MB", "GMac", "ptflops"]
    assert said[-1].split() == ["total", "6,374,729", "25.499", "625.5", "541.0"]
