"""Patterns match the files that Python's own glob matches; and what each wildcard stood for is known."""

import glob
import time
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


def test_the_first_of_several_stars_gets_as_much_as_possible(tmp_path: Path) -> None:
    (tmp_path / "a_b" / "c_d").mkdir(parents=True)
    (tmp_path / "a_b" / "c_d" / "e_f_g.png").touch()

    texts = ["a_b/c/d/e_f/g", "a_b/c_d/e/f/g", "a_b/c_d/e_f_/g"]
    for pattern, text in zip(["*/*_*/*_*", "**/*_*_*.png", "**/*?.png"], texts, strict=True):
        assert [found for _, found in wildcards.matches(tmp_path / pattern)] == [text]


def test_a_question_mark_stands_for_no_slash(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").touch()

    assert not list(wildcards.matches(tmp_path / "**" / "a?b.png"))
    assert not list(wildcards.matches(tmp_path / "**" / "a[!c]b.png"))


@pytest.mark.parametrize("above", ["", "**/"])
def test_many_stars_and_a_long_name_take_no_time(tmp_path: Path, above: str) -> None:
    (tmp_path / f"{'a' * 120}.png").touch()

    start = time.perf_counter()
    assert not list(wildcards.matches(tmp_path / f"{above}{'*a' * 30}b.png"))
    assert len(list(wildcards.matches(tmp_path / f"{above}{'*a' * 30}*.png"))) == 1
    assert time.perf_counter() - start < 1


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
