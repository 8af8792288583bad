"""Read and write photographs with their metadata: ICC profile, EXIF, resolution, bit depth, alpha.

``frames`` reads training data; this module reads photographs to restore, and keeps everything except the pixels.

Legend: H, W a picture's height and width, upright.
"""

import io
import logging
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from prep.arrays import Bytes, Codes
from prep.errors import FrameError
from prep.io import files, frames, storage
from prep.io.storage import Source
from prep.units import counted, file_size

MOST_PIXELS = 500_000_000  # limit for a picture, checked in its header before memory is allocated
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # this module raises errors, with the file name
# Errors that decoders raise for damaged data, in addition to their own classes; none documents them.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,  # also the base class of imagecodecs' errors
    EOFError,
    struct.error,
    zlib.error,
    tifffile.TiffFileError,
)
_ORIENTATION = 0x0112
_KEPT_TIFF_TAGS = {270, 271, 272, 305, 306, 315, 33432, 0x8769, 0x8825}  # description to copyright, EXIF, GPS
_KEPT_MODES = ("L", "LA", "RGB", "RGBA")
_MODES = {"1": "L", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB", "RGBX": "RGB"}
_ONE_PICTURE = ("JPEG", "MPO", "HEIF")  # an MPO stores other views or a gain map after the photograph
_JPEG = (".jpg", ".jpeg", ".jfif")
_HEIF = (".heic", ".heif")
SUFFIXES = (*frames.SUFFIXES, ".jfif", ".avif", *_HEIF)
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_DOTS = 65535  # dots per inch, the largest number that a JPEG can store
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
}


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photograph and its metadata."""

    pixels: Bytes | Codes  # (H, W) grey, or (H, W, 2 to 4): grey with alpha, RGB, RGBA
    profile: bytes = b""  # ICC profile; empty if none
    exif: bytes = b""  # begins with a TIFF's byte order mark; an orientation tag is 1 (upright); empty if none
    dots: tuple[float, float] | None = None  # per inch, horizontal and vertical; None if unknown
    is_lossless: bool = True


def read(source: Source, most_pixels: int = MOST_PIXELS) -> Photo:
    """Read a photograph, 8 or 16 bits: rotated by its EXIF orientation, CMYK converted to sRGB by its profile.

    Args:
        source: The file.
        most_pixels: Limit; a larger picture is refused before it is decoded.

    Raises:
        FrameError: If the file is damaged, cut short, too large, of another depth, not a picture, or several pictures.
        ReadError: If the file cannot be read at all.
    """
    with _opened(source, most_pixels) as (data, image):
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
        pixels = _sixteen_bits(data, image, source)
        profile = image.info.get("icc_profile") or b""
        if pixels is None:
            frames.check_whole(data, source)
            upright = ImageOps.exif_transpose(image)
            upright, profile = _in_kept_mode(upright, profile, source)
            pixels = np.asarray(upright)
        else:
            pixels = _turned(pixels, orientation)
        return Photo(
            pixels=np.ascontiguousarray(pixels),
            profile=profile,
            exif=_upright(exif, image),
            dots=_dots(image),
            is_lossless=_is_lossless(data, image),
        )


def check(source: Source, most_pixels: int = MOST_PIXELS) -> None:
    """Check the header of a photograph without decoding it; arguments and errors as for ``read``."""
    with _opened(source, most_pixels):
        pass


@contextmanager
def _opened(source: Source, most_pixels: int) -> Iterator[tuple[bytes, Any]]:
    """Yield the bytes of a photograph and its Pillow image; add the file name to errors in the block."""
    data = storage.read(source)
    if source.suffix.lower() in _HEIF:
        _register_heif(source)
    try:
        with Image.open(io.BytesIO(data)) as image:
            _check_single(image, source)
            _check_size(image, source, most_pixels)
            yield data, image
    except FrameError:
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(data, source) from error
    except MemoryError as error:
        raise FrameError(f"{source} needs more memory than is free; make it smaller, or replace it") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FrameError(f"{source} is damaged: {reason}; copy or download it again") from error


def is_photo(path: PurePath) -> bool:
    """Check whether a file name is that of a photograph: a known suffix in upper or lower case, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _unidentified(data: bytes, source: Source) -> FrameError:
    """Return the error for a file that Pillow cannot identify: an unsupported TIFF, or not a picture."""
    if data.startswith(_TIFF_STARTS):
        try:
            with tifffile.TiffFile(io.BytesIO(data)) as tiff:
                return _other_kind(tiff.pages[0], source)
        except _DAMAGE:
            pass  # not a complete TIFF either
    return FrameError(f"{source} is not a readable picture ({file_size(len(data))}); replace or remove it")


