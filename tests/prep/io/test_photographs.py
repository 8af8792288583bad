"""Photographs keep what their files say of them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from prep.errors import FrameError, ReadError
from prep.io import frames, photographs

RNG = np.random.default_rng(0)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SHAPES = {"L": (20, 30), "LA": (20, 30, 2), "RGB": (20, 30, 3), "RGBA": (20, 30, 4), "CMYK": (20, 30, 4)}


def picture(mode: str = "RGB") -> Any:
    """Noise at a fifth of the size, so that lossy formats keep most of it."""
    height, width, *channels = SHAPES[mode]
    small = Image.fromarray(RNG.integers(0, 256, (height // 5, width // 5, *channels), dtype=np.uint8), mode)
    return small.resize((width, height))


def camera(orientation: int = 1) -> Any:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Camera"
    exif.get_ifd(0x8769)[0x829A] = (1, 60)  # exposure time
    exif.get_ifd(0x8825)[1] = "N"  # of its place
    return exif


def again(path: Path, quality: int = 95) -> photographs.Photo:
    """What is read of a photograph that was read and written, as cdg-deblur does."""
    target = path.with_name(f"again-{path.name}")
    photographs.write(target, photographs.read(path), quality)
    return photographs.read(target)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "bmp"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_without_loss_in_comes_without_loss_out(tmp_path: Path, mode: str, suffix: str) -> None:
    if suffix == "bmp" and mode in ("LA", "RGBA"):
        pytest.skip("a BMP has no alpha")
    image = picture(mode)
    image.save(tmp_path / f"a.{suffix}", **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    shown = image if suffix != "webp" else image.convert({"L": "RGB", "LA": "RGBA"}.get(mode, mode))
    assert np.array_equal(again(tmp_path / f"a.{suffix}").pixels, np.asarray(shown))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_sixteen_bits_stay_and_so_does_their_profile(tmp_path: Path, channels: tuple[int, ...], suffix: str) -> None:
    pixels = RNG.integers(0, 65536, (20, 30, *channels), dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    photographs.write(path, photographs.Photo(pixels=pixels, profile=SRGB, dots=(300, 300)))

    copied = again(path)

    assert copied.pixels.dtype == np.uint16
    assert np.array_equal(copied.pixels, pixels)
    assert copied.profile == SRGB
    if suffix == "tif":
        assert copied.dots == (300, 300)


def test_grey_with_alpha_of_sixteen_bits_keeps_both_in_a_png(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (20, 30, 2), dtype=np.uint16)
    photographs.write(tmp_path / "a.png", photographs.Photo(pixels=pixels))
    copied = again(tmp_path / "a.png").pixels
    assert np.array_equal(copied, pixels[:, :, [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_set_upright_once(tmp_path: Path, orientation: int, suffix: str) -> None:
    image, path = picture(), tmp_path / f"a.{suffix}"
    image.save(path, exif=camera(orientation), **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as shown:
        wanted = np.asarray(ImageOps.exif_transpose(shown).convert("RGB")).astype(int)

    copied = again(path)

    assert copied.pixels.shape == wanted.shape
    assert np.abs(copied.pixels - wanted).mean() < 3  # a JPEG twice at quality 75 and 95


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_are_turned_as_eight_are(tmp_path: Path, orientation: int) -> None:
    pixels = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    turn = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "8.tif", pixels, photometric="rgb", extratags=turn, metadata=None)
    tifffile.imwrite(tmp_path / "16.tif", pixels * np.uint16(257), photometric="rgb", extratags=turn, metadata=None)
    assert np.array_equal(
        photographs.read(tmp_path / "16.tif").pixels, photographs.read(tmp_path / "8.tif").pixels * np.uint16(257)
    )


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_profile_maker_exposure_and_place_are_kept(tmp_path: Path, suffix: str) -> None:
    if suffix == "heic":
        pytest.importorskip("pillow_heif", reason="pip install pillow-heif").register_heif_opener()
    path = tmp_path / f"a.{suffix}"
    picture().save(path, exif=camera(6 if suffix in ("jpg", "png", "webp") else 1), icc_profile=SRGB)

    copied = again(path)

    exif = Image.Exif()
    exif.load(b"Exif\0\0" + copied.exif)
    assert copied.profile == SRGB
    assert exif[0x010F] == "Camera"
    assert exif.get(0x0112, 1) == 1
    if suffix != "tif":  # of a TIFF's blocks Pillow writes none
        assert exif.get_ifd(0x8769)[0x829A] == (1, 60)
        assert exif.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_quality_decides_the_size_of_what_loses(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    image.save(tmp_path / f"a.{suffix}", quality=90)
    photo = photographs.read(tmp_path / f"a.{suffix}")
    sizes = []
    for quality in (30, 95):
        photographs.write(tmp_path / f"b.{suffix}", photo, quality)
        sizes.append((tmp_path / f"b.{suffix}").stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_a_webp_that_lost_nothing_loses_nothing(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.webp", lossless=True)
    picture().save(tmp_path / "b.webp", quality=80)
    assert [photographs.read(tmp_path / f"{name}.webp").is_lossless for name in "ab"] == [True, False]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (30, 20), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    copied = again(tmp_path / "red.jpg").pixels
    assert np.abs(copied.astype(int) - (255, 0, 0)).max() < 10


def test_a_palette_and_a_transparent_colour_become_alpha(tmp_path: Path) -> None:
    image = picture().quantize(8)
    image.save(tmp_path / "a.png", transparency=3)
    with Image.open(tmp_path / "a.png") as shown:
        wanted = np.asarray(shown.convert("RGBA"))
    assert np.array_equal(again(tmp_path / "a.png").pixels, wanted)


def test_a_second_picture_behind_a_jpeg_is_not_in_the_way(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[picture()])
    assert again(tmp_path / "a.jpg").pixels.shape == (20, 30, 3)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_a_cut_picture_is_named_and_never_half_restored(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(FrameError, match=rf"a\.{suffix} is damaged"):
        photographs.read(path)


def several() -> bytes:
    target = io.BytesIO()
    picture().save(target, "TIFF", save_all=True, append_images=[picture(), picture()])
    return target.getvalue()


def layers() -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, np.zeros((4, 4, 6), np.uint16), photometric="minisblack", planarconfig="contig")
    return target.getvalue()


def floats() -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, np.zeros((4, 4, 3), np.float32), photometric="rgb")
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"a letter", "a.png is not a readable picture \\(8 bytes\\)"),
        ("a.jpg", b"", "a.jpg is not a readable picture \\(0 bytes\\)"),
        ("a.tif", several(), "contains 3 pictures; save each as a file"),
        ("a.tif", layers(), "a.tif has 6 channels of uint16"),
    ],
)
def test_what_is_no_single_picture_is_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FrameError, match=message):
        photographs.read(tmp_path / name)


def test_a_deep_picture_under_the_name_of_a_jpeg_is_written_as_one(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (20, 30, 4), dtype=np.uint16)
    photographs.write(tmp_path / "a.jpg", photographs.Photo(pixels=pixels))
    assert photographs.read(tmp_path / "a.jpg").pixels.shape == (20, 30, 3)


def damaged(data: bytes) -> bytes:
    """The same length, with noise in the middle of its pixels."""
    half = len(data) // 2
    return data[:half] + bytes(RNG.integers(0, 256, 20, dtype=np.uint8)) + data[half + 20 :]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", ["deflate", "lzw"])
def test_a_tiff_whose_compressed_pixels_are_damaged_is_named(tmp_path: Path, compression: str, kind: type) -> None:
    pixels, path = RNG.integers(0, 256, (40, 50, 3)).astype(kind), tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", compression=compression, metadata=None)
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(FrameError, match=r"a\.tif is damaged: "):
        photographs.read(path)


def test_a_deep_tiff_that_lacks_parts_of_its_pixels_is_not_filled_with_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((40, 50, 3), np.uint16), photometric="rgb", rowsperstrip=40, metadata=None)
    data = path.read_bytes()
    at = data.index(struct.pack("<HHI", 257, 4, 1)) + 8  # its height
    path.write_bytes(data[:at] + struct.pack("<I", 80) + data[at + 4 :])
    with pytest.raises(FrameError, match="it contains 1 of 2 parts; copy or download it again"):
        photographs.read(path)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_bigtiff_is_read_and_written(tmp_path: Path, kind: type) -> None:
    pixels = RNG.integers(0, 256, (20, 30, 3)).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", bigtiff=True, metadata=None)
    assert np.array_equal(again(tmp_path / "a.tif").pixels, pixels)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claiming_png(bits: int, colour_type: int) -> bytes:
    """A PNG of a few bytes that says it is 60000 x 60000 pixels large."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, bits, colour_type, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(6)) if colour_type == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(bytes(9)))
    return b"\x89PNG\r\n\x1a\n" + head + palette + pixels + chunk(b"IEND", b"")


