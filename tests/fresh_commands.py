"""Run commands in a process that has loaded nothing yet, where heavy libraries cannot be loaded.

JSON on standard input, a list of command lines; JSON on standard output, what each printed on standard error and which
heavy libraries it tried to load.
"""

import contextlib
import importlib
import io
import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

HEAVY = ("torch", "lightning_fabric", "spandrel")


class Refusing(MetaPathFinder):
    """Notes what is imported of ``HEAVY``, and refuses it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname in HEAVY:
            self.asked.append(fullname)
            raise ModuleNotFoundError(name=fullname)


def main() -> None:
    refusing = Refusing()
    sys.meta_path.insert(0, refusing)
    answers = []
    for line in json.load(sys.stdin):
        name, *words = line.split()
        refusing.asked.clear()
        sys.argv = [f"cdg-{name}", *words]
        errors = io.StringIO()
        with (
            contextlib.redirect_stderr(errors),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.suppress(SystemExit),
        ):
            importlib.import_module(f"pipelines.cli.{name}").main()
        answers.append((errors.getvalue(), list(refusing.asked)))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
