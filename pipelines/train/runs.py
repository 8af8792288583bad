"""What is asked of a training run, checked against its packs and its folder.

A run folder holds ``run.json`` (what was asked), ``checkpoints`` (the last states), ``log.jsonl`` (a row a logging
step), ``weights.safetensors`` (the network as of the last checkpoint) and ``best.safetensors`` (as of the highest
validation PSNR).
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cdgnet import ModelConfig, load_weights
from cdgnet.errors import WeightsError
from cdgnet.weights import read_metadata
from pipelines.errors import RunInUse, TrainingError
from pipelines.train import checkpoints
from pipelines.train.samples import TrainingSamples
from pipelines.train.settings import FREE, TrainingConfig
from pipelines.train.split import Split, split_by_source
from prep.arrays import Size
from prep.io import files, locks
from prep.packs import store

STABLE_RATE = 5e-4  # above it the offsets were seen to run away to 16-40 pixels


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run about to start or to go on: all that the loop needs but its state."""

    config: TrainingConfig
    packs: Sequence[Path]
    folder: Path
    split: Split
    steps: int  # to reach in all
    start: int  # steps done before
    crops: Sequence[Size]  # of each pack
    is_done: bool  # all of them, the last validation, and the weights written
    faults: Sequence[str] = field(default=())  # of checkpoints newer than the one that it goes on from

    @property
    def log(self) -> Path:
        """A row a logging step."""
        return self.folder / "log.jsonl"


@contextmanager
def held(run: Run) -> Iterator[None]:
    """Hold a run's folder against other processes.

    Raises:
        RunInUse: If another one holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.hold(run.folder / "lock"))
        except locks.FileInUse as error:
            text = "is being trained by another process; wait for its end, or pass another --out"
            raise RunInUse(f"{run.folder} {text}") from error
        yield


def training_seconds(folder: Path) -> float:
    """How long the logged steps of a run took, from each row's rate."""
    seconds, before = 0.0, 0
    for row in read_log(folder):
        if "loss" in row:
            seconds += (row["step"] - before) / row["steps_per_second"]
            before = row["step"]
    return seconds


def prepare(config: TrainingConfig, packs: Sequence[Path], folder: Path, *, keep: bool = True) -> Run:
    """Check what is asked against the packs and the run folder.

    Args:
        config: What is asked.
        packs: Their paths.
        folder: The run's; need not exist.
        keep: Begin the run, by writing ``run.json``; else write nothing.

    Raises:
        TrainingError: If the folder holds another run, or something else.
        TrainingError: If none of the run's checkpoints can be read.
        DataError: If the packs cannot be divided as asked, or do not go together.
        PackError: If one cannot be read.
        WeightsError: If those to begin with cannot be used.
    """
    split = split_by_source(packs, config.val)
    steps = steps_of(config, split)
    TrainingSamples(packs, split.train, config.crop, config.seed)  # refuses a window that does not fit
    if config.init is not None:
        _refuse_other_network(load_weights(Path(config.init)).config, config)
    asked = identity(config, packs, steps)
    path = folder / "run.json"
    if path.exists():
        _refuse_other(read_asked(folder), asked, folder)
        read_log(folder)  # refuses one that is damaged
    elif folder.exists() and any(held.suffix != ".part" for held in folder.iterdir()):
        raise TrainingError(f"{folder} holds files but no run.json, so no run of ours; pass another --out")
    held, faults = checkpoints.load(folder)
    if held is None and (folder / "weights.safetensors").exists():
        raise TrainingError(
            f"{folder} holds weights of a run but none of its checkpoints, so it cannot go on; pass another --out, and "
            f"to train them further --init {folder / 'weights.safetensors'}"
        )
    if keep and not path.exists():
        files.write_text(path, json.dumps(asked, indent=2) + "\n")
    start = held["step"] if held else 0
    is_whole = weights_step(folder) == start  # else a kill came between the last checkpoint and its weights
    is_done = start >= steps and is_whole and not (held and held.get("owes_validation"))
    return Run(
        config=config,
        packs=packs,
        folder=folder,
        split=split,
        steps=steps,
        start=start,
        crops=[store.describe(pack)["crop"] for pack in packs],
        is_done=is_done,
        faults=faults,
    )


