"""A file that goes back to its last commit, whatever happened since."""

import io
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prep.io.journal import Journal
from prep.io.locks import FileInUse


def content(path: Path) -> bytes:
    """What a new process finds."""
    with Journal(path) as journal:
        return journal.read()


def append(journal: Journal, rows: int) -> None:
    """Add rows to a small HDF5 file, raw and compressed."""
    with h5py.File(journal, "r+" if journal.seek(0, os.SEEK_END) else "w", libver="v110") as file:
        for name, filters in (("raw", {}), ("packed", {"compression": "gzip"})):
            data = file.require_dataset(
                name,
                (len(file[name]) if name in file else 0, 50, 60),
                "u1",
                chunks=(1, 50, 60),
                maxshape=(None, 50, 60),
                **filters,
            )
            start = len(data)
            data.resize(start + rows, axis=0)
            data[start:] = (np.arange(start, start + rows) % 250 + 1)[:, None, None]


def test_what_is_not_committed_is_gone_and_what_is_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    with Journal(path) as journal:
        journal.write(b"committed")
        journal.commit()
        journal.seek(3)
        journal.write(b"XXX")
        journal.seek(0, os.SEEK_END)
        journal.write(b" and more")
        journal.seek(0)
        assert journal.read() == b"comXXXted and more"

    assert content(path) == b"committed"


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 20_000), st.binary(min_size=1, max_size=9000)),
            st.tuples(st.just("truncate"), st.integers(0, 20_000), st.just(b"")),
            st.tuples(st.just("commit"), st.just(0), st.just(b"")),
            st.tuples(st.just("kill"), st.just(0), st.just(b"")),
        ),
        max_size=14,
    )
)
def test_it_holds_what_a_buffer_would_hold_and_after_a_kill_what_was_committed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "a.part"
    journal, buffer, committed = Journal(path), io.BytesIO(), b""
    for kind, offset, data in steps:
        if kind == "write":
            for file in (journal, buffer):
                file.seek(offset)
                file.write(data)
        elif kind == "truncate":
            offset = min(offset, len(buffer.getvalue()))
            journal.truncate(offset)
            buffer.truncate(offset)
        elif kind == "commit":
            journal.commit()
            committed = buffer.getvalue()
        else:
            journal.close()
            journal, buffer = Journal(path), io.BytesIO(committed)
        journal.seek(0)
        assert journal.read() == buffer.getvalue()
    journal.close()
    assert content(path) == committed


def test_a_kill_between_the_log_and_the_file_goes_forward_to_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.part"
    with Journal(path) as journal:
        journal.write(b"first" * 3000)
        journal.commit()
        journal.seek(0)
        journal.write(b"SECOND")
        with monkeypatch.context() as patch:
            patch.setattr(journal, "_apply", lambda pages: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                journal.commit()

    assert content(path)[:10] == b"SECONDirst"


def test_hdf5_goes_back_to_its_last_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    with Journal(path) as journal:
        append(journal, 3)
        journal.commit()
        append(journal, 5)
        journal.commit()
        append(journal, 7)  # HDF5 has closed its file, and all of it is on the disk

    with Journal(path) as journal:
        with h5py.File(journal, "r") as file:
            for name in ("raw", "packed"):
                assert np.array_equal(file[name][:, 7, 7], np.arange(1, 9))
        append(journal, 2)
        journal.finish(tmp_path / "a.h5")

    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["packed"][:, 49, 59], np.arange(1, 11))


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    with Journal(path) as journal:
        journal.write(b"mine")
        with pytest.raises(FileInUse, match="in use by another process"):
            Journal(path)
        journal.commit()

    assert content(path) == b"mine"


def test_a_spoilt_log_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    with Journal(path) as journal:
        journal.write(b"x" * 9000)
        journal.commit()
    log = tmp_path / "a.part.log"
    log.write_bytes(log.read_bytes()[:-1] + b"?")

    with pytest.raises(ValueError, match=r"a.part.log is damaged; remove it and a.part to start again"):
        Journal(path)
