"""``make weights``: train the weights that come with cdgnet again, from free photographs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli import evaluate, prep, train
from pipelines.cli.entry import SETTINGS, example, run, show_and_run
from pipelines.cli.parameters import WEIGHTS_FILE, FiniteRange, output_type
from prep.units import file_size

if TYPE_CHECKING:
    import torch

    from pipelines.card import Card
    from pipelines.free_photos import Picture
    from pipelines.recipe import PairSet

folder_type = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command(
    "python -m pipelines.cli.weights",
    context_settings=SETTINGS,
    epilog=example("make weights PHOTOGRAPHS=photographs HOURS=2"),
)
@click.option(
    "--photographs",
    type=folder_type,
    required=True,
    metavar="DIR",
    help="Sharp photographs, and SOURCES.csv beside them: file,source,author,licence.",
)
@click.option("--hours", type=FiniteRange(1e-3), default=2, show_default=True, help="Of training.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of pairs and training.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="Settings for a CPU: a small network; or for a GPU: the paper's widths.",
)
@click.option(
    "--score",
    "data_sets",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="DIR|ZIP",
    help="Also score the test split of a data set, else all of it; may be repeated.",
)
@click.option(
    "--init",
    type=WEIGHTS_FILE,
    metavar="FILE",
    help="Continue from these weights, which this command made; pretrained: those that come with cdgnet.",
)
@click.option("--name", default="photographs", show_default=True, help="Name of the weights, for their card.")
@click.option(
    "--out", type=output_type, default="weights", show_default=True, metavar="DIR", help="Folder for all files."
)
def command(
    photographs: Path,
    hours: float,
    seed: int,
    device: str,
    data_sets: tuple[Path, ...],
    init: Path | None,
    name: str,
    out: Path,
) -> None:
    """Photographs -> blurry pairs -> masks -> packs -> a trained network -> scores -> NAME.safetensors and its card.

    Every step is a command that is shown, and the same command resumes.
    """
    from pipelines import free_photos, recipe
    from pipelines.timing import device_and_threads

    begun_from = None if init is None else _card_of(init)
    of_data_sets = [_frames_of(data_set) for data_set in data_sets]
    torch_device = _device()
    kind = _kind(device, torch_device)
    pictures = free_photos.gather(photographs, out / "photographs")
    recipe.begin(out, seed, pictures)
    _say_pictures(pictures)
    commands = _Commands(out)
    packs = {each: _pairs(each, number, seed, out, commands) for number, each in enumerate(recipe.SETS)}
    trained = [pack for each, pack in packs.items() if not each.is_test]
    run_folders: list[Path] = []
    averaged = [] if init is None else [init]
    for number, options in enumerate(recipe.trainings(kind, seed, hours, goes_on=init is not None), start=1):
        run_folders.append(out / f"run-{kind}-{number}")
        start = ("--init", averaged[-1]) if averaged else ()
        commands.run(train.command, "--h5", *trained, "--out", run_folders[-1], *options, *start)
        averaged.append(run_folders[-1] / "weights.safetensors")
    mean = _write_mean(averaged, out / f"mean-{kind}.safetensors")
    of_photographs = [(each.description, ("--h5", pack)) for each, pack in packs.items() if each.is_test]
    scores = [_score(frames, words, mean, commands) for frames, words in (*of_photographs, *of_data_sets)]
    _publish(
        out / f"{name}.safetensors",
        mean,
        run_folders,
        pictures,
        commands,
        name=name,
        scores=scores,
        device=device_and_threads(torch_device),
        seed=seed,
        begun_from=begun_from,
        averaged=[*([begun_from["name"]] if begun_from else []), *(folder.name for folder in run_folders)],
    )


class _Commands:
    """Runs commands as a person would type them, and remembers them for the card.

    Args:
        out: The folder for all files. The card calls it ``weights``, and shows only the names of other paths.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.done: list[str] = []

    def run(self, tool: click.Command, *words: object, is_done: bool = False) -> None:
        """Show a command and run it, unless it is done."""
        self.done.append(" ".join([tool.name or "", *map(self._on_the_card, words)]))
        if not is_done:
            show_and_run(tool, *words)

    def _on_the_card(self, word: object) -> str:
        if not isinstance(word, Path):
            return str(word)
        return f"weights/{word.relative_to(self.out)}" if word.is_relative_to(self.out) else word.name


def _device() -> "torch.device":
    from lightning_fabric import Fabric

    return Fabric(accelerator="auto", devices=1).device


