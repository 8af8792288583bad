"""Files of JSON lines: whatever a row holds comes back, and what a kill or a full disk tears is not mixed with it."""

from pathlib import Path
from typing import Any

import pytest
from file_limit import largest_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prep.errors import ReadError
from prep.io import files

KEYS = st.text(st.characters() | st.sampled_from("\x85\u2028\u2029\r\n\x1c\x0b\udcff"))
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(st.lists(st.dictionaries(KEYS, KEYS)), st.dictionaries(KEYS, KEYS))
def test_rows_come_back_whatever_characters_they_hold(
    tmp_path: Path, rows: list[dict[str, str]], last: dict[str, str]
) -> None:
    path = tmp_path / "rows.jsonl"

    files.write_rows(path, rows)
    files.append_rows(path, [last])

    assert files.read_rows(path) == [*rows, last]


@pytest.mark.parametrize("name", ["a\x85b", "a\u2028b", "a\u2029b", "a\x1cb", "caf\udce9"])
def test_a_line_break_that_is_not_a_newline_does_not_end_a_row(tmp_path: Path, name: str) -> None:
    path = tmp_path / "rows.jsonl"
    files.append_rows(path, [{"key": name}, {"key": "b"}])

    assert [row["key"] for row in files.read_rows(path)] == [name, "b"]


@quick
@given(st.integers(1, 30))
def test_a_row_added_after_a_torn_one_takes_its_place(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "rows.jsonl"
    files.write_rows(path, [{"key": "one"}, {"key": "two, as long as any"}])
    path.write_bytes(path.read_bytes()[:-torn])

    files.append_rows(path, [{"key": "two"}])

    assert [row["key"] for row in files.read_rows(path)] == ["one", "two"]


@pytest.mark.parametrize("line", [b"[1]", b"{", b'"text"', b"\xff", b"", b"[" * 100_000, b'{"a": ' * 100_000])
def test_a_line_that_is_no_json_object_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"key": "one"}\n' + line + b"\n")

    with pytest.raises(ReadError, match=r"line 2 of .*rows\.jsonl is ") as caught:
        files.read_rows(path)
    assert "\n" not in str(caught.value)


def add(path: Path, row: dict[str, Any]) -> None:
    files.append_rows(path, [row] * 1000)


@pytest.mark.parametrize("write", [add, lambda path, row: files.write_rows(path, [row] * 1000)])
def test_a_writer_names_its_file_when_the_disk_is_full(tmp_path: Path, write: Any) -> None:
    path = tmp_path / "rows.jsonl"
    files.write_rows(path, [{"key": "one"}])

    with largest_file(500), pytest.raises(OSError) as caught:
        write(path, {"key": "two"})

    assert caught.value.filename == str(path)
    assert files.read_rows(path)[0] == {"key": "one"}
    assert [each.name for each in tmp_path.iterdir()] == ["rows.jsonl"]
