"""``cdg-deblur``: what it says and what it refuses."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import call, mistake
from PIL import Image

from cdgnet import PRETRAINED, read_metadata
from prep.io import frames


def test_results_that_are_there_are_passed_over(weights: Path, tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.full((20, 20), 9, np.uint8))
    (tmp_path / "restored").mkdir()
    (tmp_path / "restored" / "a.png").write_text("mine")

    done = call(tmp_path, "deblur", "a.png", "--weights", weights)

    assert "found 1 picture; 1 already in restored, skipped" in done.stdout
    assert (tmp_path / "restored" / "a.png").read_text() == "mine"


def test_results_of_other_pictures_or_weights_are_never_taken_for_those_asked_for(
    weights: Path, tmp_path: Path
) -> None:
    """The frames of two sequences have the same names: those of the first stood for those of the second."""
    for number, folder in enumerate(("a", "b")):
        frames.write(tmp_path / folder / "1.png", np.full((20, 20), number, np.uint8))
    assert call(tmp_path, "deblur", "a", "--weights", weights).returncode == 0
    again = call(tmp_path, "deblur", "a", "--weights", weights)
    assert "found 1 picture; 1 already in restored, skipped" in again.stdout and again.returncode == 0
    before = (tmp_path / "restored" / "1.png").read_bytes()

    said = mistake(tmp_path, "deblur", "b", "--weights", weights)
    assert f"restored/1.png was made from {tmp_path}/a/1.png, not from b/1.png; use another --out, or --force" in said
    said = mistake(tmp_path, "deblur", "a")
    assert "restored/1.png was made with other weights; use another --out, or --force to overwrite" in said
    assert (tmp_path / "restored" / "1.png").read_bytes() == before

    assert call(tmp_path, "deblur", "b", "--weights", weights, "--force").returncode == 0
    assert call(tmp_path, "deblur", "b", "--weights", weights).returncode == 0


def test_a_folder_is_deblurred_and_what_is_wrong_in_it_is_said_with_a_status(weights: Path, tmp_path: Path) -> None:
    frames.write(tmp_path / "in" / "deep" / "a.png", np.full((20, 20), 9, np.uint8))
    (tmp_path / "in" / "bad.png").write_text("a letter")
    (tmp_path / "in" / "notes.txt").write_text("")

    planned = call(tmp_path, "deblur", "in", "--weights", weights, "--dry-run")
    assert planned.returncode == 1 and not (tmp_path / "restored").exists()
    assert "in/bad.png is not a readable picture" in planned.stderr and "in/bad.png ->" not in planned.stdout
    assert planned.stdout.endswith("dry run: nothing was written; 1 would fail\n")
    done = call(tmp_path, "deblur", "in", "--weights", weights, "--ensemble", "--tile", "66")

    assert "in/deep/a.png -> restored/deep/a.png" in planned.stdout
    assert done.returncode == 1
    assert "in/bad.png is not a readable picture" in done.stderr
    assert "ignored other files: 1 .txt" in done.stdout
    assert "wrote 1 picture to restored; 1 failed" in done.stdout
    assert frames.read(tmp_path / "restored" / "deep" / "a.png").shape == (20, 20, 3)


def test_a_strength_of_two_doubles_the_change_of_each_pixel(tmp_path: Path) -> None:
    ramp = np.linspace(40, 210, 48)
    blurry = np.repeat(np.tile(ramp, (40, 1))[..., None], 3, axis=2).astype(np.uint8)
    blurry[12:28, 16:32] = 128
    frames.write(tmp_path / "a.png", blurry)
    for strength in ("1", "2"):
        done = call(tmp_path, "deblur", "a.png", "--strength", strength, "--out", strength)
        assert done.returncode == 0

    changes = [frames.read(tmp_path / out / "a.png").astype(int) - blurry for out in ("1", "2")]
    assert np.abs(changes[0]).max() > 5
    assert np.abs(changes[1] - 2 * changes[0]).max() <= 2  # both are rounded
    assert "1/a.png was made with --strength 1" in mistake(tmp_path, "deblur", "a.png", "--strength", "2", "--out", "1")
    assert "--strength is 0.0; it must be a number above 0 and at most 5" in mistake(
        tmp_path, "deblur", "a.png", "--strength", "0"
    )


def test_a_comparison_is_never_of_an_earlier_result(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames.write(tmp_path / "a.png", rng.integers(0, 256, (40, 48, 3)).astype(np.uint8))
    drawn = tmp_path / "restored" / "a.png.compare.jpg"
    call(tmp_path, "deblur", "a.png", "--compare")
    first = drawn.read_bytes()
    assert "1 comparison already in restored; skipped" in call(tmp_path, "deblur", "a.png", "--compare").stdout
    done = call(tmp_path, "deblur", "a.png", "--strength", "2", "--force")
    assert "drew restored/a.png.compare.jpg" in done.stdout and drawn.read_bytes() != first
    drawn.write_bytes(first)
    os.utime(drawn, ns=(1, 1))  # older than the result
    call(tmp_path, "deblur", "a.png", "--strength", "2", "--compare")
    assert drawn.read_bytes() != first


def test_an_empty_name_is_not_the_current_folder(tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.full((20, 20), 9, np.uint8))
    assert "the name is empty; pass a file or a folder" in mistake(tmp_path, "deblur", "")
    assert "the name is empty" in mistake(tmp_path, "deblur", "a.png", "--out", "")


def test_a_missing_input_is_said_with_a_status_and_the_others_are_restored(weights: Path, tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.full((20, 20), 9, np.uint8))

    done = call(tmp_path, "deblur", "none.png", "a.png", "--weights", weights)

    assert (done.returncode, (tmp_path / "restored" / "a.png").exists()) == (1, True)
    assert "none.png does not exist" in done.stderr
    assert "wrote 1 picture to restored; 1 failed" in done.stdout


def test_weights_that_are_none_are_refused_though_every_result_is_there(tmp_path: Path) -> None:
    for name in ("a.png", "restored/a.png"):
        frames.write(tmp_path / name, np.full((20, 20), 9, np.uint8))
    (tmp_path / "text.jpg").write_text("a letter")
    assert "text.jpg is not a weights file" in mistake(tmp_path, "deblur", "a.png", "--weights", "text.jpg")


def test_a_name_too_long_for_a_comparison_fails_alone(weights: Path, tmp_path: Path) -> None:
    name = "a" * 250 + ".png"
    for each in (name, "b.png"):
        frames.write(tmp_path / "in" / each, np.full((20, 20), 9, np.uint8))

    done = call(tmp_path, "deblur", "in", "--weights", weights, "--compare")

    assert done.returncode == 1
    assert "11 bytes too long; give its source a shorter name" in done.stderr
    assert (tmp_path / "restored" / name).exists() and (tmp_path / "restored" / "b.png.compare.jpg").exists()


def test_a_tile_is_a_number_of_pixels_or_auto(tmp_path: Path) -> None:
    assert "'wide' is not a tile side; pass auto" in mistake(tmp_path, "deblur", "a", "--tile", "wide")


def test_the_weights_that_come_with_the_package_are_the_default_and_are_named(tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.full((20, 20), 9, np.uint8))

    done = call(tmp_path, "deblur", "a.png")

    assert f"weights: {read_metadata(PRETRAINED)['name']}, which come with cdgnet" in done.stderr
    assert (tmp_path / "restored" / "a.png").exists()


def test_before_and_after_is_drawn_beside_each_result_also_of_an_earlier_run(weights: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        frames.write(tmp_path / "in" / name, np.full((20, 20), 9, np.uint8))
    assert call(tmp_path, "deblur", "in", "--weights", weights).returncode == 0

    done = call(tmp_path, "deblur", "in", "--weights", weights, "--compare")

    assert done.returncode == 0
    assert sorted(path.name for path in (tmp_path / "restored").iterdir()) == [
        ".cdg-deblur.jsonl",
        "a.png",
        "a.png.compare.jpg",
        "b.png",
        "b.png.compare.jpg",
    ]
    again = call(tmp_path, "deblur", "in", "--weights", weights, "--compare")
    assert "2 comparisons already in restored; skipped (--force draws again)" in again.stdout


def test_a_dry_run_lists_the_comparisons_too(weights: Path, tmp_path: Path) -> None:
    frames.write(tmp_path / "a.png", np.full((20, 20), 9, np.uint8))

    said = call(tmp_path, "deblur", "a.png", "--weights", weights, "--compare", "--dry-run").stdout

    assert "a.png -> restored/a.png\na.png -> restored/a.png.compare.jpg\n" in said


def test_a_second_weights_file_is_no_picture(weights: Path, tmp_path: Path) -> None:
    said = mistake(tmp_path, "deblur", "a.png", "--weights", weights, "b.safetensors")
    assert "b.safetensors is a weights file, not a picture; --weights takes one file" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no inputs; pass pictures, videos or folders, or use --serve for a page"),
        (("a.png", "--port", "9"), "--port needs --serve; add --serve, or leave out --port"),
        (("--serve", "a.png"), "--serve takes no inputs: pictures are dropped on its page; leave out a.png"),
        (("--serve", "--out", "x"), "--out cannot be used with --serve, because results are downloaded from the page"),
        (("--serve", "--force"), "--force cannot be used with --serve"),
        (("--serve", "--batch", "2"), "--batch cannot be used with --serve"),
        (("--serve", "--dry-run"), "--dry-run cannot be used with --serve"),
        (("--serve", "--compile"), "--compile cannot be used with --serve, because each new picture size"),
    ],
)
def test_what_does_not_go_with_the_page_is_refused(
    words: tuple[str, ...], said: str, weights: Path, tmp_path: Path
) -> None:
    assert said in mistake(tmp_path, "deblur", *words, "--weights", weights)


def test_a_port_that_is_taken_is_said_in_one_line(weights: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = mistake(tmp_path, "deblur", "--serve", "--port", port, "--weights", weights)
    assert re.search(rf"port {port} on 127.0.0.1 is in use; use --port \d+, which is free", said)
    assert "cannot serve on 999.1" in mistake(
        tmp_path, "deblur", "--serve", "--host", "999.1", "--port", "0", "--weights", weights
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_the_page_at_once_while_it_restores_and_leaves_nothing(
    number: signal.Signals, weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    script = "from pipelines.cli.deblur import main\nmain()"
    command = [sys.executable, "-c", script, "--serve", "--port", "0", "--weights", str(weights)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        assert process.stdout
        address = next(line for line in process.stdout if "http://" in line).split()[-1]
        data = Image.effect_noise((2000, 3000), 50)
        data.save(tmp_path / "a.bmp")
        offered = {"files": [{"name": "a.bmp", "size": (tmp_path / "a.bmp").stat().st_size}]}
        (place,) = ask("POST", f"{address}pictures", json.dumps(offered).encode())["numbers"]
        ask("PUT", f"{address}pictures/{place}", (tmp_path / "a.bmp").read_bytes())
        while ask("GET", f"{address}queue")["pictures"][0]["restoring"]["state"] != "working":
            time.sleep(0.05)
        assert [path.name[:11] for path in (tmp_path / "temporary").iterdir()] == ["cdg-deblur-"]

        asked = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) == 0

    assert time.monotonic() - asked < 5
    assert list((tmp_path / "temporary").iterdir()) == []


def ask(method: str, address: str, body: bytes | None = None) -> Any:
    asked = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None
