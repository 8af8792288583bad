"""Options shared by the commands of ``cdg-prep`` that work on a data set."""

import functools
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.parameters import path_type
from pipelines.cli.tables import print_wrapped
from prep.datasets import published
from prep.units import counted

if TYPE_CHECKING:
    from prep.datasets.layouts import BlurryFrame, Dataset

METHODS = (
    "lbp",
    "lbp-matting",
    "lbp-absolute",
    "hifst",
    "laplacian",
    "paired",
    "extent",
)  # as in prep.sharpness; repeated so that --help does not load it
_SHOWN = 5  # entries shown of a long list
_METHODS_HELP = (
    "lbp, lbp-matting, lbp-absolute, hifst and laplacian read the blurry frame alone; paired also reads the "
    "sharp frame, extent the blur-length map of cdg-prep synth."
)
PAIRING_RULE = (
    "Frames are a pair if their paths in the two folders (or what the wildcards match) have the same words, not "
    "counting suffixes and words such as blur, gt, input or target; if no paths agree, file names are compared."
)


split_type = click.Choice(["train", "valid", "test", "all"])
LAYOUTS = tuple(published.LAYOUTS)
layout_option = click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    metavar="NAME",
    help=f"Data set to use if --root contains several: {', '.join(LAYOUTS)}.",
)
_VARIANTS = dict.fromkeys(name for layout in published.LAYOUTS.values() for name in layout.variants if name)
variant_type = click.Choice(list(_VARIANTS))
masks_option = click.option(
    "--masks", "masks_folder", type=path_type, metavar="DIR", help="Masks folder.  [default: masks/LAYOUT]"
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Frames to process at the same time; lower it if memory runs out.  [default: number of CPU cores]",
)
method_type = click.Choice(METHODS)
METHOD_HELP = f"Method for the sharpness map S: {_METHODS_HELP}"
_is_typed: ContextVar[bool] = ContextVar("_is_typed", default=False)


@contextmanager
def typed_by_a_person() -> Iterator[None]:
    """Print next steps within; not in commands that ``make demo`` and ``make weights`` call."""
    token = _is_typed.set(True)
    try:
        yield
    finally:
        _is_typed.reset(token)


def hint(text: str) -> None:
    """Print advice, if a person typed the command."""
    if _is_typed.get():
        click.echo(text)


def next_step(*words: object, when: str = "") -> None:
    """Print the command to type next, if a person typed this one; ``when`` says for which case it is."""
    hint(f"next{when and f', {when}'}: {shlex.join(map(str, words))}")


class DatasetCommand(click.Command):
    """A command that takes ``--blurry`` and ``--sharp``; it recognises patterns that the shell has expanded."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an option that is followed by several files."""
        for option, first, second in zip(args, args[1:], args[2:], strict=False):
            if option in ("--blurry", "--sharp") and Path(first).is_file() and Path(second).is_file():
                pattern = Path(first).parent / f"*{Path(first).suffix}"
                raise click.UsageError(f"put the pattern after {option} in quotes: {option} '{pattern}'", ctx)
        return super().parse_args(ctx, args)


