"""Files and members of archives: whatever a zip says of itself, it is read or refused in one line."""

import struct
import zipfile
from pathlib import Path

import pytest

from prep.errors import ReadError
from prep.io import storage
from prep.io.storage import ArchiveMember

_VERSION, _FLAGS, _SIZE, _NAME = 6, 8, 24, 46  # where the directory of a zip states them, from a member's entry on


def directory_saying(folder: Path, *fields: tuple[int, bytes]) -> ArchiveMember:
    """A member ``a.png`` of an archive whose directory has other bytes in some places."""
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a.png", b"pixels")
    data = bytearray((folder / "a.zip").read_bytes())
    entry = data.index(b"PK\1\2")
    for place, value in fields:
        data[entry + place : entry + place + len(value)] = value
    (folder / "a.zip").write_bytes(data)
    return ArchiveMember(archive=folder / "a.zip", name="a.png")


def test_a_member_is_read(tmp_path: Path) -> None:
    assert storage.read(directory_saying(tmp_path)) == b"pixels"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([(_VERSION, struct.pack("<H", 99))], r"a\.zip cannot be read as a zip archive \(zip file version 9\.9\)"),
        ([(_FLAGS, struct.pack("<H", 0x800)), (_NAME, b"\xff\xfe")], r"a\.zip cannot be read as a zip archive"),
        ([(_NAME, b"b")], r"a\.zip/a\.png is damaged in its archive"),
        ([(_SIZE, struct.pack("<I", 3_000_000_000))], r"a\.png has 3\.0 GB; the limit for a picture is 2\.0 GB"),
    ],
)
def test_an_archive_that_says_odd_things_is_refused_in_a_line(
    tmp_path: Path, fields: list[tuple[int, bytes]], message: str
) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        storage.read(directory_saying(tmp_path, *fields))
    assert "\n" not in str(caught.value)


def test_a_source_that_changes_after_it_is_read_no_longer_fits_its_stamp(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(b"before")
    data, stamp = storage.read_stamped(path)
    assert data == b"before" and storage.current_stamp(path, stamp) == stamp
    path.write_bytes(b"after.")
    assert storage.current_stamp(path, stamp) is None
    with pytest.raises(ReadError, match=r"2\.png cannot be read"):
        storage.read_stamped(tmp_path / "2.png")


def test_a_file_larger_than_any_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(3_000_000_000)  # empty, and takes no space
    with pytest.raises(ReadError, match=r"a\.png has 3\.0 GB"):
        storage.read(tmp_path / "a.png")
    assert storage.read(tmp_path / "a.png", 4) == bytes(4)
