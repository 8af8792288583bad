"""Reading and writing frames."""

import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from prep import errors
from prep.io import frames, png
from prep.io.storage import ArchiveMember

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.tiff", "a.webp"])
def test_a_frame_comes_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    frames.write(tmp_path / name, PICTURE)

    assert np.array_equal(frames.read(tmp_path / name), PICTURE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_in_a_header_is_that_of_the_decoded_picture(tmp_path: Path, kind: str, orientation: int) -> None:
    path, exif = tmp_path / f"a.{kind.lower()}", Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "x" * 9000  # a long description stands before a JPEG's size
    Image.fromarray(PICTURE).save(path, kind, exif=exif)

    assert frames.size_of(path) == frames.read(path).shape[:2]


def test_the_size_of_a_jpeg_is_known_without_decoding_it(tmp_path: Path) -> None:
    start = frames.encode(PICTURE, tmp_path / "a.jpg")[:640]  # all but the pixels
    (tmp_path / "a.jpg").write_bytes(start)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", start)

    assert frames.size_of(tmp_path / "a.jpg") == (20, 30)
    assert frames.size_of(ArchiveMember(archive=tmp_path / "a.zip", name="a.jpg")) == (20, 30)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(errors.FrameError, match="is not a readable picture"):
        frames.size_of(tmp_path / "a.jpg")


def test_red_comes_first(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 255
    frames.write(tmp_path / "red.png", red)

    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]  # OpenCV's order is blue, green, red


def test_grey_alpha_and_16_bits_are_read_as_8_bit_rgb(tmp_path: Path) -> None:
    frames.write(tmp_path / "grey.png", PICTURE[:, :, 0])
    frames.write(tmp_path / "alpha.png", np.dstack([PICTURE, PICTURE[:, :, :1]]))
    frames.write(tmp_path / "deep.png", PICTURE.astype(np.uint16) * 257)

    assert np.array_equal(frames.read(tmp_path / "grey.png"), np.repeat(PICTURE[:, :, :1], 3, axis=2))
    assert np.array_equal(frames.read(tmp_path / "alpha.png"), PICTURE)
    assert np.array_equal(frames.read(tmp_path / "deep.png"), PICTURE)


@pytest.mark.parametrize("kept", [0, 5, 40, 300, -6])
def test_a_png_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.png"
    frames.write(path, PICTURE)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(errors.FrameError, match=r"cut\.png is (damaged|not a readable)"):
        frames.read(path)


def test_one_flipped_bit_in_a_png_is_found(tmp_path: Path) -> None:
    path = tmp_path / "flipped.png"
    frames.write(path, PICTURE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(errors.FrameError, match=r"the PNG chunk at byte [\d,]+ has a wrong checksum"):
        frames.read(path)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("kind", ["NONE", "SUB", "UP", "AVG", "PAETH", "ALL_FILTERS"])
def test_a_png_of_any_filter_is_read_as_opencv_reads_it(kind: str, *, alpha: bool) -> None:
    smooth = np.add.outer(np.arange(61), np.arange(47))[:, :, None] + RNG.integers(0, 9, (61, 47, 3 + alpha))
    option = getattr(cv2, f"IMWRITE_PNG_{kind}" if kind == "ALL_FILTERS" else f"IMWRITE_PNG_FILTER_{kind}")
    data = cv2.imencode(".png", smooth.astype(np.uint8), (cv2.IMWRITE_PNG_FILTER, option))[1].tobytes()

    decoded = frames.decode(data, Path("a.png"))

    assert np.array_equal(decoded[:, :, [2, 1, 0, 3][: 3 + alpha]], cv2.imdecode(np.frombuffer(data, np.uint8), -1))


def test_a_png_whose_pixels_end_too_early_is_refused_though_its_checksums_are_right() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = struct.pack(">IIBBBBB", 30, 20, 8, 2, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + PICTURE[y].tobytes() for y in range(10)))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")

    with pytest.raises(errors.FrameError, match=r"half\.png is damaged"):
        frames.decode(data, Path("half.png"))


def test_a_jpeg_is_turned_upright_as_its_exif_says(tmp_path: Path) -> None:
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, :16] = 255  # bright on the left
    plain = frames.encode(wide, Path("a.jpg"))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6: turn right
    path = tmp_path / "phone.jpg"
    path.write_bytes(plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:])

    upright = frames.read(path)

    assert upright.shape == (32, 16, 3)
    assert upright[2, 8, 0] > 250  # what was left is on top


def test_the_sharpness_map_must_be_16_bit_grey(tmp_path: Path) -> None:
    frames.write(tmp_path / "s.png", PICTURE)

    with pytest.raises(errors.FrameError, match="not a 16-bit grey PNG"):
        frames.read_sharpness(tmp_path / "s.png")


def test_hidden_files_and_other_suffixes_are_no_frames() -> None:
    names = ["a.png", "b.JPEG", "._a.png", ".a.png", "frames 7 offset 3.txt", "a.npy"]

    assert [name for name in names if frames.is_frame(Path(name))] == ["a.png", "b.JPEG"]


def test_a_format_that_cannot_hold_the_pixels_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(errors.FrameError, match="cannot be written as"):
        frames.write(tmp_path / "a.xyz", PICTURE)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pngs_are_read_back_by_other_decoders(dtype: type, channels: int) -> None:
    shape = (37, 53, channels)[: 2 + (channels > 1)]
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype)

    data = png.encode(pixels)

    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(frames.swap_red_blue(other), pixels)
    assert np.array_equal(frames.decode(data, Path("a.png")), pixels)
    assert png.encode(pixels[:, ::-1]) == png.encode(np.ascontiguousarray(pixels[:, ::-1]))


def test_what_a_png_cannot_hold_is_refused() -> None:
    for pixels in (np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8)):
        with pytest.raises(ValueError, match="must be uint8 or uint16, grey, RGB or RGBA"):
            png.encode(pixels)
