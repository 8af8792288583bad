"""What a reader of the documentation has at hand, in small: data sets, photographs, a film, packs and a trained run.

Pages use the real names (``GOPRO_Large``, ``gopro.h5``, ``photo.jpg``); a page gets what its commands name and what it
did not make itself. Work that would take hours is shortened by options added to the commands, see ``shortened``.
"""

import shutil
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from commands import call
from films import write_film
from PIL import Image

RUN = (
    *("--preset", "tiny", "--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0"),
    *("--log-every", "1", "--checkpoint-minutes", "0"),
)
_LENGTHS = ("--steps", "--epochs", "--hours")


def texture(number: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """A colour picture with detail everywhere, ``(H, W, 3)`` uint8."""
    noise = np.random.default_rng(number).normal(0, 1, (*size, 3))
    picture = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * 40 * sigma for sigma in (1, 2, 5))
    return np.asarray(np.clip(128 + picture, 0, 255), np.uint8)


def _shaken(picture: np.ndarray, length: int) -> np.ndarray:
    return np.asarray(cv2.blur(picture, (length, 1)), np.uint8)


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)


def _write_pairs(folder: Path) -> None:
    """GoPro's layout, and pairs and photographs under the names that the pages use."""
    clips = {"train": ("GOPR0372_07_00", "GOPR0374_11_00", "GOPR0378_13_00"), "test": ("GOPR0384_11_00",)}
    for place, (split, clip) in enumerate((split, clip) for split, names in clips.items() for clip in names):
        for number in (1, 2):
            sharp = texture(10 * place + number, (64, 80))
            blurry = np.hstack([sharp[:, :40], _shaken(sharp, 9)[:, 40:]])
            for role, picture in (("sharp", sharp), ("blur", blurry)):
                _write(folder / "GOPRO_Large" / split / clip / role / f"{number:06}.png", picture)
    for number in (1, 2, 3):
        sharp = texture(90 + number, (96, 112))
        trees = {"sharp": sharp, "blurry": _shaken(sharp, 9), "restored-by-them": _shaken(sharp, 5)}
        for name, picture in trees.items():
            _write(folder / name / f"{number:03}.png", picture)
            _write(folder / f"{name}-test" / f"{number:03}.png", picture)
        _write(folder / "recordings" / "a" / f"blur_{number:03}.png", trees["blurry"])
        _write(folder / "recordings" / "a" / f"gt_{number:03}.png", sharp)
        _write(folder / "photos" / f"IMG_{number:04}.jpg", texture(number, (384, 480)))
        _write(folder / "holiday" / f"IMG_{number:04}.jpg", _shaken(texture(number, (200, 240)), 7))
    _write(folder / "photo.jpg", _shaken(texture(0), 7))
    _write(folder / "photo.png", _shaken(texture(0), 7))


def make(folder: Path) -> Path:
    """Write everything into an empty folder, which is given back."""
    _write_pairs(folder)
    shutil.make_archive(str(folder / "GOPRO_Large"), "zip", folder, "GOPRO_Large")
    moving = texture(7, (96, 400))
    frames = [moving[:, 3 * number : 3 * number + 128] for number in range(48)]
    write_film(folder / "clip.mp4", frames, rate=Fraction(240))
    for number, frame in enumerate(frames):
        _write(folder / "GOPRO_Large_all" / "train" / "GOPR0372_07_00" / f"{number:06}.png", frame)
    paired = ("--method", "paired", "--mu", "0.85", "--out", "masks/paired")
    for words in (
        ("prep", "pack", "gopro", "--crop", "48"),
        ("prep", "pack", "gopro", "--split", "test", "--crop", "frame"),
        ("prep", "masks", *paired),
        ("prep", "pack", "gopro", "--masks", "masks/paired", "--crop", "48", "--out", "gopro-paired.h5"),
        ("train", "--h5", "gopro.h5", *RUN),
    ):
        done = call(folder, *words)
        assert done.returncode == 0, done.stderr
    for name in ("new", "mine"):
        shutil.copy(folder / "runs" / "gopro" / "weights.safetensors", folder / f"{name}.safetensors")
    return folder


def supply(stock: Path, folder: Path, names: Iterable[str]) -> None:
    """Copy files and folders of the reader's that a page has not made itself; other names are passed over."""
    for name in names:
        word = name.partition("*")[0]
        there, here = stock / word, folder / word
        if word in (".", "") or not there.exists() or here.exists():
            continue
        here.parent.mkdir(parents=True, exist_ok=True)
        if there.is_dir():
            shutil.copytree(there, here)
        else:
            shutil.copy(there, here)


def shortened(words: list[str]) -> list[str]:
    """The same command at a scale of seconds: fewer steps, smaller crops and pictures; a later option counts."""
    match [words[0], next((word for word in words[1:] if not word.startswith("-")), "")]:
        case ["cdg-train", _] if not {"--resume", "--page", "--config"} & set(words):
            # Weights to start from decide the network.
            return [*_without(words, _LENGTHS), *(_without([*RUN], ("--preset",)) if "pretrained" in words else RUN)]
        case ["cdg-study", _] if words[1] != "list":
            return [*_without(words, _LENGTHS), *RUN[:10], "--seeds", "1"]
        case ["cdg-prep", "pack"] if "frame" not in words:
            return [*words, "--crop", "48"]
        case ["cdg-prep", "synth"] if "--photos" in words:
            return [*words, "--count", "2", "--size", "96x80", "--region", "5-10"]
        case ["cdg-info", _] if "--time" in words:
            return [*words, "--size", "64x64"]
    return words


def _without(words: list[str], options: tuple[str, ...]) -> list[str]:
    """Words without these options and their values."""
    dropped = {place + more for place, word in enumerate(words) if word in options for more in (0, 1)}
    return [word for place, word in enumerate(words) if place not in dropped]
