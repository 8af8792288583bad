"""Commands as a person types them, run in this process: loading torch anew each time would take minutes."""

import contextlib
import importlib
import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def call(folder: Path, name: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run ``cdg-NAME`` in ``folder``."""
    arguments = [f"cdg-{name}", *map(str, words)]
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    output, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(SystemExit) as end,
    ):
        patch.setattr(sys, "argv", arguments)
        importlib.import_module(f"pipelines.cli.{name}").main()
    for number, handler in handlers:
        signal.signal(number, handler)
    code = end.value.code if isinstance(end.value.code, int) else 0
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


def mistake(folder: Path, name: str, *words: object) -> str:
    """The one line that a mistake gives."""
    done = call(folder, name, *words)
    lines = done.stderr.strip().splitlines()
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr, done.stderr
    assert lines, done
    return lines[-1]