def claiming_jpeg() -> bytes:
    target = io.BytesIO()
    picture().save(target, "JPEG")
    data = target.getvalue()
    size = data.index(b"\xff\xc0") + 5
    return data[:size] + b"\xff\xff\xff\xff" + data[size + 4 :]


def claiming_tiff() -> bytes:
    target = io.BytesIO()
    picture().save(target, "TIFF")
    data = target.getvalue()
    for tag in (256, 257):  # width and height
        at = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
        data = data[:at] + struct.pack("<I", 2**31 - 1) + data[at + 4 :]
    return data


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("rgb.png", claiming_png(8, 2)),
        ("deep.png", claiming_png(16, 2)),
        ("palette.png", claiming_png(8, 3)),
        ("a.jpg", claiming_jpeg()),
        ("a.tif", claiming_tiff()),
    ],
)
def test_a_picture_that_states_a_huge_size_is_refused_by_its_header(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FrameError, match=r"[\d,]+ megapixels\); the limit is 500 megapixels"):
        photographs.read(tmp_path / name)
    with pytest.raises(FrameError, match=name):
        frames.read(tmp_path / name)


def test_what_a_tiff_holds_that_is_not_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(floats())
    with pytest.raises(FrameError, match=r"3 channels of float32 \(RGB, compression NONE\); convert it to RGB or grey"):
        photographs.read(tmp_path / "a.tif")