def _card_of(weights: Path) -> "Card":
    """The card of weights.

    Raises:
        DataError: If they have no card.
    """
    from cdgnet import read_metadata
    from pipelines import card
    from pipelines.errors import DataError

    found = card.read(read_metadata(weights))
    if found is None:
        raise DataError(
            f"{weights} has no card, which says what it was trained on; pass weights that make weights made"
        )
    return found


def _kind(device: str, found: "torch.device") -> str:
    """The recipe's settings for a CPU or for a GPU."""
    has_gpu = found.type == "cuda"
    if device == "gpu" and not has_gpu:
        raise click.UsageError("--device gpu needs a GPU, and there is none; pass --device cpu, or leave it out")
    return ("gpu" if has_gpu else "cpu") if device == "auto" else device


def _say_pictures(pictures: "Sequence[Picture]") -> None:
    held_out = [picture.file for picture in pictures if picture.is_held_out]
    trained_on = len(pictures) - len(held_out)
    click.echo(f"{trained_on} photographs to train on; {len(held_out)} to score on: {', '.join(held_out)}")


def _pairs(each: "PairSet", number: int, seed: int, out: Path, commands: _Commands) -> Path:
    """A pack of pairs: made, masked and packed."""
    from pipelines import free_photos

    folder, masks, pack = out / "pairs" / each.name, out / "masks" / each.name, out / f"{each.name}.h5"
    split = "test" if each.is_test else "train"
    height, width = free_photos.SIZE
    where = ("--root", folder, "--split", split)
    commands.run(
        prep.prep,
        *("synth", out / "photographs" / split, "--photos", "--count", each.count, "--size", f"{width}x{height}"),
        *(*each.words, "--seed", 100 * seed + number, "--out", folder),
        is_done=pack.exists(),
    )
    commands.run(
        prep.prep, "masks", *where, "--method", "extent", "--mu", "0.85", "--out", masks, is_done=pack.exists()
    )
    commands.run(
        prep.prep,
        *("pack", "gopro", *where, "--masks", masks, "--crop", "frame", "--no-targets", "--out", pack),
        is_done=pack.exists(),
    )
    return pack


def _frames_of(data_set: Path) -> tuple[str, tuple[object, ...]]:
    """The name of a data set's frames on the card, and the options that score them."""
    from prep.datasets import layouts

    dataset = layouts.find(data_set)
    split = "test" if any(pair.split == "test" for pair in dataset.pairs) else "all"
    name = f"{dataset.name}, {split} split" if split == "test" else f"{dataset.name}, all frames at hand"
    return name, ("--root", data_set, "--split", split)


def _write_mean(paths: Sequence[Path], mean: Path) -> Path:
    """Write the mean of weights."""
    from cdgnet import load_weights, save_weights
    from pipelines import recipe

    save_weights(mean, recipe.mean_of([load_weights(path) for path in paths]), {}, overwrite=True)
    return mean


def _score(frames: str, words: Sequence[object], weights: Path, commands: _Commands) -> dict[str, Any]:
    """Score frames; a line of the card."""
    from pipelines import recipe
    from pipelines.evaluate import folder

    scores = weights.parent / "eval" / frames.replace(", ", "-").replace(" ", "-")
    commands.run(evaluate.command, "--weights", weights, *words, "--out", scores)
    return recipe.summarise(frames, list(folder.read(scores).values()))


def _publish(
    path: Path,
    weights: Path,
    run_folders: "Sequence[Path]",
    pictures: "Sequence[Picture]",
    commands: _Commands,
    **facts: Any,
) -> None:
    """Write weights at half precision, with their card, and the card as text."""
    from cdgnet import load_weights, save_weights
    from pipelines import card, recipe
    from pipelines.train import checkpoints
    from prep.io import files

    network = load_weights(weights)
    states = [checkpoints.load_state(folder)[0] for folder in run_folders]
    written = recipe.make_card(
        network=network,
        pictures=pictures,
        commands=commands.done,
        seconds=sum(state.seconds for state in states),
        steps=sum(state.step for state in states),
        **facts,
    )
    metadata = {"name": str(facts["name"]), card.KEY: json.dumps(written)}
    save_weights(path, network, metadata, overwrite=True, is_half=True)
    files.write_text(path.with_suffix(".md"), card.to_text(written))
    click.echo(f"\nwrote {path}, {file_size(path.stat().st_size)}, and its card {path.with_suffix('.md')}")


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
