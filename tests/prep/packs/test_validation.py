"""A pack from anywhere is refused in one line, or read right: whatever its structure."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.packs import Frame, read_frame
from prep.errors import PackError
from prep.packs import layout, packing, reader, verification
from prep.packs.windows import Windows

Change = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames of 9 x 12 in crops of 8."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("pack") / "p.h5"
    header = layout.Header(
        layout="gopro", split="train", variant="blur", mu=0.5, method="lbp", method_parameters="{}", crop=(8, 8),
        whole_frames=False, has_targets=True, tool_version="0",
    )  # fmt: skip
    with packing.Writer(path, header, ["c/1", "c/2"], lambda key, made_of: True) as pack_writer:
        for key in pack_writer.keys:
            codes = rng.integers(0, 65536, (4, 8, 8)).astype(np.uint16)
            crops = layout.FrameCrops(
                key=key, origins=np.array([(0, 0), (0, 4), (1, 0), (1, 4)], np.int32), made_of="",
                blurry=rng.integers(0, 256, (4, 8, 8, 3), np.uint8), sharp=rng.integers(0, 256, (4, 8, 8, 3), np.uint8),
                mask=(codes > 32767).view(np.uint8), sharpness=codes,
            )  # fmt: skip
            pack_writer.append(packing.writer.encode(crops, has_targets=True))
    return path


def changed(whole: Path, folder: Path, *changes: Change) -> Path:
    """A copy of a pack with changes; what HDF5 itself does not allow is left out."""
    path = Path(shutil.copy(whole, folder / "changed.h5"))
    with h5py.File(path, "r+") as file:
        for change in changes:
            try:
                change(file)
            except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError):
                continue
    return path


def read_all(path: Path) -> None:
    """All that any command reads of a pack."""
    info = reader.read_info(path)
    verification.structure(info)
    list(verification.verify(info))
    info.as_json()
    windows = Windows(path)
    for frame in info.frames:
        read_frame([info], Frame(0, frame.key), list(frame.rows))
        for row in frame.rows:
            windows.read("blurry", row, 0, 0, 4)
            windows.sharpness(row, 0, 0, 4)


def another(name: str, shape: tuple[int, ...], dtype: Any, **options: Any) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, shape, dtype, **options)

    return change


def stored_as(name: str, **options: Any) -> Change:
    def change(file: h5py.File) -> None:
        if file[name].size < 1e6:
            data = file[name][:]
            del file[name]
            file.create_dataset(name, data=data, **options)

    return change


def linked(name: str, link: Any) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return change


def attribute(name: str, value: Any) -> Change:
    return lambda file: file.attrs.__setitem__(name, value)


def unattributed(name: str) -> Change:
    return lambda file: file.attrs.__delitem__(name)


def grouped(name: str) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)

    return change


def resized(name: str, count: int) -> Change:
    return lambda file: file[name].resize(count, axis=0) if len(file[name]) <= 8 else None  # down would take for ever


def all_resized(count: int) -> Change:
    def change(file: h5py.File) -> None:
        for name in file:
            resized(name, count)(file)

    return change


def renamed(key: bytes, rows: slice = slice(0, 4)) -> Change:
    return lambda file: file["key"].__setitem__(rows, key)


def origins(first: tuple[int, int]) -> Change:
    return lambda file: file["origin"].__setitem__(0, first)


NAMES = st.sampled_from(["blurry", "sharp", "mask", "sharpness", "sgt", "key", "origin", "crc32", "mask_share"])
ATTRIBUTES = st.sampled_from([*layout.Header.__dataclass_fields__, "format", "version", "mask_share", "empty_masks"])
VALUES = st.one_of(
    st.integers(-(2**31), 2**31), st.floats(), st.text(max_size=4), st.booleans(), st.just(h5py.Empty("f")),
    st.just(b"\xff\xfe"), st.just("[" * 2000), st.lists(st.integers(-9, 9), max_size=3).map(np.array),
    st.just(np.array(["a", "b"], dtype=object)),
)  # fmt: skip
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 7, 8, 9, 2**33]), max_size=4).map(tuple)
TYPES = st.sampled_from(["u1", "i1", "<u2", ">u2", "<i4", "<u4", "<f4", "<f8", "S4", "?", h5py.string_dtype("ascii")])
LINKS = st.sampled_from([h5py.SoftLink("/loop"), h5py.SoftLink("/mask"), h5py.ExternalLink("/dev/zero", "/x")])
CHANGES = st.one_of(
    st.builds(another, NAMES, SHAPES, TYPES),
    st.builds(lambda name, shape, dtype: another(name, shape, dtype, chunks=True), NAMES, SHAPES, TYPES),
    st.builds(linked, NAMES, LINKS),
    st.builds(lambda name: linked(name, np.zeros(8)), NAMES),
    st.builds(grouped, NAMES),
    st.builds(resized, NAMES, st.sampled_from([0, 7, 10**13])),
    st.builds(all_resized, st.sampled_from([0, 7, 10**11])),
    st.builds(attribute, ATTRIBUTES, VALUES),
    st.builds(unattributed, ATTRIBUTES),
    st.builds(origins, st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(-9, 9))),
    st.builds(renamed, st.sampled_from([b"\xff", b"", b"/a", b"../a", b"c/2"])),
    st.builds(lambda name, filters: stored_as(name, **filters), NAMES, st.sampled_from(
        [{}, {"compression": "gzip"}, {"chunks": True}, {"compression": "lzf", "shuffle": True}, {"fletcher32": True}]
    )),
)  # fmt: skip


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.lists(CHANGES, min_size=1, max_size=2))
def test_whatever_its_structure_a_pack_is_read_or_refused_in_one_line(
    whole: Path, tmp_path: Path, changes: list[Change]
) -> None:
    path = changed(whole, tmp_path, *changes)

    try:
        read_all(path)
    except PackError as error:
        assert str(error).startswith(str(path))
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (another("blurry", (8, 8, 8, 3), "<f8"), "float64 of shape (8, 8, 8, 3), but must be uint8 of (N, 8, 8, 3)"),
        (another("mask", (8, 8, 8), "<u2"), "mask is uint16"),
        (another("key", (8,), "<i4"), "key is int32"),
        (another("origin", (8, 3), "<i4"), "origin is int32 of shape (8, 3)"),
        (linked("mask", h5py.SoftLink("/mask")), "mask is a link, but must be a data set"),
        (linked("mask", h5py.ExternalLink("other.h5", "/mask")), "mask is a link, but must be a data set"),
        (grouped("key"), "key is not a data set"),
        (all_resized(10**12), "claims"),
        (attribute("mu", np.array([0.5, 0.6])), "attribute mu is [0.5, 0.6], but must be a number in [0, 1]"),
        (attribute("mu", "sharp"), "attribute mu is 'sharp'"),
        (attribute("mu", float("nan")), "attribute mu is"),
        (attribute("version", np.array([1, 1])), "version [1, 1]; only 1"),
        (attribute("excluded", "{}"), "attribute excluded is '{}', but must be JSON of a list of keys"),
        (attribute("crop", np.array([8, -8])), "attribute crop is"),
        (origins((-1, 0)), "crops 0 to 3 (c/1) do not cover the frame in a grid"),
        (origins((2**31 - 1, 0)), "crops 0 to 3 (c/1) do not cover the frame in a grid"),
        (renamed(b"\xff"), "its index cannot be read"),
        (renamed(b"../c"), "a frame named '../c'"),
        (renamed(b"c/1", slice(4, 8)), "crops 0 to 7 (c/1) do not cover the frame in a grid"),
        (all_resized(7), "crops 4 to 6 (c/2) do not cover the frame in a grid"),
    ],
)  # fmt: skip
def test_each_kind_of_wrong_structure_is_named(whole: Path, tmp_path: Path, change: Change, said: str) -> None:
    path = changed(whole, tmp_path, change)

    with pytest.raises(PackError) as refused:
        reader.read_info(path)

    assert said in str(refused.value)


def virtual(file: h5py.File, source: str) -> None:
    del file["mask"]
    other = h5py.VirtualLayout((8, 8, 8), "u1")
    other[:] = h5py.VirtualSource(source, "mask", (8, 8, 8))
    file.create_virtual_dataset("mask", other)


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_nothing_outside_a_pack_is_opened(whole: Path, tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")  # whoever opens it waits for ever
    pipe = str(tmp_path / "pipe")
    external = another("mask", (8, 8, 8), "u1", external=[(pipe, 0, 512)])
    path = changed(whole, tmp_path, external if kind == "external" else lambda file: virtual(file, pipe))

    with pytest.raises(PackError, match="mask is stored in another file, but must be in this one"):
        reader.read_info(path)
    with pytest.raises(PackError, match="pipe is not a regular file"):
        reader.read_info(tmp_path / "pipe")


def a_text_of(size: int) -> Change:
    """All keys are one text, stored once."""

    def change(file: h5py.File) -> None:
        del file["key"]
        keys = file.create_dataset("key", (8,), h5py.string_dtype(), chunks=(8,))
        keys[0] = "a" * size
        _, stored = keys.id.read_direct_chunk((0,))
        keys.id.write_direct_chunk((0,), stored[:16] * 8)

    return change


def swollen(file: h5py.File) -> None:
    """HDF5 unpacks all that is stored of a chunk, however large the chunk is."""
    file["sharpness"].id.write_direct_chunk((0, 0, 0), bytes(2000))


def twice_compressed(file: h5py.File) -> None:
    del file["sharpness"]
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_chunk((1, 8, 8))
    for _ in range(2):
        created.set_deflate(9)
    space = h5py.h5s.create_simple((8, 8, 8))
    h5py.h5d.create(file.id, b"sharpness", h5py.h5t.STD_U16LE, space, created)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (a_text_of(100_000), "row 0 of key claims 100,000 bytes; the limit is 65,536"),
        (twice_compressed, "sharpness is compressed twice"),
        (
            another("sharpness", (8, 8, 8), "u2", chunks=(3_000_000, 8, 8), maxshape=(None, 8, 8), compression="gzip"),
            "sharpness has chunks of 384,000,000 bytes; the limit is 268,435,456",
        ),
        (swollen, "sharpness has a chunk of 128 bytes that takes 2,000"),
        (another("key", (8,), h5py.string_dtype(), chunks=(8,), compression="gzip"), "key is not stored as"),
    ],
)
def test_what_would_take_much_more_memory_than_the_file_is_refused(
    whole: Path, tmp_path: Path, change: Change, words: str
) -> None:
    with pytest.raises(PackError, match=words):
        reader.read_info(changed(whole, tmp_path, change))


DAMAGE = """
import random, re, sys
from pathlib import Path
from prep.errors import PackError
from prep.packs import reader
whole, path, dice = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), random.Random(0)
heaps = [found.start() for found in re.finditer(b"GCOL", whole)]
refused = 0
for _ in range(300):
    data, start, count = bytearray(whole), dice.choice(heaps) + dice.randrange(1000), dice.choice([1, 8, 16, 50, 500])
    data[start : start + count] = bytes(count) if dice.random() < 0.5 else dice.randbytes(count)
    path.write_bytes(data[: len(whole)])
    try:
        reader.read_info(path)
    except PackError as error:
        refused += "heap of texts" in str(error)