def test_a_jpeg_by_its_other_name_is_read_and_written(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.jfif", "JPEG")
    assert again(tmp_path / "a.jfif").pixels.shape == (20, 30, 3)


def test_metadata_that_a_format_cannot_hold_are_said_and_nothing_is_written(tmp_path: Path) -> None:
    photo = photographs.Photo(pixels=np.zeros((4, 4, 3), np.uint8), exif=bytes(70_000))
    with pytest.raises(FrameError, match=r"a\.jpg cannot be written: EXIF data is too long"):
        photographs.write(tmp_path / "a.jpg", photo)
    assert list(tmp_path.iterdir()) == []


def encoded(format: str) -> bytes:
    target = io.BytesIO()
    options: dict[str, Any] = {"compression": "tiff_lzw"} if format == "TIFF" else {}
    picture().save(target, format, exif=camera(6), icc_profile=SRGB, **options)
    return target.getvalue()


ENCODED = {format: encoded(format) for format in ("PNG", "JPEG", "TIFF", "WEBP")}
WHERE = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=4)


def mutated(data: bytes, changes: list[tuple[float, bytes]], kept: float) -> bytes:
    changed = bytearray(data)
    for where, put in changes:
        at = int(where * len(data))
        changed[at : at + len(put)] = put
    return bytes(changed[: int(kept * len(changed)) + 1])


@settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.builds(mutated, st.sampled_from(list(ENCODED.values())), WHERE, st.sampled_from([1.0, 1.0, 0.5])),
    ),
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, which a command does not show
def test_any_bytes_are_pixels_or_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for read in (photographs.read, frames.read):
        try:
            read(path)
        except ReadError as error:
            assert str(path) in str(error) and "\n" not in str(error)
