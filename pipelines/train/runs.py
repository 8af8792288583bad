"""The settings of a training run, checked against its packs and its folder (see ``run_folder``)."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cdgnet import PRESETS, ModelConfig
from pipelines.errors import DataError, TrainingError
from pipelines.train import checkpoints, config_file, run_folder
from pipelines.train.samples import TrainingSamples
from pipelines.train.schedule import Plan, first_plan
from pipelines.train.settings import MAY_CHANGE, TrainingConfig, held_out
from pipelines.train.split import Split, split_by_source
from prep.errors import PackError
from prep.io import files
from prep.packs.reader import PackInfo, content_checksum, read_info

# Entries of ``identity`` that are checksums, and what it means if they differ.
_CHECKSUMS = {"pack_crc32": "other packs (other crops)", "init": "other first weights (--init)"}
STABLE_RATE = 5e-4  # learning rate above which offsets were seen to diverge to 16-40 pixels


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that is about to start or to continue: what the loop needs and does not change."""

    config: TrainingConfig
    packs: Sequence[PackInfo]
    folder: Path
    split: Split
    samples: TrainingSamples  # training samples
    plan: Plan  # plan of its steps; a run by the clock revises it
    request: Mapping[str, Any]  # settings that identify the run, from ``identity``
    start: int  # steps done before
    seconds: float  # seconds trained before
    is_done: bool  # all steps and the last validation are done, and the weights are written
    damaged_checkpoints: Sequence[str] = field(default=())  # those newer than the one it continues from, in sentences

    @property
    def steps(self) -> int:
        """Number of steps of the whole run, as planned when the run was prepared."""
        return self.plan.steps

    @property
    def pack_paths(self) -> list[Path]:
        """Paths of the packs."""
        return [pack.path for pack in self.packs]


def prepare(config: TrainingConfig, packs: Sequence[Path], folder: Path, *, keep: bool = True) -> Run:
    """Check the settings against the packs and the run folder.

    Args:
        config: The settings.
        packs: Paths of the packs.
        folder: The run folder; need not exist.
        keep: Whether to begin the run, by writing ``run.json`` and ``config.yaml``; if false, nothing is written.

    Raises:
        TrainingError: If the folder contains another run or other files, or none of its checkpoints can be read.
        DataError: If the packs cannot be split as the settings say, or do not match.
        PackError: If a pack cannot be read.
        WeightsError: If the initial weights cannot be used.
    """
    infos = [read_info(pack) for pack in packs]
    split = split_by_source(infos, config.val)
    plan = first_plan(config, len(split.train))
    samples = TrainingSamples(
        packs,
        split.train,
        config.crop,
        config.seed,
        turn=config.turn,
        mu=config.mu,
        is_soft=config.component_loss == "soft",
    )
    if config.init is not None:
        config = _of_init(config, Path(config.init))
    asked = identity(config, infos, plan.steps)
    _refuse_other_folder(folder, asked)
    state, damaged = checkpoints.load_state(folder)
    if config.hours is not None:
        plan = state.plan
    _refuse_weights_alone(folder)
    # False if the run was killed between writing the last checkpoint and writing its weights.
    are_weights_written = run_folder.weights_step(folder) == state.step
    run = Run(
        config=config,
        packs=infos,
        folder=folder,
        split=split,
        samples=samples,
        plan=plan,
        request=asked,
        start=state.step,
        seconds=state.seconds,
        is_done=state.step >= plan.steps and are_weights_written and not state.is_validation_due,
        damaged_checkpoints=damaged,
    )
    if keep:
        begin(run)
    return run


def begin(run: Run) -> None:
    """Make the folder a run folder: write ``run.json``, unless it exists, and the settings as ``config.yaml``."""
    if not (run.folder / run_folder.REQUEST).exists():
        run_folder.write_request(run.folder, run.request)
    config_file.write(run.folder / config_file.NAME, run.config, run.pack_paths)


def check_division(config: TrainingConfig, processes: int) -> None:
    """Check that the processes can share a batch.

    Raises:
        TrainingError: If the batch cannot be divided, or CUDA graphs are on with more than one process.
    """
    if config.graphs and processes > 1:
        raise TrainingError(f"--graphs is for one device, and there are {processes}; leave it out")
    parts = processes * config.accumulate
    if config.batch % parts:
        raise TrainingError(
            f"a batch of {config.batch} cannot be divided into {processes} (devices) x {config.accumulate} "
            f"(--accumulate) parts; pass --batch {parts * -(-config.batch // parts)}"
        )


def frames_trained_on(folder: Path) -> Mapping[tuple[str, str], tuple[PackInfo, Sequence[int]]]:
    """Return the frames that the run in a folder trains on; none if its settings or packs cannot be read.

    Returns:
        By layout and key: the pack of each frame, and its rows there.
    """
    try:
        settings = config_file.of_run(folder)
        packs = [read_info(pack) for pack in settings.get(config_file.PACKS, [])]
        train = split_by_source(packs, held_out(settings.get("val", ()))).train
    except (TrainingError, DataError, PackError, OSError):
        return {}
    return {(packs[frame.pack].header.layout, frame.key): (packs[frame.pack], rows) for frame, rows in train.items()}