def _other_kind(page: Any, source: Source) -> FrameError:
    """Return the error for an unsupported kind of TIFF; it states the channels, depth and compression of the page."""
    photometric, compression = (getattr(each, "name", each) for each in (page.photometric, page.compression))
    count = page.samplesperpixel
    kind = f"{counted(count, 'channel')} of {page.dtype} ({photometric}, compression {compression})"
    return FrameError(f"{source} has {kind}; convert it to RGB or grey of 8 or 16 bits, with or without alpha")


def _register_heif(source: Source) -> None:
    try:
        import pillow_heif  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise FrameError(f"{source} needs pillow-heif; run: pip install 'cdgnet[heif]', or convert it") from error
    pillow_heif.register_heif_opener()


def _check_single(image: Any, source: Source) -> None:
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format not in _ONE_PICTURE:
        raise FrameError(f"{source} contains {count} pictures; save each as a file, or all as a video")


def _check_size(image: Any, source: Source, most_pixels: int) -> None:
    width, height = image.size
    if width * height > most_pixels:
        raise FrameError(
            f"{source} has {width:,} x {height:,} pixels ({width * height / 1e6:,.0f} megapixels); the limit is "
            f"{most_pixels / 1e6:,.0f} megapixels; make it smaller, or cut it up"
        )


def _sixteen_bits(data: bytes, image: Any, source: Source) -> Bytes | Codes | None:
    """Decode a PNG or TIFF of more than 8 bits, which Pillow would reduce to 8; None for other pictures."""
    if image.format == "PNG" and data[24] == 16:
        frames.check_whole(data, source)
        return np.asarray(imagecodecs.png_decode(data))
    if image.format != "TIFF" or max(image.tag_v2.get(258, (8,))) <= 8:
        return None
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page: Any = tiff.pages[0]
        wanted, found = math.prod(page.chunked), len(page.dataoffsets)
        if found < wanted:  # missing parts would become black
            raise FrameError(f"{source} is damaged: it contains {found} of {wanted} parts; copy or download it again")
        pixels = np.asarray(page.asarray())
        if pixels.dtype != np.uint16 or page.photometric not in (
            tifffile.PHOTOMETRIC.RGB,
            tifffile.PHOTOMETRIC.MINISBLACK,
        ):
            raise _other_kind(page, source)
        if pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = pixels.transpose(1, 2, 0)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (2, 3, 4)):
            raise _other_kind(page, source)
        return pixels


