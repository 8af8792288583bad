"""Recipe of the weights that come with cdgnet: free photographs, and the commands that a person types.

The photographs come from a folder and from scikit-image. Each is blurred many times, with several camera models. The
network is trained on these pairs for a fixed time, and scored on photographs that it never saw.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cdgnet import CDGNet
from pipelines import free_photos
from pipelines.card import Card
from pipelines.errors import DataError
from pipelines.evaluate import statistics
from pipelines.evaluate.measures import FrameScores, gain
from pipelines.free_photos import Picture
from pipelines.timing import has_amx
from prep.io import files

LICENCE = "Apache-2.0, as the code; the photographs keep their own licences, below"


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """Pairs with one camera model and one range of motion."""

    name: str
    count: int  # pairs per photograph
    words: tuple[str, ...]  # options of cdg-prep synth

    @property
    def is_test(self) -> bool:
        """Whether the set is for scores."""
        return self.name.startswith("test-")

    @property
    def description(self) -> str:
        """Description of the set for the scores."""
        return f"photographs never trained on, camera {self.words[self.words.index('--camera') + 1]}"


_CODES, _LIGHT, _PHONE = (("--camera", name, "--jpeg", "75-98") for name in ("none", "gopro", "phone"))
# Most photographs have short blur, and a small network learns it first; so half of the pairs have less motion.
# The blur of GoPro's data is a mean of codes (camera none); every real camera averages light.
SETS = (
    PairSet(name="short", count=5, words=(*_CODES, "--shake", "0-14", "--region", "0-20")),
    PairSet(name="long", count=4, words=(*_CODES, "--shake", "0-30", "--region", "0-30")),
    PairSet(name="light", count=6, words=(*_LIGHT, "--shake", "0-15", "--region", "0-30")),
    PairSet(name="phone", count=5, words=(*_PHONE, "--shake", "0-30", "--region", "0-30")),
    PairSet(name="test-codes", count=5, words=("--camera", "none", "--shake", "0-30", "--region", "0-30")),
    PairSet(name="test-phone", count=5, words=(*_PHONE, "--shake", "0-30", "--region", "0-30")),
    # A steady camera teaches the network to leave sharp frames unchanged. These sets stay last, because the position
    # of a set decides its seed.
    PairSet(name="still", count=3, words=(*_CODES, "--shake", "0-2", "--region", "0-12")),
    PairSet(name="still-light", count=3, words=(*_LIGHT, "--shake", "0-2", "--region", "0-12")),
)
_COMMON = (
    *("--shrinkage", "2"),  # the networks also make sharp frames darker and smoother (docs/weights-experiments.md)
    *("--warm-up", "200", "--average", "0.999", "--val", "none", "--checkpoint-minutes", "5", "--divergence", "halve"),
)
# One branch learns several times as much in equal time as two branches and their fusion. On a GPU there is time for
# the paper's width.
_ONE_BRANCH = ("--variant", "dmphn-1")
_ON_CPU = (*_ONE_BRANCH, "--preset", "small", "--batch", "4", "--crop", "112", "--workers", "1")
_ON_GPU = (
    *(*_ONE_BRANCH, "--preset", "paper", "--batch", "8", "--crop", "256", "--workers", "12"),
    *("--precision", "bf16-mixed", "--compile", "--graphs"),
)
TRAININGS: Mapping[str, Sequence[Sequence[str]]] = {
    # Badly blurred frames dominate the squared error, so it teaches deblurring but harms sharp frames. The PSNR loss
    # weighs all frames equally: training is slow from random weights, but later it teaches to leave sharp frames alone.
    "cpu": (
        (*_ON_CPU, "--loss", "l2", "--learning-rate", "7e-4", "--clip", "0.05"),
        (*_ON_CPU, "--loss", "psnr", "--learning-rate", "5e-4", "--clip", "20"),
    ),
    "gpu": (
        (*_ON_GPU, "--loss", "l2", "--learning-rate", "5e-4", "--clip", "0.05"),
        (*_ON_GPU, "--loss", "psnr", "--learning-rate", "3e-4", "--clip", "20"),
    ),
}  # options of cdg-train by device; each training continues the one before, and the released weights are their mean


def trainings(device: str, seed: int, hours: float, *, goes_on: bool = False) -> list[list[str]]:
    """Return the ``cdg-train`` options of each training; bfloat16 on a CPU with AMX, which doubles the steps.

    Args:
        device: A key of ``TRAININGS``.
        seed: Seed of all trainings.
        hours: Total hours of all trainings.
        goes_on: Continue from weights of the recipe, with the last training alone.
    """
    chosen = TRAININGS[device][-1:] if goes_on else TRAININGS[device]
    precision = ["--precision", "bf16-mixed"] if device == "cpu" and has_amx() else []
    common = [*_COMMON, *precision, "--hours", f"{hours / len(chosen):g}", "--seed", str(seed)]
    return [[*options, *common] for options in chosen]


def mean_of(networks: Sequence[CDGNet]) -> CDGNet:
    """Return a network with the mean weights of several networks, each trained further from the one before.

    Here the mean restored better than each of them (docs/weights-experiments.md).

    Source: Wortsman et al. 2022, *Robust fine-tuning of zero-shot models*, for two networks.
    """
    mean = deepcopy(networks[-1])
    states = [network.state_dict() for network in networks]
    mean.load_state_dict({name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]})
    return mean


def begin(out: Path, seed: int, pictures: Sequence[Picture]) -> None:
    """Record the options of a recipe in its folder, so that pairs made with other options never mix in.

    Raises:
        DataError: If the folder was begun with other options.
    """
    path = out / "recipe.json"
    asked = {
        "seed": seed,
        "pictures": sorted(picture.file for picture in pictures),
        "sets": {each.name: [str(each.count), *each.words] for each in SETS},
        "collages": free_photos.COLLAGES,
    }
    if not path.exists():
        files.write_text(path, json.dumps(asked, indent=1) + "\n")
        return
    begun = files.read_object(path)
    others = {
        "seed": f"seed {begun.get('seed')!a:.30}",
        "pictures": "other photographs",
        "sets": "other sets of pairs",
        "collages": "another number of collages",
    }
    for name, found in others.items():
        if begun.get(name) != asked[name]:
            raise DataError(f"{out} was begun with {found}; choose another --out, or use the same options to continue")


_OF_AN_EARLIER_CARD = ("name", "hours", "steps", "device", "seed", "commit")


def make_card(
    *,
    name: str,
    network: CDGNet,
    pictures: Sequence[Picture],
    commands: Sequence[str],
    scores: Sequence[Mapping[str, Any]],
    seconds: float,
    steps: int,
    device: str,
    seed: int,
    begun_from: Card | None = None,
    averaged: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the card of weights as JSON: how and from which photographs they were made; ``pipelines.card`` shows it.

    Args:
        name: Name of the weights.
        network: Network with these weights.
        pictures: All photographs that ``free_photos.gather`` returned.
        commands: Commands that made the weights, as typed.
        scores: Results of ``summarise``.
        seconds: Training time in seconds.
        steps: Training steps.
        device: Device of the training.
        seed: Seed of pairs and training.
        begun_from: Card of the weights that the training began from; None if it began from random weights.
        averaged: Names of the weights whose mean is ``network``.
    """
    earlier = [] if begun_from is None else begun_from["trained_on"]
    now = [asdict(picture) for picture in pictures if not picture.is_held_out]
    trained_on = {picture["file"]: picture for picture in (*earlier, *now)}
    parameters = sum(weight.numel() for weight in network.parameters())
    return {
        "name": name,
        "network": f"{network.config.summary}: {parameters:,} parameters",
        "hours": seconds / 3600,
        "steps": steps,
        "device": device,
        "seed": seed,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _commit(),
        "torch": torch.__version__,
        "licence": LICENCE,
        "averaged": list(averaged),
        "begun_from": None if begun_from is None else {key: begun_from[key] for key in _OF_AN_EARLIER_CARD},
        "scores": list(scores),
        "commands": list(commands),
        "trained_on": list(trained_on.values()),
        "held_out": [asdict(picture) for picture in pictures if picture.is_held_out],
    }


def summarise(frames_name: str, rows: Sequence[FrameScores]) -> dict[str, Any]:
    """Return a line of the card from the scores of ``cdg-eval``, which has one row per frame."""
    names = ("psnr_blurry", "psnr", "ssim_blurry", "ssim")
    means = {name: float(np.mean([float(row[name]) for row in rows])) for name in names}
    gains = [gain(row) for row in rows]
    interval = statistics.bootstrap_interval([str(row["key"]) for row in rows], gains)
    return {
        "frames": f"{frames_name}, {len(rows)}",
        **means,
        "gain": float(np.mean(gains)),
        "gain_low": interval.low,
        "gain_high": interval.high,
        "least_gain": min(gains),
    }


def _commit() -> str:
    """Return this project's commit, with a plus if files differ from it; "unknown" outside of a clone."""
    root = Path(__file__).parents[1]
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
