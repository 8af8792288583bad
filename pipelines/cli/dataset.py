"""Options shared by the commands of ``cdg-prep`` that work on a data set."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
)  # those of prep.sharpness, named here so that --help need not load them
MU = 0.96  # likewise that of prep.masks.making
_SHOWN = 5  # entries of a long list
PAIRING_RULE = (
    "Frames belong together if their paths below the folders (of patterns: what the wildcards match) have the same "
    "words, not counting suffixes and words such as blur, gt, input, target; if no path does, if their file names do."
)


path_type = click.Path(path_type=Path)
split_type = click.Choice(["train", "valid", "test", "all"])
LAYOUTS = tuple(published.LAYOUTS)
layout_option = click.option(
    "--layout", type=click.Choice(LAYOUTS), help="Which data set, where several lie in one folder."
)
_VARIANTS = dict.fromkeys(name for layout in published.LAYOUTS.values() for name in layout.variants if name)
variant_type = click.Choice(list(_VARIANTS))
masks_option = click.option(
    "--masks", "masks_folder", type=path_type, metavar="DIR", help="Masks folder.  [default: masks/LAYOUT]"
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes to work in.  [default: one a core]"
)
method_type = click.Choice(METHODS)


@dataclass(frozen=True, kw_only=True)
class Where:
    """The options that say where a data set is."""

    root: Path
    variant: str | None
    blurry: Path | None
    sharp: Path | None

    @property
    def is_of_photos(self) -> bool:
        """Whether it is blurry frames without sharp ones."""
        return self.blurry is not None and self.sharp is None

    def find(self, layout: str | None) -> "Dataset":
        """Find the data set and print its splits and orphans."""
        from prep.datasets import layouts, tree_pairs

        if (self.blurry is None) != (self.sharp is None) or (layout == "pairs" and self.blurry is None):
            lacking = "--sharp DIR" if self.blurry else "--blurry DIR" if self.sharp else "--blurry DIR and --sharp DIR"
            raise click.UsageError(f"this works on pairs of frames; pass {lacking} too")
        self._refuse_layout(layout)
        if self.blurry and self.sharp:
            dataset = tree_pairs.find_pairs(self.blurry, self.sharp)
        else:
            dataset = layouts.find(self.root, layout, self.variant)
        place = self.blurry or dataset.folders[0]
        click.echo(f"{dataset.layout} {dataset.variant}".rstrip() + f" in {place}")
        for line in layouts.tally(dataset):
            click.echo(f"  {line}")
        if dataset.orphans:
            click.echo(f"  without a partner: {listed([str(path) for path in dataset.orphans])}")
        return dataset

    def find_photos(self, layout: str | None) -> "tuple[Dataset, tuple[BlurryFrame, ...]]":
        """Find the blurry frames that have no sharp ones, and print their number."""
        from prep.datasets import tree_pairs

        assert self.blurry is not None
        self._refuse_layout(layout)
        dataset, found = tree_pairs.find_frames(self.blurry)
        click.echo(f"{counted(len(found), 'photograph')} in {self.blurry}")
        return dataset, found

    def _refuse_layout(self, layout: str | None) -> None:
        if self.blurry and layout not in (None, "pairs"):
            raise click.UsageError(f"--blurry and --sharp are pairs, asked for is {layout}; leave out one or the other")


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where the data set is, given to the command as one ``where``."""

    @functools.wraps(command)
    def collected(root: Path, variant: str | None, blurry: Path | None, sharp: Path | None, **others: Any) -> Any:
        return command(where=Where(root=root, variant=variant, blurry=blurry, sharp=sharp), **others)

    options = (
        click.option(
            "--root",
            type=path_type,
            default=".",
            metavar="DIR|ZIP",
            help="Holds the data set, or is it; a zip stays packed.  [default: .]",
        ),
        click.option(
            "--variant",
            type=variant_type,
            help="Kind of blur: gopro's blur or blur_gamma, reds' blur or blur_comp, realblur's J or R, bsd's "
            "exposures, rsblur's real_blur or avg65_img.  [default: the first]",
        ),
        click.option(
            "--blurry",
            type=path_type,
            metavar="DIR|PATTERN",
            help="Blurry frames of any other data set: a folder, or a pattern in quotes, as 'DIR/**/blur_*.png'.",
        ),
        click.option("--sharp", type=path_type, metavar="DIR|PATTERN", help=f"Its sharp frames. {PAIRING_RULE}"),
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), collected)


def default_masks(dataset: "Dataset") -> Path:
    return Path("masks", dataset.name)


def outside(dataset: "Dataset", path: Path) -> Path:
    """Refuse to write into the data set's own folder."""
    for folder in dataset.folders:
        if path.resolve().is_relative_to(folder.resolve()):
            raise click.ClickException(f"{path} lies inside the data set {folder}; pass a path elsewhere")
    return path


def listed(lines: list[str]) -> str:
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more
