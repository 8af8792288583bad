"""The words of this project: plain current English, in whatever a person reads."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("prep", "cdgnet", "pipelines", "benchmarks")
INSTEAD = {  # what no engineer would say -> what to write
    r"(?<!there )\bis no (?!longer|more|need|way|\w+er than)": "is not a",
    r"\bis not there\b": "does not exist",
    r"\bholds? no\b": "contains no",
    r"\bgo(es)? on\b": "continue",
    r"\bso many\b": "a number, or leave it out",
    r"\bwants? (`?--|at most|at least)": "needs",
    r"\bwanted (at most|at least|a|an)\b": "must be",
    r"\b(is|are|be) told\b": "a verb that says who does what",
    r"\b(?<!and )besides\b": "also",
    r"\blikewise\b": "the same way, or say it again",
    r"\bbeforehand\b": "before",
    r"\bfor ever\b": "forever",
    r"\banew\b": "again",
    r"\b(is|are|be|was|were) passed over\b": "skipped",
    r"\ball but\b": "almost",
    r"\bread-me\b": "README",
    r"\bblurred (much|little)\b": "strongly, or slightly, blurred",
    r"\b(much|little) blurred\b": "strongly, or slightly, blurred",
    r"\bone and the same\b": "the same",
    r"\bthis house\b": "this project",
    r"\b\(honest\)": "the convention's name",
    r"\bwhat is asked\b": "the settings",
}
LONGEST_SENTENCE = 45  # words, in documents


def _documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def _prose(document: Path) -> str:
    """A document without its code and the targets of its links."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`", "code", re.sub(r"\]\([^)]*\)", "]", text))


def _strings(module: Path) -> Iterator[str]:
    """All texts in a module, docstrings too; an f-string is one text."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    parts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.value


def _texts() -> Iterator[tuple[Path, str]]:
    for document in _documents():
        yield document, _prose(document)
    for package in PACKAGES:
        for module in sorted((ROOT / package).rglob("*.py")):
            yield from ((module, text) for text in _strings(module))
        for page in sorted((ROOT / package).rglob("*.j2")):
            yield page, page.read_text(encoding="utf-8")


def test_no_text_has_words_that_nobody_says() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text[max(0, match.start() - 40) : match.end() + 20]!r}; write {instead}"
        for path, text in ((path, " ".join(text.split())) for path, text in _texts())
        for words, instead in INSTEAD.items()
        for match in re.finditer(words, text, re.IGNORECASE)
    ]
    assert not found, f"{len(found)} texts:\n" + "\n".join(found)


def test_sentences_of_documents_are_short_enough_to_read_once() -> None:
    long = [
        f"{document.name}: {len(words)} words: {' '.join(words[:12])} ..."
        for document in _documents()
        for paragraph in re.split(r"\n\s*\n|\n\s*[*|#-]", _prose(document))
        for sentence in re.split(r"(?<=[.!?:;])\s+", paragraph)
        if len(words := sentence.split()) > LONGEST_SENTENCE
    ]
    assert not long, "\n".join(long)


def test_the_readme_fits_on_150_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
