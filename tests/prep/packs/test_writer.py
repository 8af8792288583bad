"""A pack is written whole or not at all, by one process, and a half-made one is gone on with."""

import errno
from pathlib import Path

import h5py
import pytest
from gopro_packs import PackSetup, pack_content

from prep import errors
from prep.errors import PackError
from prep.io import journal
from prep.packs import packing, writer


def test_a_failure_leaves_nothing_under_the_final_name_and_the_same_call_goes_on(
    setup: PackSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pack_content(setup.pack(tmp_path / "whole.h5"))
    last, out = setup.pairs[-1].sharp, tmp_path / "out" / "p.h5"
    data = last.read_bytes()
    last.write_bytes(data[:500])
    monkeypatch.setattr(writer, "_COMMIT_BYTES", 0)
    with pytest.raises(errors.FrameError, match=r"000003\.png is damaged"):
        setup.pack(out)
    assert not out.exists()

    last.write_bytes(data)
    setup.pack(out)

    assert pack_content(out) == whole
    assert [path.name for path in out.parent.iterdir()] == ["p.h5"]


def begin(setup: PackSetup, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store one frame of three and stop."""
    monkeypatch.setattr(writer, "_COMMIT_BYTES", 0)
    size = packing.crop_size(setup.pairs, 48)
    head = packing.header(setup.dataset, "train", setup.recipe, 0.96, size, whole_frames=False, targets=True)
    left = packing.pack(setup.pairs, setup.masks, out, head, jobs=1)
    next(left)
    left.close()


def test_a_pack_begun_otherwise_is_not_gone_on_with(
    setup: PackSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "p.h5"
    begin(setup, out, monkeypatch)

    with pytest.raises(
        PackError, match=r"p\.h5\.part was begun with mu 0\.96 instead of 0\.5; use the earlier settings, or --force"
    ):
        setup.pack(out, mu=0.5)
    setup.pairs = setup.pairs[1:]
    with pytest.raises(PackError, match=r"was begun with other frames"):
        setup.pack(out)
    size = packing.crop_size(setup.pairs, 48)
    head = packing.header(setup.dataset, "train", setup.recipe, 0.5, size, whole_frames=False, targets=True)
    list(packing.pack(setup.pairs, setup.masks, out, head, jobs=1, restart=True))

    with h5py.File(out) as file:
        assert file.attrs["mu"] == 0.5
        assert set(file["key"].asstr()[:]) == {pair.key for pair in setup.pairs}


def test_two_writers_of_one_pack_do_not_meet(setup: PackSetup, tmp_path: Path) -> None:
    size = packing.crop_size(setup.pairs, 48)
    head = packing.header(setup.dataset, "train", setup.recipe, 0.96, size, whole_frames=False, targets=True)
    first = packing.pack(setup.pairs, setup.masks, tmp_path / "p.h5", head, jobs=1)
    next(first)

    with pytest.raises(PackError, match=r"p\.h5 is being written by another process"):
        setup.pack(tmp_path / "p.h5")
    list(first)

    assert pack_content(tmp_path / "p.h5") == pack_content(setup.pack(tmp_path / "q.h5"))


@pytest.mark.parametrize("room", [0, 1, 8, 20])
def test_a_full_disk_is_named_and_the_pack_goes_on_when_there_is_space(
    setup: PackSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    whole, out, writes = pack_content(setup.pack(tmp_path / "whole.h5")), tmp_path / "out" / "p.h5", iter(range(room))
    write = journal._write_all

    def limited(descriptor: int, data: bytes, offset: int) -> None:
        if next(writes, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_COMMIT_BYTES", 0)
        patch.setattr(journal, "_write_all", limited)
        with pytest.raises(OSError, match="No space left on device") as full:
            setup.pack(out)
    assert full.value.filename == str(out) + ".part"
    assert not out.exists()

    assert pack_content(setup.pack(out)) == whole


def test_frames_that_changed_since_a_kill_are_never_mixed_with_those_from_before(
    setup: PackSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, out = setup.pairs[0], tmp_path / "p.h5"
    begin(setup, out, monkeypatch)
    for source in (first.sharp, setup.masks.sharpness_path(first.key)):
        before = source.read_bytes()
        source.write_bytes(
            (
                setup.pairs[1].sharp if source == first.sharp else setup.masks.sharpness_path(setup.pairs[1].key)
            ).read_bytes()
        )
        with pytest.raises(PackError, match=r"1 of 1 frame in \S+part changed after packing, first \S+/000001"):
            setup.pack(out)
        source.write_bytes(before)  # at another time: the content decides

    assert pack_content(setup.pack(out)) == pack_content(setup.pack(tmp_path / "whole.h5"))


def test_a_pack_that_changed_while_it_was_thresholded_again_is_not_mixed(
    setup: PackSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_COMMIT_BYTES", 0)
    left = packing.remask(setup.pack(tmp_path / "p.h5"), 0.5, tmp_path / "q.h5")
    next(left)
    left.close()
    first, second = setup.pairs[:2]
    first.sharp.write_bytes(second.sharp.read_bytes())
    (tmp_path / "p.h5").unlink()
    setup.pack(tmp_path / "p.h5")

    with pytest.raises(PackError, match="changed after packing"):
        list(packing.remask(tmp_path / "p.h5", 0.5, tmp_path / "q.h5"))
    list(packing.remask(tmp_path / "p.h5", 0.5, tmp_path / "q.h5", restart=True))

    assert pack_content(tmp_path / "q.h5") == pack_content(setup.pack(tmp_path / "r.h5", mu=0.5))


@pytest.mark.parametrize("name", ["p.h5.part", "p.h5.part.log", "p.h5.part.lock", "p.h5.part.log.mine.part"])
def test_a_file_of_somebody_else_is_never_overwritten(setup: PackSetup, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    if "mine" in name:
        setup.pack(tmp_path / "p.h5")
    else:
        with pytest.raises((errors.ReadError, FileExistsError), match="move it away"):
            setup.pack(tmp_path / "p.h5")

    assert (tmp_path / name).read_text() == "mine"


def test_a_log_that_a_kill_left_behind_its_finished_pack_is_begun_anew(setup: PackSetup, tmp_path: Path) -> None:
    with journal.Journal(tmp_path / "p.h5.part") as left:
        left.write(b"x" * 9000)
        left.commit()
    (tmp_path / "p.h5.part").unlink()

    assert pack_content(setup.pack(tmp_path / "p.h5")) == pack_content(setup.pack(tmp_path / "q.h5"))
