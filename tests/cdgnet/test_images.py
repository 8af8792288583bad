"""Pictures in, the same kind of pictures out."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from cdgnet import CDGNet, ModelConfig, restore

RNG = np.random.default_rng(0)
BRIGHTEN = 20 / 255


def brighter(frames: torch.Tensor) -> torch.Tensor:
    """In place of a network, so that the right answer is known: 20 of 255 levels brighter."""
    assert frames.shape[1] == 3
    return frames + BRIGHTEN


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(17, 23), (17, 23, 1), (17, 23, 2), (17, 23, 3), (17, 23, 4), (1, 1, 3)])
def test_colours_are_restored_to_the_depth_of_the_array_and_alpha_stays(shape: tuple[int, ...], kind: type) -> None:
    peak = int(np.iinfo(kind).max)
    picture = RNG.integers(0, peak, shape, dtype=kind, endpoint=True)

    restored = restore(picture, brighter)

    assert (restored.shape, restored.dtype) == (picture.shape, picture.dtype)
    colours = {2: slice(0, 1), 4: slice(0, 3)}.get(shape[-1] if len(shape) == 3 else 0, slice(None))
    wanted = np.clip(picture[..., colours].astype(float) + BRIGHTEN * peak, 0, peak)
    assert np.abs(restored[..., colours] - wanted).max() <= 0.51  # rounded, not truncated
    if len(shape) == 3 and shape[2] in (2, 4):
        assert np.array_equal(restored[..., -1], picture[..., -1])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_an_image_of_pillow_comes_back_in_its_mode(mode: str) -> None:
    shape = (18, 25) if mode == "L" else (18, 25, len(mode))
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)

    restored = restore(Image.fromarray(pixels, mode), brighter)

    assert (restored.mode, restored.size) == (mode, (25, 18))
    assert np.array_equal(np.asarray(restored), restore(pixels, brighter))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_of_pillow_comes_back_upright_with_what_its_file_says_of_it(orientation: int) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x010F] = orientation, "Camera"
    picture = Image.fromarray(RNG.integers(0, 256, (18, 25, 3), dtype=np.uint8))
    picture.save(file, "JPEG", exif=exif, icc_profile=profile, dpi=(300, 300))
    opened = Image.open(file)

    restored = restore(opened, lambda frames: frames)

    assert np.array_equal(np.asarray(restored), np.asarray(ImageOps.exif_transpose(opened)))
    written = io.BytesIO()
    restored.save(written, "JPEG", **restored.info)
    again = Image.open(written)
    assert again.info["icc_profile"] == profile
    assert again.info["dpi"] == (300, 300)
    assert (again.getexif()[0x010F], again.getexif().get(0x0112, 1)) == ("Camera", 1)


def test_a_colour_that_stands_for_transparency_becomes_alpha() -> None:
    file = io.BytesIO()
    Image.new("RGB", (25, 18), (9, 9, 9)).save(file, "PNG", transparency=(9, 9, 9))

    restored = restore(Image.open(file), brighter)

    assert restored.mode == "RGBA" and "transparency" not in restored.info
    assert np.asarray(restored)[0, 0].tolist() == [29, 29, 29, 0]


def test_an_array_that_cannot_be_written_to_is_restored_and_left_alone() -> None:
    pixels = RNG.integers(0, 256, (17, 23, 3), dtype=np.uint8)
    before = pixels.copy()
    pixels.flags.writeable = False
    assert not np.array_equal(restore(pixels, brighter), pixels)
    assert np.array_equal(pixels, before)


def test_a_tensor_comes_back_as_a_tensor() -> None:
    pixels = torch.randint(0, 256, (16, 20, 3), dtype=torch.uint8)
    restored = restore(pixels, brighter)
    assert torch.equal(restored, torch.from_numpy(restore(pixels.numpy(), brighter)))


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (16, 15), (50, 31)])
def test_a_network_restores_pictures_of_any_size(size: tuple[int, int]) -> None:
    network = CDGNet(ModelConfig.preset("tiny")).eval()  # new and residual: it changes nothing
    pixels = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    assert np.array_equal(restore(pixels, network), pixels)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "picture is float32"),
        (np.zeros((4, 4, 5), np.uint8), r"pass uint8 or uint16 of shape \(H, W\) or \(H, W, 1 to 4\)"),
        (np.zeros((0, 4, 3), np.uint8), "picture is uint8"),
        (Image.new("CMYK", (4, 4)), "mode CMYK"),
        ("photo.jpg", "photo.jpg is a path, not a picture"),
        (CDGNet(ModelConfig.preset("tiny")), "of type CDGNet; pass an array, a tensor"),
    ],
)
def test_other_pictures_are_refused(picture: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        restore(picture, brighter)
