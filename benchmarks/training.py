"""Speed of ``cdg-train``: images per second, time of each part of a step, and hours for the paper's 3000 epochs.

Usage: ``python benchmarks/training.py [--save]`` prints a table; ``--save`` also writes
benchmarks/results/training-DATE-DEVICE.json.

A step is that of the trainer: six random crops of 256 x 256 from a pack of photographs, read by two worker processes,
with flips and rotations, all losses, backward pass and AdamW. Each row runs in its own process and is timed twice after
two warm-up steps. ``--steps`` steps without synchronisation give the rate and ``waits``, the share of time spent on
waiting for data. As many steps with synchronisation after each part give the times of the parts. Ratios are speeds
relative to the first row of the same preset, ``eager 32-true``. ``hours`` is for 1,051,500 steps: 3000 epochs of
GoPro's 2,103 frames.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from gopro import make_gopro
from surroundings import add_save, add_trial, save, surroundings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pipelines.train.settings import TrainingConfig

Precision: TypeAlias = Literal["32-true", "bf16-mixed"]

PARTS = ("load", "forward", "loss", "backward", "optimiser")
PAPER_STEPS = 1_051_500
BATCH = 6


def lines(device: str, *, is_trial: bool) -> list[tuple[str, Precision, bool]]:
    """Return the rows of the table: preset, precision, and whether the network is compiled."""
    if is_trial:
        return [("tiny", "32-true", False)]
    if device == "cpu":
        return [
            ("tiny", "32-true", False),
            ("light", "32-true", False),
            ("paper", "32-true", False),
            ("tiny", "bf16-mixed", False),
        ]
    kinds: tuple[tuple[Precision, bool], ...] = (
        ("32-true", False),
        ("bf16-mixed", False),
        ("32-true", True),
        ("bf16-mixed", True),
    )
    return [(preset, *kind) for preset in ("paper", "light", "tiny") for kind in kinds]


def make_pack(folder: Path) -> Path:
    """Make a pack of twelve frames in 512 x 512 crops, with masks by the fast method ``laplacian``."""
    from prep.datasets import layouts
    from prep.masks import making
    from prep.masks.folder import MasksFolder
    from prep.packs import packing

    dataset = layouts.find(make_gopro(folder, 12, None))
    recipe = making.recipe_of(dataset, "laplacian")
    plan = making.plan(dataset.pairs, MasksFolder(folder / "masks"), recipe, 0.96)
    list(making.make(plan, jobs=1))
    crop = packing.crop_size(dataset.pairs, packing.CROP)
    head = packing.header(dataset, "train", recipe, 0.96, crop, whole_frames=False, targets=False)
    list(packing.pack(dataset.pairs, MasksFolder(folder / "masks"), folder / "pack.h5", head, jobs=2))
    return folder / "pack.h5"


class StepTimer:
    """Runs training steps and sums the time of their parts.

    Args:
        pack: Training data.
        config: Settings of the training.
        fabric: Selects device and precision.
    """

    def __init__(self, pack: Path, config: "TrainingConfig", fabric: "Fabric") -> None:
        from pipelines.train import loader, runs
        from pipelines.train.learner import set_up

        self.config, self.fabric = config, fabric
        run = runs.prepare(config, [pack], pack.parent / "run", keep=False)
        self.learner = set_up(run, fabric)
        self.batches = loader.batches(run, fabric, 0)
        self.seconds: dict[str, float] = defaultdict(float)  # by part, see PARTS

    def train(self, steps: int, *, is_synchronised: bool) -> float:
        """Run ``steps`` steps and return their total time in seconds.

        ``seconds`` is reset and holds the times of the parts, which are exact if ``is_synchronised``.
        """
        from pipelines.packs import to_range
        from pipelines.train.gradients import compute_losses

        learner, fabric = self.learner, self.fabric
        self.seconds.clear()
        self._wait()
        began = self._since = time.perf_counter()
        for _ in range(steps):
            batch = fabric.to_device(next(self.batches))
            self._mark("load", is_synchronised)
            components = learner.model(to_range(batch.blurry))
            self._mark("forward", is_synchronised)
            losses = compute_losses(self.config, components, batch)
            self._mark("loss", is_synchronised)
            fabric.backward(losses.total)
            self._mark("backward", is_synchronised)
            learner.stepper.step()
            learner.stepper.zero_grad()
            self._mark("optimiser", is_synchronised)
        self._wait()
        return time.perf_counter() - began

    def _mark(self, part: str, is_synchronised: bool) -> None:
        if is_synchronised:
            self._wait()
        now = time.perf_counter()
        self.seconds[part] += now - self._since
        self._since = now

    def _wait(self) -> None:
        import torch

        if self.fabric.device.type == "cuda":
            torch.cuda.synchronize()


def measure(
    pack: Path, preset: str, precision: Precision, compiled: bool, steps: int, accelerator: str
) -> dict[str, float]:
    """Measure one row in this process."""
    from lightning_fabric import Fabric

    from pipelines import timing
    from pipelines.train.settings import TrainingConfig

    config = TrainingConfig(preset=preset, precision=precision, compile=compiled, steps=10**6, val=(), batch=BATCH)
    fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)
    timer = StepTimer(pack, config, fabric)
    timer.train(2, is_synchronised=False)  # warm-up
    seconds = timer.train(steps, is_synchronised=False)
    waited = timer.seconds["load"] / seconds
    apart = timer.train(steps, is_synchronised=True)
    return {
        "images_per_second": steps * BATCH / seconds,
        "data_wait_share": waited,
        **{f"{part}_ms": 1000 * timer.seconds[part] / steps for part in PARTS},
        "apart_ms": 1000 * apart / steps,
        "MB": timing.peak_megabytes(fabric.device),
        "hours_of_3000_epochs": PAPER_STEPS * seconds / steps / 3600,
    }


def measure_line(pack: Path, device: str, steps: int, preset: str, precision: str, kind: str) -> dict[str, float]:
    """Call ``measure`` in a separate process."""
    words = ["--device", device, "--steps", str(steps), "--line", str(pack), preset, precision, kind]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{preset} {precision} {kind} failed:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def table(device: str, steps: int, *, is_trial: bool) -> list[dict[str, object]]:
    """Measure and print every row, and return them."""
    titles = "".join(f"{name + ' ms':>14}" for name in PARTS)
    print(f"{'preset':8}{'precision':12}{'':10}{'images/s':>9}{'ratio':>7}{'waits':>7}{titles}{'MB':>8}{'hours':>9}")
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        pack = make_pack(Path(folder))
        baselines: dict[str, float] = {}
        for preset, precision, compiled in lines(device, is_trial=is_trial):
            kind = "compiled" if compiled else "eager"
            line = measure_line(pack, device, steps, preset, precision, kind)
            ratio = line["images_per_second"] / baselines.setdefault(preset, line["images_per_second"])
            rows.append({"preset": preset, "precision": precision, "kind": kind, "ratio": ratio, **line})
            parts = "".join(f"{line[f'{name}_ms']:14.1f}" for name in PARTS)
            print(
                f"{preset:8}{precision:12}{kind:10}{line['images_per_second']:9.2f}{ratio:7.2f}"
                f"{line['data_wait_share']:7.1%}{parts}{line['MB']:8.0f}{line['hours_of_3000_epochs']:9.1f}",
                flush=True,
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="timed steps per row [3 on a CPU, 50 on a GPU]")
    parser.add_argument("--device", help="cpu or cuda [cuda if available]")
    add_save(parser)
    add_trial(parser)
    parser.add_argument("--line", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    steps = options.steps or (3 if device == "cpu" else 50)
    if options.line:
        pack, preset, precision, compiled = options.line
        print(json.dumps(measure(Path(pack), preset, precision, compiled == "compiled", steps, device)))
        return
    about = surroundings() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    if device == "cuda":
        about["device"] = torch.cuda.get_device_name()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows = table(device, steps, is_trial=options.trial)
    if options.save:
        save(
            options.save,
            "training",
            about,
            {"batch": BATCH, "steps": steps, "rows": rows},
            kind="trial" if options.trial else device,
        )


if __name__ == "__main__":
    main()
