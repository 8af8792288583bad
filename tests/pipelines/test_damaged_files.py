"""Files that a command reads back from its own folders and that hold anything at all: used, or refused in one line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from refusals import is_used

from pipelines import recipe
from pipelines.evaluate import folder as scores
from pipelines.review import verdicts
from prep.masks.folder import MasksFolder
from prep.synthesis import output

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = st.sampled_from(
    [
        *(
            "key",
            "recipe",
            "sources",
            "mu",
            "shares",
            "paths",
            "warning",
            "top_share",
            "mask_share",
            "layout",
            "method",
        ),
        *("format", "version", "verdicts", "verdict", "note", "psnr", "extents", "names", "seed", "sets", "pictures"),
        *("size", "modified", "crc32", "parameters", "variant", "sharpness_min", "sharpness_max", "a/1"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=4),
    max_leaves=8,
)
CONTENT = st.dictionaries(NAMES, VALUES, max_size=8).map(json.dumps).map(str.encode) | st.binary(max_size=20)
DEEP = b'{"format":' * 100_000


@quick
@given(CONTENT)
@example(DEEP)
def test_a_list_of_masks_of_anything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "masks.jsonl").write_bytes(content + b"\n")
    is_used(lambda: MasksFolder(tmp_path))


@quick
@given(CONTENT, st.booleans())
@example(DEEP, True)
@example(DEEP, False)
@example(b'{"key": "a/1", "sources": [5], "psnr": 1.0}', False)
def test_scores_of_anything(tmp_path: Path, content: bytes, is_question: bool) -> None:
    asked: Mapping[str, Any] = {"count": 1}
    for path in tmp_path.iterdir():
        path.unlink()
    scores.begin(tmp_path, asked, {})
    (tmp_path / ("asked.json" if is_question else "scores.jsonl")).write_bytes(content + b"\n")

    is_used(lambda: scores.begin(tmp_path, asked, {"a/1": (tmp_path / "asked.json",)}))


@quick
@given(CONTENT)
@example(DEEP)
def test_a_table_of_scores_of_anything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.csv").write_bytes(content)
    is_used(lambda: scores.read(tmp_path))


@quick
@given(CONTENT)
@example(DEEP)
def test_verdicts_of_anything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "verdicts.json").write_bytes(content)
    is_used(lambda: verdicts.read(tmp_path / "verdicts.json"))


@quick
@given(CONTENT)
@example(DEEP)
def test_a_recipe_of_anything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recipe.json").write_bytes(content)
    assert not is_used(lambda: recipe.begin(tmp_path, 0, []))


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"format": "cdgnet-synth"}', b"\xff", b"5"])
def test_a_damaged_head_of_pairs_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "synthesis.json").write_bytes(content)
    assert not is_used(lambda: output._read_head(tmp_path / "synthesis.json"))
