"""Files of JSON lines: what a killed writer left, and text that is no text."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from prep.io import files


@given(st.text(st.characters(categories=None)))
def test_a_row_of_any_text_comes_back(text: str) -> None:
    line = files.encoded(files.to_line({"key": text}))
    assert json.loads(line) == {"key": text}


def test_rows_of_names_with_line_separators_or_no_utf8_come_back(tmp_path: Path) -> None:
    rows = [{"key": "a\u2028b\x85c"}, {"key": "x\udcff"}, {"key": "写"}]
    files.write_rows(tmp_path / "rows.jsonl", rows[:1])
    files.append_rows(tmp_path / "rows.jsonl", rows[1:])
    assert files.read_rows(tmp_path / "rows.jsonl") == rows


def test_a_row_after_a_torn_one_is_not_a_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    files.append_rows(path, [{"key": "a"}, {"key": "写真"}])
    path.write_bytes(path.read_bytes()[:-5])  # within a character

    assert files.read_rows(path) == [{"key": "a"}]
    files.append_rows(path, [{"key": "b"}])
    assert files.read_rows(path) == [{"key": "a"}, {"key": "b"}]