def _turned(pixels: Any, orientation: int) -> Any:
    """Rotate and mirror pixels by their EXIF orientation (2 to 8; others change nothing)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _in_kept_mode(image: Any, profile: bytes, source: Source) -> tuple[Any, bytes]:
    """Convert an image to a supported mode; return it and its new ICC profile."""
    if "transparency" in image.info:  # one transparent colour, or transparent palette entries
        return image.convert("RGBA"), profile
    if image.mode in _KEPT_MODES:
        return image, profile
    if image.mode == "CMYK":
        return _from_cmyk(image, profile), b""
    if image.mode not in _MODES:
        raise FrameError(f"{source} has {image.mode} pixels; convert it to RGB or grey of 8 or 16 bits")
    return image.convert(_MODES[image.mode]), profile


def _from_cmyk(image: Any, profile: bytes) -> Any:
    if not profile:
        return image.convert("RGB")
    try:
        return ImageCms.profileToProfile(image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB")
    except ImageCms.PyCMSError:  # the profile is not for CMYK
        return image.convert("RGB")


def _upright(exif: Any, image: Any) -> bytes:
    """Return the EXIF data for upright pixels; empty if the image has none."""
    if image.format == "TIFF":  # layout tags describe the old file; the writer adds its own
        for tag in set(exif) - _KEPT_TIFF_TAGS:
            del exif[tag]
        exif.bigtiff = False  # readers of EXIF do not expect 64-bit offsets
    if not len(exif):
        return b""
    if _ORIENTATION in exif:
        exif[_ORIENTATION] = 1
    data: bytes = exif.tobytes()
    return data.removeprefix(b"Exif\0\0")


def _dots(image: Any) -> tuple[float, float] | None:
    dots = image.info.get("dpi")
    return (float(dots[0]), float(dots[1])) if dots and 0 < min(dots) <= max(dots) <= _MOST_DOTS else None


def _is_lossless(data: bytes, image: Any) -> bool:
    if image.format == "WEBP":
        return b"VP8L" in data and b"VP8 " not in data
    return image.format not in (*_ONE_PICTURE, "AVIF", "HEIF")


def write(path: Path, photo: Photo, quality: int = 95) -> None:
    """Write a photograph atomically, in the format of the suffix.

    PNG, TIFF and BMP are lossless, WebP only if the photograph was; the others are lossy. Only PNG and TIFF store 16
    bits, and JPEG stores no alpha.

    Args:
        path: Ends in one of ``SUFFIXES``.
        photo: The photograph as read, with new pixels.
        quality: 1 to 100, for JPEG, AVIF and HEIC, and for WebP if the photograph was lossy.

    Raises:
        FrameError: If the format cannot store the photograph.
        OSError: If the file cannot be written.
    """
    suffix = path.suffix.lower()
    pixels = photo.pixels
    if suffix in _JPEG and pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :3]
    if pixels.dtype == np.uint16 and suffix in (".png", ".tif", ".tiff"):
        files.write_bytes(path, _encode_sixteen(replace(photo, pixels=pixels), suffix))
        return
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257).astype(np.uint8)
    options: dict[str, Any] = {"icc_profile": photo.profile} if photo.profile else {}
    if photo.exif and suffix != ".bmp":
        options["exif"] = b"Exif\0\0" + photo.exif
    if photo.dots:
        options["dpi"] = photo.dots
    if suffix in _JPEG:
        options |= {"quality": quality, "subsampling": 0 if quality >= 90 else 2, "optimize": True}
    if suffix in (".avif", *_HEIF):
        options["quality"] = quality
    if suffix == ".webp":
        options |= {"lossless": photo.is_lossless, "quality": 100 if photo.is_lossless else quality, "exact": True}
    if suffix in (".tif", ".tiff"):
        options["compression"] = "tiff_deflate"
    target = io.BytesIO()
    try:
        Image.fromarray(pixels).save(target, _FORMATS[suffix], **options)
    except _DAMAGE as error:  # the source's metadata are too long or damaged; nothing is written yet
        raise FrameError(f"{path} cannot be written: {' '.join(str(error).split())}; convert the source") from error
    files.write_bytes(path, target.getvalue())


def _encode_sixteen(photo: Photo, suffix: str) -> bytes:
    if suffix != ".png":
        return _sixteen_tiff(photo)
    pixels = photo.pixels
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # OpenCV does not support grey with alpha
        pixels = pixels[:, :, [0, 0, 0, 1]]
    kinds, values = [], []
    for kind, value in ((cv2.IMAGE_METADATA_ICCP, photo.profile), (cv2.IMAGE_METADATA_EXIF, photo.exif)):
        if value:
            kinds.append(kind)
            values.append(np.frombuffer(value, np.uint8)[None])
    done, data = cv2.imencodeWithMetadata(".png", frames.swap_red_blue(pixels), kinds, values)
    assert done
    return bytes(data)


def _sixteen_tiff(photo: Photo) -> bytes:
    pixels, target = photo.pixels, io.BytesIO()
    has_alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    is_colour = pixels.ndim == 3 and pixels.shape[2] > 2
    tifffile.imwrite(
        target,
        pixels,
        photometric="rgb" if is_colour else "minisblack",
        planarconfig="contig" if pixels.ndim == 3 else None,
        extrasamples=["unassalpha"] if has_alpha else None,
        compression="deflate",
        predictor=True,
        iccprofile=photo.profile or None,
        resolution=photo.dots,
        resolutionunit="INCH" if photo.dots else None,
        metadata=None,
        software=False,
    )
    return target.getvalue()