print(refused)
"""


@pytest.mark.slow
def test_a_pack_whose_texts_are_damaged_is_refused_before_hdf5_reads_them_for_ever(whole: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", DAMAGE, str(whole), str(tmp_path / "p.h5")]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert int(ended.stdout) > 20


@pytest.mark.parametrize("name", ["blurry", "sharp", "mask", "sharpness"])
def test_no_frame_is_read_from_a_damaged_crop(whole: Path, tmp_path: Path, name: str) -> None:
    def damage(file: h5py.File) -> None:
        row = file[name][5]
        row.flat[7] ^= 1
        file[name][5] = row

    info = reader.read_info(changed(whole, tmp_path, damage))
    first, second = info.frames
    read_frame([info], Frame(0, first.key), list(first.rows))
    with pytest.raises(PackError, match=r"changed\.h5: crop 5 \(c/2\) is damaged; pack it again"):
        read_frame([info], Frame(0, second.key), list(second.rows))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (4, 4, 4, 3)},
        {"chunks": (1, 8, 8, 3), "scaleoffset": 0},
        {"chunks": (1, 8, 8, 3), "compression": "gzip"},
        {"chunks": (1, 8, 8, 3), "fletcher32": True},
    ],
)  # fmt: skip
def test_windows_are_the_same_however_another_program_stored_them(
    whole: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = changed(whole, tmp_path, stored_as("blurry", **options))

    assert verification.structure(reader.read_info(path)) == []
    for row in range(8):
        assert np.array_equal(Windows(path).read("blurry", row, 2, 1, 5), Windows(whole).read("blurry", row, 2, 1, 5))


def test_a_user_block_before_a_pack_shifts_no_window(whole: Path, tmp_path: Path) -> None:
    with h5py.File(whole) as plain, h5py.File(tmp_path / "u.h5", "w", userblock_size=512, libver="v110") as file:
        file.attrs.update(plain.attrs)
        for name in plain:
            plain.copy(name, file)

    assert np.array_equal(Windows(tmp_path / "u.h5").read("mask", 3, 0, 0, 8), Windows(whole).read("mask", 3, 0, 0, 8))


def test_a_pack_that_another_program_writes_is_said_to_be_open_there(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole, tmp_path / "p.h5"))
    code = f"import h5py, sys; file = h5py.File({str(path)!r}, 'r+'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(PackError, match=r"p\.h5 is open for writing in another program"):
            reader.read_info(path)
        process.communicate()

    assert reader.read_info(path).crop_count == 8
