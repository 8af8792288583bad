"""Killed work, and work ended by SIGTERM or Ctrl-C, goes on by the same command and ends as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from csv import DictReader
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cdgnet import CDGNet, ModelConfig, load_weights, save_weights
from prep.io import frames

pytestmark = pytest.mark.slow


def start(folder: Path, name: str, *words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", f"from pipelines.cli.{name} import main; main()", *map(str, words)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def kill_until_done(folder: Path, kills: int, seconds: tuple[float, float], *words: object) -> int:
    """Kill a command at random moments, then let it end; gives how often it was killed before it had ended."""
    dice, killed = random.Random(7), 0
    for _ in range(kills):
        process = start(folder, *words)
        time.sleep(dice.uniform(*seconds))
        killed += process.poll() is None
        process.send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.wait()
    assert start(folder, *words).wait() == 0
    return killed


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder but what a killed process may leave, and the notes that it may not have come to."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".part") and path.name != ".cdg-deblur.jsonl"
    }


def test_masks_and_pack_survive_kills(gopro: Path, tmp_path: Path) -> None:
    (tmp_path / "GOPRO_Large").symlink_to(gopro)
    words = ("prep", "pack", "gopro", "--crop", "48", "--jobs", "2")
    assert start(tmp_path, *words, "--masks", "m1", "--out", "1.h5").wait() == 0

    killed = kill_until_done(tmp_path, 6, (0.6, 2.2), *words, "--masks", "m2", "--out", "2.h5", "--force")

    assert killed >= 3
    assert content(tmp_path / "m1") == content(tmp_path / "m2")
    with h5py.File(tmp_path / "1.h5") as one, h5py.File(tmp_path / "2.h5") as two:
        for name in one:
            assert np.array_equal(one[name][:], two[name][:])


WRITERS = {  # and the seconds within which it is killed: while torch is loaded there is nothing to spoil
    "view": ("prep view --root {gopro} --split train --masks {masks} --out {out}", (0.8, 2.5)),
    "deblur": ("deblur {picture} --weights {weights} --compare --out {out}", (3.0, 6.0)),
    "export": ("export --weights {weights} --pt2 --force --out {out}/network.pt2", (3.0, 7.0)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_at_once_survives_kills(gopro: Path, train_pack: Path, tmp_path: Path, name: str) -> None:
    save_weights(tmp_path / "w.safetensors", CDGNet(ModelConfig.preset("tiny", "dmphn-1")), {})
    picture = tmp_path / "photo.png"
    frames.write(picture, np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    inputs = {"gopro": gopro, "masks": train_pack.parent / "masks", "weights": tmp_path / "w.safetensors"}
    words, seconds = WRITERS[name]
    whole, killed = (words.format(**inputs, picture=picture, out=out).split() for out in ("whole", "killed"))
    assert start(tmp_path, *whole).wait() == 0

    kill_until_done(tmp_path, 4, seconds, *killed)

    assert content(tmp_path / "killed").keys() == content(tmp_path / "whole").keys()
    sizes = [{path: len(data) for path, data in content(tmp_path / each).items()} for each in ("whole", "killed")]
    assert sizes[0] == sizes[1]


def test_scores_survive_kills(train_pack: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", CDGNet(ModelConfig.preset("tiny")), {})
    words = ("evaluate", "--h5", train_pack, "--weights", "w.safetensors", "--out")
    assert start(tmp_path, *words, "whole").wait() == 0

    killed = kill_until_done(tmp_path, 5, (3.0, 7.0), *words, "killed")

    tables = []
    for name in ("whole", "killed"):
        with (tmp_path / name / "results.csv").open(newline="") as file:
            tables.append(
                [{name: value for name, value in row.items() if name != "seconds"} for row in DictReader(file)]
            )
    assert killed >= 2 and tables[0] == tables[1]
    assert content(tmp_path / "killed").keys() == content(tmp_path / "whole").keys()


def test_a_pack_of_other_masks_survives_kills(gopro: Path, tmp_path: Path) -> None:
    (tmp_path / "GOPRO_Large").symlink_to(gopro)
    assert start(tmp_path, "prep", "pack", "gopro", "--crop", "48", "--out", "p.h5").wait() == 0
    words = ("prep", "remask", "p.h5", "--mu", "0.5", "--out")
    assert start(tmp_path, *words, "1.h5").wait() == 0

    dice = random.Random(7)
    for _ in range(8):
        process = start(tmp_path, *words, "2.h5")
        time.sleep(dice.uniform(0.4, 1.2))
        process.send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.wait()
        if (tmp_path / "2.h5").exists():  # a fast machine ends sooner
            break
    else:
        assert start(tmp_path, *words, "2.h5").wait() == 0

    with h5py.File(tmp_path / "1.h5") as one, h5py.File(tmp_path / "2.h5") as two:
        assert one.attrs["mu"] == two.attrs["mu"] == 0.5
        assert all(np.array_equal(one[name][:], two[name][:]) for name in one)
    assert not (tmp_path / "2.h5.part").exists()


def test_training_survives_kills_to_the_same_weights(train_pack: Path, tmp_path: Path) -> None:
    words = ("train", "--h5", train_pack, "--preset", "tiny", "--steps", "60", "--batch", "2", "--crop", "32")
    often = ("--val", "GOPR0002", "--val-every", "5", "--average", "0.9", "--workers", "1", "--log-every", "1")
    often += ("--checkpoint-minutes", "0")
    assert start(tmp_path, *words, *often, "--out", "whole").wait() == 0

    killed = kill_until_done(tmp_path, 10, (2.0, 9.0), *words, *often, "--out", "killed")

    whole, parts = (load_weights(tmp_path / name / "weights.safetensors").state_dict() for name in ("whole", "killed"))
    assert killed >= 5
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    best = [load_weights(tmp_path / name / "best.safetensors").state_dict() for name in ("whole", "killed")]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])
    curves = [
        [
            {name: row[name] for name in ("step", "loss", "val_psnr", "mean_offset") if name in row}
            for row in map(json.loads, (tmp_path / name / "log.jsonl").read_text().splitlines())
        ]
        for name in ("whole", "killed")
    ]
    assert len([row for row in curves[0] if "loss" in row]) == 60
    assert curves[0] == curves[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_the_whole_group_saves_first(train_pack: Path, tmp_path: Path, number: signal.Signals) -> None:
    words = ("train", "--h5", train_pack, "--preset", "tiny", "--steps", "100000", "--batch", "2", "--crop", "32")
    process = start(tmp_path, *words, "--val", "none", "--workers", "2", "--log-every", "1", "--out", "r")
    while not (tmp_path / "r" / "log.jsonl").exists() or (tmp_path / "r" / "log.jsonl").stat().st_size < 1000:
        time.sleep(0.2)
        assert process.poll() is None

    os.killpg(process.pid, number)

    assert process.wait(timeout=60) == 128 + number
    assert list((tmp_path / "r" / "checkpoints").glob("*.pt"))
