"""Patterns match the files that Python's own glob matches; and what each wildcard stood for is known."""

import glob
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prep.datasets import wildcards

PARTS = ["a", "ab", "a1", "b-2", "c^", "]", "x[1]"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("tree")
    for one in PARTS:
        for name in (f"{one}/1.png", f"{one}/a/2.png", f"{one}/a/a1/3.png"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
    return root


pattern_parts = st.one_of(
    st.sampled_from(
        ["*", "?", "a", "a*", "*1*", "**", "[ab]*", "[!a]*", "[]]", "[^a]*", "[z-a]*", "[a", "c[^]", "*.png"]
    ),
    st.text("ab1*?[]!-^", min_size=1, max_size=4),
)


@given(parts=st.lists(pattern_parts, min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_the_files_are_those_of_glob(tree: Path, parts: list[str]) -> None:
    pattern = tree.joinpath(*parts)
    if not wildcards.is_pattern(pattern):
        return

    found = [path for path, _ in wildcards.matches(pattern)]

    wanted = sorted({Path(name) for name in glob.glob(str(pattern), recursive=True)})  # noqa: PTH207
    assert found == [path for path in wanted if path.is_file()]


@pytest.mark.parametrize(
    ("pattern", "file", "text"),
    [
        ("**/[ab]*/?.png", "a/a/a1/3.png", "a/a/a/1/3"),
        ("**/?.png", "a/1.png", "a/1"),
        ("a/**/*", "a/1.png", "1"),
        ("a/**", "a/a/2.png", "a/2"),
        ("a/?.*", "a/1.png", "1"),
        ("a?/*/2*", "a1/a/2.png", "1/a"),
    ],
)
def test_what_wildcards_stood_for_ends_before_the_suffix(tree: Path, pattern: str, file: str, text: str) -> None:
    assert dict(wildcards.matches(tree / pattern))[tree / file] == text
