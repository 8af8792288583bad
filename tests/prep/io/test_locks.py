"""Locks: one holder at a time, and no file left behind when the work is finished."""

from pathlib import Path

import pytest

from prep.io.locks import FileInUse, Lock


def test_a_lock_has_one_holder_until_it_is_released(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "a.lock")
    with pytest.raises(FileInUse, match="in use by another process"):
        Lock(tmp_path / "a.lock")

    lock.release()

    Lock(tmp_path / "a.lock").release()


def test_a_lock_of_finished_work_is_removed(tmp_path: Path) -> None:
    Lock(tmp_path / "a.lock").release(remove=True)

    assert list(tmp_path.iterdir()) == []


def test_where_no_open_file_can_be_removed_a_lock_is_removed_once_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, unlink = Lock(tmp_path / "a.lock"), Path.unlink

    def unlink_as_windows(path: Path, missing_ok: bool = False) -> None:
        if lock._lock.is_locked:
            raise PermissionError(13, "The process cannot access the file because it is being used", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_as_windows)
    lock.release(remove=True)

    assert list(tmp_path.iterdir()) == []
