"""Files that a command reads back from its own folders and that hold anything at all: used, or refused in one line."""

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from refusals import is_used

from pipelines import recipe
from pipelines.evaluate import by_extent
from pipelines.evaluate import folder as scores
from pipelines.evaluate.statistics import mean_scores
from pipelines.review import verdicts
from prep.errors import MaskError, SynthesisError
from prep.io.storage import FileStamp
from prep.masks.folder import MaskRecord, MasksFolder, Recipe
from prep.synthesis import output
from prep.synthesis.recipes import PhotoRecipe

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


def places(document: Any) -> Iterator[tuple[Any, ...]]:
    """Where values stand in a document: the names and numbers that lead to each."""
    yield ()
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, inner in items:
        yield from ((name, *place) for place in places(inner))


@st.composite
def changed(draw: st.DrawFn, document: Any) -> bytes:
    """A whole document with another value in one place."""
    document, value = json.loads(json.dumps(document)), draw(VALUES)
    *parents, last = draw(st.sampled_from([place for place in places(document) if place]))
    inner = document
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return json.dumps(document).encode()


RECORD = asdict(
    MaskRecord(
        key="a/1",
        recipe=Recipe(layout="gopro", variant="blur", method="lbp", parameters={"threshold": 0.016}),
        sources=[FileStamp(bytes=9, crc32=7, modified=5)],
        mu=0.96,
        sharpness_min=0.0,
        sharpness_max=1.0,
        mask_share=0.5,
        shares=[0.1, 0.9],
        top_share=0.2,
        warning="",
        paths=["a.png"],
    )
)
ROW = {
    **{"key": "a/1", "mask_share": 1.0, "psnr": 20.0, "ssim": 0.5, "ssim_matlab3d": 0.6, "psnr_m1": None},
    **{"psnr_blurry": "inf", "ssim_blurry": 0.4, "extents": [[0, 0, 0]] * 5 + [[9, 300, 200]]},
    "sources": [{"bytes": 9, "crc32": 7, "modified": 5}],
}
HEAD = {
    **{"format": "cdgnet-synthesis", "version": 2, "settings": {"kind": "Recipe", "seed": 0}},
    **{"options": {"seed": "0"}, "splits": {"a": "train"}},
}


@quick
@given(changed(RECORD))
def test_a_list_of_masks_with_one_wrong_value(tmp_path: Path, content: bytes) -> None:
    def use() -> None:
        masks = MasksFolder(tmp_path)
        for record in masks.records.values():
            mask_warnings = Counter([record.warning])
            sum([record.mask_share, record.top_share, *record.shares, *mask_warnings.values()])
        masks.mus(masks.records)
        masks.write(masks.records)
        with suppress(MaskError):
            masks.check_recipe(Recipe(layout="reds", variant="", method="lbp", parameters={}))

    (tmp_path / "masks.jsonl").write_bytes(content + b"\n")
    is_used(use)


@quick
@given(changed(ROW))
def test_scores_with_one_wrong_value(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "a.png"

    def use() -> None:
        (row,) = scores.begin(tmp_path / "s", {}, {"a/1": (source,)}).values() or [{"key": "a/1", "psnr": 1.0}]
        scores.to_csv([row, {"key": "mean", **mean_scores([row])}])
        by_extent.psnr_by_extent([row])

    source.write_bytes(b"123456789")
    (tmp_path / "s" / "scores.jsonl").unlink(missing_ok=True)
    scores.begin(tmp_path / "s", {}, {})
    stamped = content.replace(b'"crc32": 7', b'"crc32": %d' % zlib.crc32(b"123456789"))
    (tmp_path / "s" / "scores.jsonl").write_bytes(stamped + b"\n")
    is_used(use)


@quick
@given(changed(HEAD))
@example(json.dumps({**HEAD, "splits": {"a": "../../elsewhere"}}).encode())
def test_a_head_of_pairs_with_one_wrong_value_leads_to_no_folder_elsewhere(tmp_path: Path, content: bytes) -> None:
    def use() -> None:
        head = output._read_head(tmp_path / "synthesis.json")
        assert set(head.splits.values()) <= {"train", "test"}
        with suppress(SynthesisError):
            output.begin(tmp_path, PhotoRecipe(count=1, size=(64, 64)), ["a"], 0.5)

    (tmp_path / "synthesis.json").write_bytes(content)
    is_used(use)


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