def network_of(config: TrainingConfig) -> ModelConfig:
    """Return the configuration of the network that a run trains."""
    network = ModelConfig.preset(config.preset, config.variant)
    own = {name: getattr(config, name) for name in ("attention", "fusion") if getattr(config, name) != "variant"}
    return replace(network, shrinkage=config.shrinkage or 0, **own)


def uses_variant_attention(config: TrainingConfig) -> bool:
    """Return whether the network has its variant's own attention, by default or by an explicit setting."""
    usual = network_of(replace(config, fusion="variant", shrinkage=None))
    return usual == ModelConfig.preset(config.preset, config.variant)


def learns_from_masks(config: TrainingConfig) -> bool:
    """Return whether a run uses the masks of its packs."""
    return learns_from_branches(config) and config.component_loss != "whole"


def learns_from_branches(config: TrainingConfig) -> bool:
    """Return whether a run has losses of the branches."""
    return network_of(config).branches == "both" and config.lambda_small + config.lambda_large > 0


def identity(config: TrainingConfig, packs: Sequence[PackInfo], steps: int) -> dict[str, Any]:
    """Return the values that must be equal for two commands to be the same run, as read back from JSON."""
    settings = {name: value for name, value in asdict(config).items() if name not in MAY_CHANGE}
    if uses_variant_attention(config):
        del settings["attention"]
    settings["shrinkage"] = config.shrinkage or None
    # The ``run.json`` of earlier releases has none of these.
    for name, usual in (("component_loss", "target"), ("fusion", "variant"), ("hours", None), ("shrinkage", None)):
        if settings[name] == usual:
            del settings[name]
    if config.init is not None:
        settings["init"] = f"crc32 {zlib.crc32(Path(config.init).read_bytes()):08x}"
    if config.schedule == "cosine" and config.hours is None:
        settings["steps"] = steps  # the step at which the cosine ends
    network = network_of(config).to_dict()
    identity: dict[str, Any] = json.loads(
        json.dumps({**settings, "network": network, "pack_crc32": content_checksum(packs)})
    )
    return identity


def _refuse_other_folder(folder: Path, asked: Mapping[str, Any]) -> None:
    """Refuse a folder that contains another run, or files but no run."""
    if (folder / run_folder.REQUEST).exists():
        _refuse_other_run(run_folder.read_request(folder), asked, folder)
        run_folder.read_log(folder)  # refuses a damaged log
    elif files.holds_others(folder):
        raise TrainingError(f"{folder} contains files but no run.json, so it is not a run folder; choose another --out")


def _refuse_other_run(earlier: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> None:
    usual = asdict(TrainingConfig())  # ``identity`` leaves some settings out if they have their usual value
    both = {
        name: (earlier.get(name, usual.get(name)), asked.get(name, usual.get(name))) for name in {**earlier, **asked}
    }
    names = [name for name, (old, new) in both.items() if old != new and name not in (*_CHECKSUMS, "network")]
    differences = ["{} {} (now {})".format(_shown(name).replace("_", "-"), *map(_shown, both[name])) for name in names]
    if names == ["steps"]:
        differences = [f"a cosine schedule that ends at step {_shown(earlier.get('steps'))} (now {asked['steps']})"]
    differences += [what for name, what in _CHECKSUMS.items() if earlier.get(name) != asked.get(name)]
    if not differences and earlier.get("network") != asked["network"]:
        differences = [f"a network of another release ({_shown(earlier.get('network'))})"]
    if differences:
        raise TrainingError(
            f"{folder} contains another run; choose another --out, or use its settings to continue: "
            f"{', '.join(differences)}"
        )


def _shown(value: object) -> str:
    """Format a value of a run's file in one line, as its option takes it, without control characters."""
    text = "unset" if value is None else ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
    return (text if text.isprintable() else ascii(text))[:200]


def _refuse_weights_alone(folder: Path) -> None:
    weights = folder / run_folder.WEIGHTS
    if weights.exists() and not checkpoints.saved_steps(folder):
        raise TrainingError(
            f"{folder} contains the weights of a run but no checkpoint, so the run cannot continue; to train the "
            f"weights further, use --init {weights} and another --out"
        )


def _of_init(config: TrainingConfig, weights: Path) -> TrainingConfig:
    """Return the settings with the shrinkage of the weights to start from, unless the settings name one."""
    from cdgnet import load_weights

    given = load_weights(weights).config
    config = replace(config, shrinkage=given.shrinkage if config.shrinkage is None else config.shrinkage)
    wanted = network_of(config)
    if replace(given, shrinkage=wanted.shrinkage) != wanted:
        presets = [name for name in PRESETS if ModelConfig.preset(name).widths == given.widths]
        raise TrainingError(
            f"{config.init} holds the network {given.variant} with widths {given.widths}, but the settings say "
            f"{config.variant}, preset {config.preset}, with {wanted.widths}; pass its --variant and --preset, "
            f"which is {' or '.join(presets) or 'none of ours'}, or neither"
        )
    return config
