"""What a wrong option or argument is answered."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import call, mistake


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        (
            "train",
            [],
            "cdg-train: --h5 is missing; pass --h5 FILE, a pack made by cdg-prep pack (see cdg-train --help)",
        ),
        ("train", ["--h5"], "--h5 needs a value"),
        ("imports", ["dmphn"], "DIR is missing; pass DIR"),
        ("deblur", ["--quality", "0"], "--quality is 0; it must be a whole number from 1 to 100"),
        ("deblur", ["--quality", "high"], "--quality is high; it must be a whole number from 1 to 100"),
        ("deblur", ["--batch", "0"], "--batch is 0; it must be a whole number of at least 1"),
        ("evaluate", ["--mu", "1.5"], "--mu is 1.5; it must be a number from 0 to 1"),
        ("evaluate", ["--mu", "nan"], "--mu is nan; it must be a number from 0 to 1"),
        ("evaluate", ["--masks", "no"], "--masks: no does not exist; pass a folder"),
        ("info", ["--preset", "huge"], "--preset is huge; it must be one of paper, light, small, tiny"),
        ("info", ["--weight"], "there is no option --weight; did you mean --weights?"),
        ("info", ["net.safetensors"], "net.safetensors is a weights file; pass it as --weights net.safetensors"),
        ("prep", ["mask"], "there is no command mask; commands: info, masks, pack, remask, synth, verify, view"),
        ("prep", ["masks", "a", "b"], "unexpected: a b; leave it out"),
    ],
)
def test_wrong_words_are_answered_with_what_is_wanted(tmp_path: Path, name: str, words: list[str], said: str) -> None:
    assert said in mistake(tmp_path, name, *words)


def test_a_pattern_that_the_shell_expanded_is_recognised(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()

    assert "put the pattern in quotes" in mistake(tmp_path, "prep", "masks", "a.png", "b.png")


@pytest.mark.parametrize("name", ["prep", "imports"])
def test_a_group_without_a_command_prints_its_help_line_by_line(tmp_path: Path, name: str) -> None:
    done = call(tmp_path, name)

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: cdg-") and r"\n" not in done.stderr and "\nCommands:\n" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_a_late_interrupt_while_python_ends_shows_no_traceback() -> None:
    late = "atexit.register(lambda: (print('ending', file=sys.stderr, flush=True), time.sleep(30)))"
    code = f"import atexit, sys, time; from pipelines.cli.info import main; {late}; main()"
    with subprocess.Popen([sys.executable, "-c", code, "--help"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None and process.stderr.readline() == "ending\n"
        process.send_signal(signal.SIGINT)

        assert process.stderr.read() == ""
    assert process.returncode == -signal.SIGINT
