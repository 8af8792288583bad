"""Files appear whole or not at all, and what a kill leaves is known again."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from cdgnet import weights
from prep.errors import ForeignFile, ReadError
from prep.io import files

DIE = """
import os, pathlib, sys
from prep.io import files
with files.replacing(pathlib.Path(sys.argv[1])) as part:
    part.write_text("half")
    os._exit(9)
"""


def test_what_a_killed_process_left_is_nobody_elses_and_is_removed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DIE, str(tmp_path / "a.json")], check=False)
    assert len(list(tmp_path.iterdir())) == 1

    assert not files.holds_others(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_of_weights_is_known_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def stop(descriptor: int) -> None:
        made.extend(path.name for path in tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        weights._write_whole(tmp_path / "w.safetensors", b"half")

    assert [bool(files._PART.fullmatch(name)) for name in made] == [True]


def test_what_another_machine_may_still_write_stays_and_is_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / ".4194303-00000000-0123456789abcdef.cdg.part").write_text("half")  # no process of this machine

    assert not files.holds_others(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_living_process_writes_is_left_alone_and_nobody_elses(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "a.json") as part:
        part.write_text("half")
        assert not files.holds_others(tmp_path)
    assert (tmp_path / "a.json").read_text() == "half"


@pytest.mark.parametrize(
    "name", ["a.json", "a.json.4194303.part", ".4194303-00000000-0123456789abcdef.part", ".hidden"]
)
def test_any_other_file_is_somebodys_and_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    assert files.holds_others(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_an_empty_folder_and_none_hold_nothing(tmp_path: Path) -> None:
    assert not files.holds_others(tmp_path)
    assert not files.holds_others(tmp_path / "none")


def test_a_link_put_where_the_part_goes_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)  # as if it had been foreseen
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / f".{os.getpid()}-{files._MACHINE}-{'0' * 16}.cdg.part").symlink_to(tmp_path / "theirs")

    with pytest.raises(FileExistsError):
        files.write_text(tmp_path / "a.json", "ours")

    assert (tmp_path / "theirs").read_text() == "theirs"


def test_parts_have_names_that_cannot_be_foreseen(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "a") as one, files.replacing(tmp_path / "a") as other:
        assert one.name != other.name
        for part in (one, other):
            part.write_text("")


def test_the_longest_name_that_a_file_may_have_is_written(tmp_path: Path) -> None:
    files.write_text(tmp_path / ("a" * 255), "text")
    assert (tmp_path / ("a" * 255)).read_text() == "text"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path, is_there: bool) -> None:
    (tmp_path / "large").mkdir()
    if is_there:
        (tmp_path / "large" / "pack").write_text("before")
    (tmp_path / "pack").symlink_to(tmp_path / "large" / "pack")
    files.write_text(tmp_path / "pack", "after")
    assert (tmp_path / "pack").is_symlink() and (tmp_path / "large" / "pack").read_text() == "after"
    assert [path.name for path in (tmp_path / "large").iterdir()] == ["pack"]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.jsonl")
    for read in (files.read_rows, files.read_object):
        with pytest.raises(ReadError, match=r"rows\.jsonl is not a regular file"):
            read(tmp_path / "rows.jsonl")
    with pytest.raises(ForeignFile, match=r"rows\.jsonl is not a regular file"):
        files.refuse_foreign(tmp_path / "rows.jsonl", "{")
