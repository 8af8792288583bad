"""``make demo``: every step on photographs that scikit-image ships, by the commands that a person types."""

import time
from pathlib import Path

import click
import psutil

from pipelines.cli import deblur, evaluate, prep, study, train
from pipelines.cli.entry import SETTINGS, example, run, show_and_run
from pipelines.cli.parameters import output_type
from pipelines.cli.progress import track
from prep.units import duration

STEPS = 320
TRAIN = (
    *("--preset", "tiny", "--steps", str(STEPS), "--batch", "4", "--crop", "64", "--val", "none"),
    *("--component-loss", "attention", "--fusion", "divided", "--lambda-small", "1", "--lambda-large", "1"),
    *("--learning-rate", "1e-3", "--halve-every", "4", "--no-turn", "--log-every", "20", "--workers", "1"),
)
_SHOWN = (0, 2, 4, 6)  # rows of the test pack: two of each photograph

STUDIED = ("dmphn-1", "two-branch-concat", "two-branch-off", "cdgnet")
# The camera moves 6 to 8 pixels, the subject 3 at most: S of paired is 0.93 at 4 pixels, which divides these frames.
MASKS = (("lbp", "0.96"), ("paired", "0.93"))
STUDY = (
    *("--seeds", "3", "--preset", "tiny", "--steps", "500", "--batch", "4", "--crop", "64", "--val", "none"),
    *("--learning-rate", "1e-3", "--schedule", "cosine", "--no-turn", "--log-every", "20", "--workers", "0"),
)


@click.command("cdg-demo", context_settings=SETTINGS, epilog=example("python -m pipelines.cli.demo --out demo"))
@click.option("--out", type=output_type, default="demo", show_default=True, metavar="DIR", help="Folder for all files.")
@click.option("--study", "is_study", is_flag=True, help="Compare networks and masks over seeds instead: an hour.")
def command(out: Path, is_study: bool) -> None:
    """Deblur photographs with the weights that come with cdgnet; then all else, at a small scale: synthesise a data
    set, make masks, pack, train, evaluate.

    The same command resumes an interrupted one.
    """
    from pipelines import demo

    start = psutil.Process().create_time()  # with the time to load torch
    if not is_study:
        _deblur_unseen(out / "photographs")
    data = out / "GOPRO_Large"
    pairs, total = demo.synthesise(data)
    for _ in track(pairs, total, "synthesise"):
        pass
    click.echo(f"{total} blurry and sharp pairs in {data}, made from photographs that come with scikit-image")
    if is_study:
        _study(out)
    else:
        _show(out)
    click.echo(f"all of it took {duration(time.time() - start)}")


def _deblur_unseen(folder: Path) -> None:
    """Restore photographs with the weights of the package, and score the results."""
    from pipelines import demo
    from pipelines.evaluate import folder as scores

    demo.shake_unseen(folder)
    blurry, sharp, restored = (folder / name for name in ("blurry", "sharp", "restored"))
    show_and_run(deblur.command, blurry, "--out", restored, "--compare")
    score = ("--restored", restored, "--sharp", sharp, "--blurry", blurry)
    show_and_run(evaluate.command, *score, "--out", folder / "eval")
    for name, row in scores.read(folder / "eval").items():
        click.echo(f"{name}: {row['psnr_blurry']:.2f} → {row['psnr']:.2f} dB, {restored / name}.png.compare.jpg")


def _study(out: Path) -> None:
    """Rows of Table 3, with masks by two methods."""
    for method, mu in MASKS:
        masks = out / f"masks-{method}"
        show_and_run(prep.prep, "masks", "--root", out, "--method", method, "--mu", mu, "--out", masks)
        _pack(out, masks, "train", out / f"train-{method}.h5")
    _pack(out, out / "masks-paired", "test", out / "test.h5")
    packs = [word for method, _ in MASKS for word in ("--h5", out / f"train-{method}.h5")]
    only = [word for name in STUDIED for word in ("--only", name)]
    show_and_run(study.command, "table3", *packs, "--test", out / "test.h5", "--out", out, *only, *STUDY)


def _pack(out: Path, masks: Path, split: str, pack: Path) -> None:
    if not pack.exists():
        words = ("--root", out, "--masks", masks, "--split", split, "--crop", "frame", "--out", pack)
        show_and_run(prep.prep, "pack", "gopro", *words)


def _show(out: Path) -> None:
    """From masks to scores and a page."""
    data, run_folder, weights = out / "GOPRO_Large", out / "run", out / "run" / "weights.safetensors"
    for (method, mu), folder, split in zip(MASKS, (out / "masks-lbp", out / "masks"), ("test", "all"), strict=True):
        show_and_run(
            prep.prep, "masks", "--root", out, "--split", split, "--method", method, "--mu", mu, "--out", folder
        )
    for split in ("train", "test"):
        _pack(out, out / "masks", split, out / f"{split}.h5")
    show_and_run(train.command, "--h5", out / "train.h5", "--out", run_folder, *TRAIN)
    show_and_run(evaluate.command, "--weights", weights, "--h5", out / "test.h5", "--out", out / "eval")
    show_and_run(deblur.command, data / "test" / "astronaut" / "blur", "--weights", weights, "--out", out / "restored")
    _report(out)


def _report(out: Path) -> None:
    import csv

    from cdgnet import load_weights
    from pipelines import demo
    from prep.io import frames
    from prep.masks.folder import MasksFolder

    with (out / "eval" / "results.csv").open(encoding="utf-8") as file:
        *rows, means = csv.DictReader(file)
    network = load_weights(out / "run" / "weights.safetensors")
    frames.write(out / "report.png", demo.picture(network, out / "test.h5", _SHOWN, MasksFolder(out / "masks-lbp")))
    blurry, restored = float(means["psnr_blurry"]), float(means["psnr"])
    click.echo(f"\nmean PSNR of {len(rows)} frames of photographs never trained on:")
    click.echo(f"  blurry {blurry:.2f} dB, restored {restored:.2f} dB ({restored - blurry:+.2f} dB)")
    for name, place in (("psnr_m0", "large"), ("psnr_m1", "small")):
        before, after = float(means[f"{name}_blurry"]), float(means[name])
        click.echo(f"  where blur is {place}: {before:.2f} → {after:.2f} dB ({after - before:+.2f} dB)")
    click.echo(f"open {out / 'eval' / 'report.html'}; all pictures at a glance: {out / 'report.png'}")


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