@dataclass(frozen=True, kw_only=True)
class Where:
    """The options that select a data set."""

    root: Path
    variant: str | None
    blurry: Path | None
    sharp: Path | None

    @property
    def is_of_photos(self) -> bool:
        """Whether it is blurry frames without sharp ones."""
        return self.blurry is not None and self.sharp is None

    def find(self, layout: str | None) -> "Dataset":
        """Find the data set and print its splits and the frames without a partner."""
        from prep.datasets import layouts

        dataset = self.locate(layout)
        click.echo(f"{dataset.layout} {dataset.variant}".rstrip() + f" in {self.blurry or dataset.folders[0]}")
        for line in layouts.summary(dataset):
            print_wrapped(line, "  ")
        if dataset.orphans:
            click.echo(f"  without a partner: {listed([str(path) for path in dataset.orphans])}")
        return dataset

    def locate(self, layout: str | None) -> "Dataset":
        """Find the data set: a published one, or folders such as ``blur/`` and ``sharp/`` in ``--root``."""
        from prep.datasets import layouts, tree_pairs

        if (self.blurry is None) != (self.sharp is None):
            lacking = "--sharp" if self.blurry else "--blurry"
            raise click.UsageError(f"pairs need both --blurry and --sharp; add {lacking} DIR")
        self._refuse_layout(layout)
        if self.blurry and self.sharp:
            return tree_pairs.find_pairs(self.blurry, self.sharp)
        folders = tree_pairs.in_folder(self.root) if layout in (None, "pairs") and not self.variant else None
        if folders and (layout == "pairs" or not layouts.find_all(self.root)):
            return tree_pairs.find_pairs(*folders)
        if layout == "pairs":
            raise click.UsageError(
                f"{self.root} has no folders blur/ and sharp/; say where the frames are with --blurry DIR --sharp DIR"
            )
        return layouts.find(self.root, layout, self.variant)

    def words(self, layout: str | None = None) -> list[str]:
        """The options again, for a command to type."""
        options = {"--variant": self.variant, "--blurry": self.blurry, "--sharp": self.sharp, "--layout": layout}
        root = [] if self.root == Path() else ["--root", str(self.root)]
        return [*root, *(str(word) for name, value in options.items() if value for word in (name, value))]

    def find_photos(self, layout: str | None) -> "tuple[Dataset, tuple[BlurryFrame, ...]]":
        """Find blurry frames without sharp partners and print their number."""
        from prep.datasets import tree_pairs

        assert self.blurry is not None
        self._refuse_layout(layout)
        dataset, found = tree_pairs.find_frames(self.blurry)
        click.echo(f"{counted(len(found), 'photograph')} in {self.blurry}")
        return dataset, found

    def _refuse_layout(self, layout: str | None) -> None:
        if self.blurry and layout not in (None, "pairs"):
            raise click.UsageError(f"--blurry and --sharp cannot be combined with {layout}; leave out one or the other")
        if self.blurry and self.root != Path():
            path = self.root / self.blurry
            raise click.UsageError(
                "--blurry and --sharp are relative to the current folder, not to --root; leave out --root and use "
                f"--blurry {shlex.quote(str(path))}"
            )


variant_option = click.option(
    "--variant",
    type=variant_type,
    metavar="NAME",
    help="Kind of blur: blur or blur_gamma (gopro), blur or blur_comp (reds), J or R (realblur), real_blur or "
    "avg65_img (rsblur), 1ms8ms, 2ms16ms or 3ms24ms (bsd).  [default: the first found]",
)
blurry_option = click.option(
    "--blurry",
    type=path_type,
    metavar="DIR|PATTERN",
    help="Blurry frames of any other data set: a folder, or a pattern in quotes such as 'DIR/**/blur_*.png', relative "
    "to the current folder.",
)
sharp_option = click.option(
    "--sharp", type=path_type, metavar="DIR|PATTERN", help=f"Sharp frames for --blurry. {PAIRING_RULE}"
)


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that select the data set, passed to the command as ``where``."""

    @functools.wraps(command)
    def collected(root: Path, variant: str | None, blurry: Path | None, sharp: Path | None, **others: Any) -> Any:
        return command(where=Where(root=root, variant=variant, blurry=blurry, sharp=sharp), **others)

    root_option = click.option(
        "--root",
        type=path_type,
        default=".",
        metavar="DIR|ZIP",
        help="Folder or zip archive of the data set, or the folder that contains it.  [default: .]",
    )
    options = (root_option, variant_option, blurry_option, sharp_option)
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), collected)


def default_masks(dataset: "Dataset") -> Path:
    return Path("masks", dataset.name)


def outside(dataset: "Dataset", path: Path) -> Path:
    """Refuse to write into the data set's own folder."""
    for folder in dataset.folders:
        if path.resolve().is_relative_to(folder.resolve()):
            raise click.ClickException(
                f"{path} is inside the data set {folder}, where nothing is written; choose a path outside"
            )
    return path


def listed(lines: list[str]) -> str:
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more
