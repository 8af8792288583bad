"""A zip archive of any bytes is a data set, or refused in one line."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from refusals import is_used

from prep.datasets import layouts
from prep.io import frames, storage

PICTURE = np.arange(20 * 24 * 3, dtype=np.uint8).reshape(20, 24, 3)


def archive(compression: int) -> bytes:
    """A small GoPro in a zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        for split, clip in (("train", "GOPR0001_11_00"), ("test", "GOPR0002_11_00")):
            for kind in ("blur", "sharp"):
                name = f"GOPRO_Large/{split}/{clip}/{kind}/000001.png"
                file.writestr(zipfile.ZipInfo(name), frames.encode(PICTURE, Path("1.png")), compression)
    return content.getvalue()


WHOLE = {kind: archive(kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An archive with some bytes replaced, taken out or put in; most often in the lists at its end."""
    data = bytearray(draw(st.sampled_from(list(WHOLE.values()))))
    for _ in range(draw(st.integers(1, 3))):
        end = draw(st.booleans())
        start = draw(st.integers(max(0, len(data) - 500) if end else 0, len(data) - 1))
        length = draw(st.sampled_from([1, 2, 4, 8, 30]))
        data[start : start + length] = draw(st.binary(max_size=30) | st.just(bytes(length)))
    return bytes(data[: draw(st.sampled_from([len(data), len(data), len(data) // 2]))])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=100) | damaged())
@example(b"PK\x05\x06" + bytes(18))
def test_an_archive_of_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "GOPRO_Large.zip"
    path.write_bytes(content)
    storage.open_archive.cache_clear()

    def use() -> None:
        dataset = layouts.find(path)
        layouts.tally(dataset)
        for pair in dataset.pairs:
            for source in (pair.blurry, pair.sharp):
                is_used(lambda source=source: frames.read(source))

    is_used(use)


@pytest.mark.parametrize("content", WHOLE.values())
def test_a_whole_archive_is_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "GOPRO_Large.zip"
    path.write_bytes(content)
    dataset = layouts.find(path)
    assert [np.array_equal(frames.read(pair.sharp), PICTURE) for pair in dataset.pairs] == [True, True]
