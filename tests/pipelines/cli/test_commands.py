"""The commands as a person types them, in an empty folder."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from commands import call, mistake

from cdgnet import PRETRAINED, CDGNet, ModelConfig, save_weights
from pipelines.cli import entry, progress
from prep.io import frames

TRAIN = ["--preset", "tiny", "--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0"]


@pytest.mark.slow
def test_the_main_job_needs_no_more_options_than_shown(work: Path) -> None:
    for name, *words in (
        ("prep", "masks", "--mu", "0.96"),
        ("prep", "view"),
        ("prep", "pack", "gopro", "--crop", "48"),
        ("prep", "pack", "gopro", "--split", "test", "--crop", "frame"),
        ("prep", "verify", "gopro.h5"),
        ("train", "--h5", "gopro.h5", *TRAIN),
        ("evaluate", "--weights", "runs/gopro/weights.safetensors", "--h5", "gopro-test.h5"),
        ("deblur", "GOPRO_Large/test/GOPR0003_00_00/blur", "--weights", "runs/gopro/weights.safetensors"),
    ):
        done = call(work, name, *words)
        assert done.returncode == 0, (words, done.stderr)

    made = {path.name for path in work.iterdir()}
    assert made == {"GOPRO_Large", "masks", "gopro.h5", "gopro-test.h5", "runs", "restored"}
    assert (work / "masks" / "gopro" / "view" / "index.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in (work / "restored").glob("*.png")) == ["000001.png", "000002.png"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *(("prep", [command]) for command in ("masks", "view", "pack", "info", "verify", "synth")),
        *((name, []) for name in ("train", "evaluate", "deblur", "info", "export", "imports")),
        ("imports", ["dmphn"]),
    ],
)
def test_every_help_ends_with_an_example(tmp_path: Path, name: str, words: list[str]) -> None:
    done = call(tmp_path, name, *words, "--help")

    assert done.returncode == 0
    assert "Example:" in done.stdout.splitlines()[-2]
    assert done.stdout.splitlines()[-1].strip().startswith("cdg-")


@pytest.mark.slow
def test_a_variant_is_trained_priced_and_used_by_name(train_pack: Path, tmp_path: Path, gopro: Path) -> None:
    done = call(tmp_path, "train", "--h5", train_pack, *TRAIN, "--variant", "small-branch", "--out", "run")
    assert done.returncode == 0, done.stderr
    weights = tmp_path / "run" / "weights.safetensors"

    report = json.loads(call(tmp_path, "info", "--weights", weights, "--size", "96x64", "--time", "--json").stdout)
    assert report["variant"] == "small-branch"
    assert set(report["parts"]) == {"encoder", "small.attention", "small.decoder", "total"}
    assert report["timing"]["seconds"] > 0
    photo = gopro / "test" / "GOPR0003_00_00" / "blur" / "000001.png"
    assert call(tmp_path, "deblur", photo, "--weights", weights).returncode == 0


def test_a_group_without_a_command_shows_its_help(tmp_path: Path) -> None:
    done = call(tmp_path, "imports")
    assert done.returncode == 2
    assert "\n  dmphn  Convert DMPHN 1-2-4 or 1-2-4-8.\n" in done.stderr


@pytest.mark.slow
def test_an_export_takes_the_weights_that_come_with_the_package_and_writes_here(tmp_path: Path) -> None:
    done = call(tmp_path, "export", "--pt2")

    assert done.returncode == 0, done.stderr
    assert "which come with cdgnet" in done.stderr and (tmp_path / "cdgnet.pt2").exists()
    assert "cdgnet.pt2 exists; use --force to overwrite it, or another --out" in mistake(tmp_path, "export", "--pt2")


def test_an_export_never_replaces_its_weights(weights: Path) -> None:
    before = weights.read_bytes()

    said = mistake(weights.parent, "export", "--weights", weights, "--out", weights, "--force")

    assert "does not end in .onnx; use --out NAME.onnx" in said
    assert weights.read_bytes() == before


def test_levels_of_patches_are_no_onnx(tmp_path: Path) -> None:
    network = CDGNet(ModelConfig.preset("tiny", "dmphn-1-2-4"))
    save_weights(tmp_path / "w.safetensors", network, {})

    said = mistake(tmp_path, "export", "--weights", "w.safetensors")

    assert said == ("cdg-export: w.safetensors has 3 levels of patches, which ONNX export cannot handle; use --pt2")
    assert not (tmp_path / "w.onnx").exists()


@pytest.mark.slow
def test_an_export_prints_what_goes_in_and_out_and_how_long_it_took(tmp_path: Path) -> None:
    words = ("--weights", PRETRAINED, "--pt2", "--zero-to-one", "--out", "own.pt2")

    shown = call(tmp_path, "export", *words)

    assert shown.returncode == 0, shown.stderr
    _, _, *sides, wrote = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert sides == [f"{way} (batch, 3, height, width) [0, 1]" for way in ("input blurry", "output restored")]
    assert re.fullmatch(r"wrote own\.pt2, \d\.\d MB, in \d+ s", wrote)
    assert (tmp_path / "own.pt2").stat().st_size > 1e5


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("train", ("--h5", "--preset", "tiny"), "the file name is missing; --preset is an option"),
        ("train", ("--h5", "none.h5"), "none.h5 does not exist; make it with cdg-prep pack"),
        ("train", ("--h5", "."), ". is a folder; pass a file in it"),
        ("evaluate", ("--weights", "none", "--h5", "none.h5"), "none does not exist; pass weights of cdg-train"),
        ("info", ("--weights", "none"), "none does not exist"),
        ("prep", ("info", "none.h5"), "none.h5 does not exist; make it with cdg-prep pack"),
        ("prep", ("verify", "."), ". is a folder; use a pack"),
        ("prep", ("info", "."), "use --blurry DIR --sharp DIR for any other"),
        (
            "prep",
            ("pack", "gopro", "--blurry", "a", "--sharp", "b"),
            "--blurry and --sharp cannot be combined with gopro",
        ),
        ("prep", ("view", "--out", "page"), "no data set"),
    ],
)
def test_a_path_of_the_wrong_kind_is_one_line(tmp_path: Path, name: str, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(tmp_path, name, *words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("deblur", ("a.png", "--weights", "pipe")),
        ("info", ("--weights", "pipe")),
        ("prep", ("pack", "gopro", "--exclude", "pipe")),
        ("prep", ("pack", "gopro", "--exclude", "/dev/zero")),
        ("evaluate", ("--h5", "pipe")),
    ],
)
def test_a_pipe_or_a_device_is_never_waited_for(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert " is not a regular file" in mistake(tmp_path, name, *words)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        (
            "info",
            ("--size", "9" * 5000 + "x720"),
            "is not a size; pass WIDTHxHEIGHT such as 1280x720, each from 16 to 65536",
        ),
        ("info", ("--size", "99999999999x720"), "is not a size"),
        ("deblur", ("a.png", "--tile", "9" * 5000), "is not a tile side; pass auto, or a number of pixels"),
        ("prep", ("view", "--frames", "9" * 5000), "is neither a number of frames"),
        ("prep", ("synth", "a", "--out", "b", "--interpolate", "1e-300"), "use 0 (never), or at least 0.25 pixels"),
    ],
)
def test_a_number_beyond_all_use_is_one_short_line(
    tmp_path: Path, name: str, words: tuple[str, ...], said: str
) -> None:
    found = mistake(tmp_path, name, *words)
    assert said in found and len(found) < 300


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tables", "--variant", "dmphn-1"), "--tables and --variant exclude each other"),
        (("--tables", "--time"), "--tables and --time exclude each other"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(tmp_path, "info", *words)


def test_an_output_that_cannot_be_written_is_one_line(work: Path) -> None:
    (work / "file").write_text("")

    for words in (("masks", "--out", "file/m"), ("pack", "gopro", "--crop", "48", "--out", "file/p.h5")):
        done = call(work, "prep", *words)
        assert done.returncode == 2
        assert "file is a file, not a folder; choose another path" in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "option"), [("prep", "verify"), ("prep", "info"), ("train", "--h5"), ("evaluate", "--h5")]
)
def test_a_pack_cut_short_is_one_line(train_pack: Path, weights: Path, tmp_path: Path, name: str, option: str) -> None:
    (tmp_path / "cut.h5").write_bytes(train_pack.read_bytes()[:20000])
    extra = ["--weights", weights] if name == "evaluate" else []

    assert "cut.h5 is damaged or truncated" in mistake(tmp_path, name, *extra, option, "cut.h5")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle", b"\x08\0\0\0\0\0\0\0{}      "])
def test_weights_that_are_no_safetensors_of_ours_are_one_line(test_pack: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)

    assert "w.pt" in mistake(tmp_path, "evaluate", "--weights", "w.pt", "--h5", test_pack)
    frames.write(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    assert "w.pt" in mistake(tmp_path, "deblur", "a.png", "--weights", "w.pt")


def test_a_missing_argument_is_one_line(tmp_path: Path) -> None:
    done = call(tmp_path, "prep", "pack")

    assert done.stderr.count("\n") == 1
    names = "gopro, videodeblurring, reds, hide, realblur, rsblur, bsd, gopro-abme, pairs"
    assert f"is missing; pass one of {names} (see cdg-prep pack --help)" in done.stderr


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_long_item_shows_how_far_it_is(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1)
    monkeypatch.setattr("rich.console.Console.is_terminal", is_terminal)
    parts = progress.Parts()

    def items() -> Iterator[str]:
        yield "first"
        parts(0.5)
        time.sleep(0.3)  # the bar is drawn ten times a second
        yield "second"

    assert list(progress.track(items(), 2, "deblur", parts, unit="frames")) == ["first", "second"]

    said = capsys.readouterr().err
    if is_terminal:
        assert "75% 1/2" in re.sub(r"\x1b[^m]*m", "", said)
    else:
        assert re.search(r"^deblur: 1\.5 of 2, [0-9.]+ frames/s, under 1 s left$", said, re.MULTILINE)


def test_what_takes_long_is_announced_and_again_with_its_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.01)
    said = ""
    with progress.announce_if_slow("compiling"):
        while "far" not in said:
            time.sleep(0.01)
            said += capsys.readouterr().err

    assert said.startswith("compiling\ncompiling: under 1 s so far\n")


def test_what_is_done_in_time_is_not_announced(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.announce_if_slow("quick"):
        pass

    assert capsys.readouterr().err == ""


def test_memory_that_is_too_little_to_load_libraries_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command("cdg-anything")
    def command() -> None:
        raise ImportError("libtorch_cpu.so: failed to map segment from shared object")

    with pytest.raises(SystemExit) as end, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["cdg-anything"])
        entry.run(command)
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(
        "cdg-anything: out of memory while loading a library (libtorch_cpu.so: failed to map segment"
    )
