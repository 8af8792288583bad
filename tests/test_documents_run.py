"""Every command and every line of Python that the pages show runs, in order, and prints what they say."""

import contextlib
import difflib
import io
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import readers_folder
from commands import call
from documents import MODULES, PAGES, SHELL, Block, blocks, parse

pytestmark = pytest.mark.slow

_OTHERS = ("dask", "git", "make", "pip", "torchrun")  # which install, or need other machines: not run
_LIKE = 0.6  # of a line that a page shows and one that was printed, numbers left out
# What Python on the pages does at a size of hours, and what it does here.
_SMALL = {
    'preset="light", steps=100_000, crop=256': 'preset="tiny", steps=2, crop=32, batch=2, workers=0',
    'preset("paper")': 'preset("tiny")',
    "1, 3, 720, 1280": "1, 3, 72, 128",
}


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return readers_folder.make(tmp_path_factory.mktemp("stock"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_runs_and_prints_what_the_page_says(page: Path, stock: Path, tmp_path: Path) -> None:
    shutil.copytree(stock / "GOPRO_Large", tmp_path / "GOPRO_Large")
    printed, names, wrong = "", {"__name__": "__main__"}, []
    for block in blocks(page):
        place = f"{page.name}, the block of line {block.line}"
        if block.is_run and block.language == "python":
            printed = _run_python(block, names, stock, tmp_path)
        elif block.is_run and block.language in SHELL:
            printed = "".join(_run(words, place, stock, tmp_path) for words in block.commands)
        elif block.is_run and block.language == "text" and block.follows and printed:
            wrong += [f"{place}: {line}" for line in _unlike(block.text, printed)]
        else:
            printed = ""

    assert not wrong, "\n".join(["no command printed the like of", *wrong])


def _run(words: list[str], place: str, stock: Path, folder: Path) -> str:
    is_endless = "--serve" in words or "--cluster" in words  # until somebody stops it; both have tests of their own
    if words[0] in _OTHERS or is_endless:
        return ""
    assert words[0] in MODULES, f"{place}: {words[0]} is not known here; say before the block why it is not run"
    outputs = {value for name, value in parse(words).items() if name == "out"}
    names = words[2:] if words[0] == "cdg-prep" else words[1:]
    readers_folder.supply(stock, folder, (name for name in names if name not in outputs))
    done = call(folder, MODULES[words[0]], *readers_folder.shortened(words)[1:])
    assert done.returncode == 0, f"{place}: {' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def _run_python(block: Block, names: dict[str, str], stock: Path, folder: Path) -> str:
    text = block.text
    for large, small in _SMALL.items():
        text = text.replace(large, small)
    readers_folder.supply(stock, folder, re.findall(r'"([^"\n]+\.\w+)"', text))
    output = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(output), warnings.catch_warnings():
        exec(compile(text, f"line {block.line}", "exec"), names)
    return output.getvalue()


def _unlike(shown: str, printed: str) -> Iterator[str]:
    """The lines of a page that are like none that was printed; lines of numbers alone say nothing."""
    found = {_plain(line) for line in printed.splitlines()}
    for line in shown.splitlines():
        plain = _plain(line)
        if len(re.findall("[a-z]{2,}", plain)) >= 2 and not any(_is_like(plain, each) for each in found):
            yield line


def _is_like(one: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() >= _LIKE


def _plain(line: str) -> str:
    """A line without numbers and runs of spaces or lines of a table."""
    return " ".join(re.sub(r"[\d.,%+\-─━│┃]+", "", line).split()).lower()