def read_asked(folder: Path) -> dict[str, Any]:
    """What was asked of the run in a folder.

    Raises:
        TrainingError: If there is none, or its file is damaged.
    """
    path = folder / "run.json"
    if not path.exists():
        raise TrainingError(f"{folder} holds no run (no run.json); pass the --out of one")
    try:
        asked: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{path} is damaged ({error}); put it back, or begin anew with another --out") from error
    return asked


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's log.

    Raises:
        TrainingError: If a line is none.
    """
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    rows = []
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith("\n"):
            break  # torn by a kill
        try:
            rows.append(json.loads(line))
            rows[-1]["step"]
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"line {number} of {path} is no row of a log; mend or remove that line") from error
    return rows


def weights_step(folder: Path) -> int:
    """After how many steps a run's weights were written; -1 where there are none that can be read."""
    path = folder / "weights.safetensors"
    with suppress(WeightsError, ValueError):
        return int(read_metadata(path).get("step", -1)) if path.exists() else -1
    return -1


def steps_of(config: TrainingConfig, split: Split) -> int:
    """Steps that a run is to reach in all."""
    if config.steps is not None:
        return config.steps
    return -(-config.epochs * len(split.train) // config.batch)


def network_of(config: TrainingConfig) -> ModelConfig:
    """The network that a run trains."""
    network = ModelConfig.preset(config.preset, config.variant)
    return network if config.attention == "variant" else replace(network, attention=config.attention)


def has_own_attention(config: TrainingConfig) -> bool:
    """Whether the attention is the variant's own, however it was asked for."""
    return network_of(config) == ModelConfig.preset(config.preset, config.variant)


def learns_from_masks(config: TrainingConfig) -> bool:
    """Whether a run looks at the masks of its packs."""
    return network_of(config).branches == "both" and config.lambda_small + config.lambda_large > 0


def identity(config: TrainingConfig, packs: Sequence[Path], steps: int) -> dict[str, Any]:
    """What must be equal for two commands to mean one run, as JSON gives it back."""
    chosen = {name: value for name, value in asdict(config).items() if name not in FREE}
    if has_own_attention(config):
        del chosen["attention"]
    if config.init is not None:
        chosen["init"] = f"crc32 {zlib.crc32(Path(config.init).read_bytes()):08x}"
    if config.schedule == "cosine":
        chosen["steps"] = steps  # where the cosine ends
    network = network_of(config).to_dict()
    identity: dict[str, Any] = json.loads(
        json.dumps({**chosen, "network": network, "pack_crc32": store.content(packs)})
    )
    return identity


def _refuse_other(held: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> None:
    differing = [name for name in asked if held.get(name) != asked[name] and name not in ("network", "pack_crc32")]
    said = [f"{name.replace('_', '-')} {held.get(name)} (now {asked[name]})" for name in differing]
    if differing == ["steps"]:
        said = [f"a cosine schedule that ends at step {held.get('steps')} (now {asked['steps']})"]
    if held.get("pack_crc32") != asked["pack_crc32"]:
        said.append("packs of another content")
    if not said and held.get("network") != asked["network"]:
        said = [f"a network of another release ({held.get('network')})"]
    if said:
        with_ = ", ".join(said)
        raise TrainingError(f"{folder} holds a run with {with_}; pass another --out, or the same settings to go on")


def _refuse_other_network(found: ModelConfig, config: TrainingConfig) -> None:
    wanted = network_of(config)
    if found != wanted:
        raise TrainingError(
            f"{config.init} holds the network {found.variant} with widths {found.widths}, asked is {config.variant} in "
            f"{config.preset} with {wanted.widths}; pass its --variant and --preset"
        )
