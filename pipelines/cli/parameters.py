"""Types of option values that several commands take; they are checked before anything heavy is loaded."""

import math
import os
import re
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Parameter = click.ParamType[Any]
else:
    _Parameter = click.ParamType  # not generic before click 8.2


_LARGEST_SIDE = 65536  # pixels of a picture or a tile


def _whole(text: str, largest: int) -> int | None:
    """A whole number from 0 to ``largest``; None for any other text, also for thousands of digits."""
    number = int(text) if text.isdecimal() and len(text) <= len(str(largest)) else None
    return number if number is not None and number <= largest else None


def _short(value: object) -> str:
    """A value for a message."""
    return reprlib.repr(str(value))


class _NamedPath(click.Path):
    """A path. An empty one, such as from an unset variable, would mean the current folder and is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        if not str(value):
            self.fail("the name is empty; pass a file or a folder (. is the current folder)", param, ctx)
        return Path(value)


class _Output(_NamedPath):
    """A file or a folder that will be written; refused at once where that is not permitted."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        path = super().convert(value, param, ctx)
        place = next(place for place in (path, *path.absolute().parents) if os.access(place, os.F_OK))
        if place != path and not place.is_dir():
            self.fail(f"{place} is a file, not a folder; choose another path", param, ctx)
        if not os.access(place, os.W_OK):
            self.fail(f"no permission to write in {place}; choose another path", param, ctx)
        return path


path_type = _NamedPath(path_type=Path)
output_type = _Output(path_type=Path)


class ExistingFile(click.Path):
    """A file that must exist.

    Args:
        remedy: What to do if it does not.
        check: Raises an error if the file is of the wrong kind.
        named: Names that stand for a file, unless there is a file of that name; the functions return its path.
    """

    def __init__(
        self,
        remedy: str,
        check: Callable[[Path], object] | None = None,
        named: Mapping[str, Callable[[], Path]] | None = None,
    ) -> None:
        super().__init__(path_type=Path)
        self.remedy, self._check, self._named = remedy, check, named or {}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        path = Path(value)
        if not path.exists() and str(value) in self._named:
            path = self._named[str(value)]()
        if not path.exists():
            if str(path).startswith("--"):
                self.fail(f"the file name is missing; {path} is an option", param, ctx)
            self.fail(f"{path} does not exist; {self.remedy}", param, ctx)
        if path.is_dir():
            self.fail(f"{path} is a folder; pass a file in it", param, ctx)
        if not path.is_file():  # a pipe or a device may never end, or be empty
            self.fail(f"{path} is not a regular file; copy its content to a file and pass that", param, ctx)
        if self._check is not None:
            self._check(path)
        return path


def _check_pack(path: Path) -> None:
    from prep.packs import layout, reader

    with reader.open_pack(path) as file:
        layout.read_header(file)


def _check_weights(path: Path) -> None:
    """Check the first bytes and the header."""
    from pipelines.restore import weights_files

    weights_files.check(path)


def _pretrained() -> Path:
    """The weights that come with cdgnet."""
    from cdgnet import PRETRAINED  # not at the top: needs packages that an installation without PyTorch lacks

    return PRETRAINED


_NAMED_WEIGHTS = {"pretrained": _pretrained}
PACK_FILE = ExistingFile("make it with cdg-prep pack", _check_pack)
WEIGHTS_FILE = ExistingFile(
    "pass weights of cdg-train (runs/NAME/weights.safetensors), of another project (.pth), or the word pretrained",
    _check_weights,
    _NAMED_WEIGHTS,
)
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")


def typed_weights(path: str) -> str:
    """Weights as one types them: the word pretrained, or else their path."""
    return next((name for name, find in _NAMED_WEIGHTS.items() if Path(path) == find()), path)


def weights_or_pretrained(weights: Path | None) -> Path:
    """The weights that were passed, or else those of the package, which a line reports."""
    if weights is not None:
        return weights
    from cdgnet import PRETRAINED, read_metadata

    click.echo(
        f"weights: {read_metadata(PRETRAINED)['name']}, which come with cdgnet (details: cdg-info --card)",
        err=True,
    )
    return PRETRAINED


class FiniteRange(click.FloatRange):
    """A range of finite numbers."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number in the range {self._describe_range()}.", param, ctx)
        return number


class Range(_Parameter):
    """One number, or two with a dash between: ``11``, ``7-13``.

    Args:
        name: Their unit.
        smallest, largest: Limits of both numbers.
        example: For error messages.
        is_whole: Whether they are whole numbers.
    """

    def __init__(
        self, name: str, smallest: float, largest: float = math.inf, *, example: str = "7-13", is_whole: bool = False
    ) -> None:
        self.name, self.smallest, self.largest = name, smallest, largest
        self.example, self.is_whole = example, is_whole

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """The lower and the upper end."""
        if isinstance(value, tuple):
            return value
        ends = re.fullmatch(r"(-?[^-]+?(?:e-\d+)?)(?:-(.+))?", str(value).lower())  # 1e-4 is one number
        try:
            low, high = (float(end) for end in ((ends[1], ends[2] or ends[1]) if ends else ("", "")))
        except ValueError:
            self.fail(f"{value} is neither a number nor a range such as {self.example}", param, ctx)
        is_inside = self.smallest <= low <= high <= self.largest and high < math.inf
        if not is_inside or (self.is_whole and not (low.is_integer() and high.is_integer())):
            kind = "whole number" if self.is_whole else "number"
            limits = (
                f"from {self.smallest:g} to {self.largest:g}" if self.largest < math.inf else f">= {self.smallest:g}"
            )
            self.fail(f"{value} is not a {kind} {limits}, or a range of them such as {self.example}", param, ctx)
        return low, high


class FrameSize(_Parameter):
    """``WIDTHxHEIGHT``."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Height and width."""
        if isinstance(value, tuple):
            return value
        width, height = (_whole(side, _LARGEST_SIDE) for side in str(value).lower().partition("x")[::2])
        if width is None or height is None or min(width, height) < 16:
            self.fail(
                f"{_short(value)} is not a size; pass WIDTHxHEIGHT such as 1280x720, each from 16 to {_LARGEST_SIDE}",
                param,
                ctx,
            )
        return height, width


class TileSide(_Parameter):
    """A side in pixels, rounded down to a multiple of 4; None for ``auto``."""

    name = "tile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value == "auto":
            return None
        side = _whole(str(value), _LARGEST_SIDE)
        if side is None or side < 64:
            self.fail(
                f"{_short(value)} is not a tile side; pass auto, or a number of pixels from 64 to {_LARGEST_SIDE}",
                param,
                ctx,
            )
        return side - side % 4


class FrameCount(_Parameter):
    """A number of frames, or ``all``."""

    name = "count"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or isinstance(value, int):
            return value
        if value == "all":
            return 0
        count = _whole(str(value), 10**9)
        if not count:
            self.fail(f"{_short(value)} is neither a number of frames from 1 on nor 'all'", param, ctx)
        return count
