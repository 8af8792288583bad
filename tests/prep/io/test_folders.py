"""Links to folders are followed wherever data are found, each real folder once."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.restore.jobs import plan_restore
from prep.datasets import layouts, tree_pairs
from prep.io.folders import files_below
from prep.synthesis import from_photos, recordings


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def below(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def test_a_folder_behind_two_links_is_read_by_the_first_and_the_other_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path / "disk" / "1.png", tmp_path / "data" / "2.png")
    for name in ("b", "a"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "disk")

    assert below(tmp_path / "data") == ["2.png", "a/1.png"]
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/data/b is skipped: it points to {tmp_path}/disk, which is already read"
    ]


def test_a_folder_that_lies_there_is_read_by_its_own_path_and_not_by_a_link(tmp_path: Path) -> None:
    touch(tmp_path / "data" / "z" / "1.png")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "data" / "z")

    assert below(tmp_path / "data") == ["z/1.png"]


def test_a_loop_is_named_and_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "data" / "deep" / "1.png", tmp_path / "besides.png")
    (tmp_path / "data" / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "nowhere").symlink_to(tmp_path / "none")
    (tmp_path / "data" / "self").symlink_to("self")

    assert below(tmp_path / "data") == ["deep/1.png"]
    for asked in (tmp_path / "data", tmp_path / "data" / "**" / "*.png"):
        assert len(plan_restore([asked], tmp_path / "out").jobs) == 1
    assert {record.message for record in caplog.records} == {
        f"{tmp_path}/data/deep/up is skipped: it points to {tmp_path}, which contains this link"
    }


@given(links=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_graph_of_links_ends_and_each_file_that_links_reach_is_found_once(links: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place).resolve()
        folders = [root / f"{number}" for number in range(6)]
        touch(*(folder / f"{folder.name}.png" for folder in folders))
        for number, (one, other) in enumerate(links):
            (folders[one] / f"link{number}").symlink_to(folders[other])

        found = files_below(folders[0])

        reached = {0}
        while more := {other for one, other in links if one in reached} - reached:
            reached |= more
        assert sorted(path.name for path in found) == sorted(f"{number}.png" for number in reached)


def test_sequences_behind_links_are_found_by_everything_that_looks_for_data(tmp_path: Path) -> None:
    disk, data = tmp_path / "disk" / "one" / "seq", tmp_path / "GOPRO_Large"
    other = tmp_path / "disk" / "two" / "seq"
    for folder in (disk, other):
        touch(*(folder / role / f"{number}.png" for role in ("blur", "sharp") for number in (1, 2)))
    for split, folder in (("train", disk), ("test", other)):
        (data / split).mkdir(parents=True)
        (data / split / f"GOPR000{len(split)}_00_00").symlink_to(folder)
    keys = ["GOPR0004_00_00/1", "GOPR0004_00_00/2", "GOPR0005_00_00/1", "GOPR0005_00_00/2"]

    assert [pair.key for pair in layouts.find(tmp_path).pairs] == keys
    for pattern in (data / "**", data / "*" / "*"):
        pairs = tree_pairs.find_pairs(pattern / "blur" / "*", pattern / "sharp" / "*").pairs
        assert sorted(pair.key.partition("/")[2] for pair in pairs) == keys
    assert len(plan_restore([data], tmp_path / "out").jobs) == 8
    (tmp_path / "clips").mkdir()
    for name, folder in (("a", disk), ("b", other)):
        (tmp_path / "clips" / name).symlink_to(folder / "sharp")
    assert [recording.name for recording in recordings.find([tmp_path / "clips"])] == ["a", "b"]
    assert list(from_photos.find([tmp_path / "clips"])) == ["a-1", "a-2", "b-1", "b-2"]
