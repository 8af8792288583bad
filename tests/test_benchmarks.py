"""Benchmarks measure by hand; that they still run is tried here, at the smallest settings that they have."""

import ast
import importlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmark_data import make_data, make_test_packs
from review_page import BROWSER

PACKAGES = ("prep", "cdgnet", "pipelines")
REPOSITORY = Path(__file__).parents[1]
BENCHMARKS = sorted((REPOSITORY / "benchmarks").glob("*.py"))
TRITON = [pytest.mark.skipif(find_spec("triton") is None, reason="no Triton: torch brings it on Linux alone")]
DEADLINE = 300  # seconds of one benchmark; the longest takes a tenth of it on two quiet cores


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """A benchmark at its smallest.

    Attributes:
        words: After its name. DATA stands for a folder of test data, WORK for what ``make weights`` leaves.
        rows: How lines of its table begin.
        marks: Of its test.
    """

    words: str
    rows: tuple[str, ...]
    marks: list[pytest.MarkDecorator] = field(default_factory=list)


SMOKES = {
    "bfloat16": Smoke(words="--trial --repeats 1", rows=("| `dmphn-1`, `tiny` | step", "| `cdgnet`, `tiny` | forward")),
    "cameras": Smoke(
        words="--data DATA --work made --steps 2 --seeds 2 --only none --jobs 2",
        rows=("| GoPro (blurry", "| REDS, noisy (blurry"),
    ),
    "cpu": Smoke(words="--trial --threads 1 --rounds 1 --repeats 1", rows=("now            1  tiny, 1 x 16 x 16",)),
    "deform": Smoke(
        words="--trial --device cpu --repeats 2", rows=("trial             layer forward+backward  numba",)
    ),
    "gpu": Smoke(
        words="--device cpu --quick --autotune --repeats 1",
        rows=(
            "full     torchvision float32",
            "full     fused bfloat16",
            "eager float32",
            "CUDA graphs",
            "max-autotune",
        ),
    ),
    "gpu_tuning": Smoke(words="--device cpu", rows=("full     forward", "full     backward"), marks=TRITON),
    "kernels": Smoke(words="--capability 80 --type bf16", rows=("       8.0 bf16     32, 32 backward",), marks=TRITON),
    "loading": Smoke(words="--pairs 1 --workers 1 --seconds 0.1 --turns 1", rows=("pack", "lmdb", "png", "loader")),
    "mask_methods": Smoke(
        words="--data DATA --photo coffee.png --seeds 0 1 --methods extent paired laplacian --figure masks.jpg",
        rows=("extent", "paired", "laplacian"),
    ),
    "masks_scale": Smoke(
        words="--frames 1 --repeats 1 --many 400 --every 0.05",
        rows=("lbp, 1 frame", "memory of the command", "memory of the worker"),
    ),
    "network": Smoke(words="--trial --device cpu --repeats 1", rows=("tiny            frame", "tiny            step")),
    "out_of_the_box": Smoke(
        words="--data DATA --work WORK --frames 1",
        rows=("| nothing", "| unsharp", "| Wiener", "| these weights", "sharp frames by"),
    ),
    "packing": Smoke(words="--counts 1 --repeats 1", rows=("     1  decode", "     1  plain", "     1  targets")),
    "realism": Smoke(words="--data DATA --count 1", rows=("| gopro (1)", "| GoPro, one raw frame (2)", "| 0.07")),
    "review": Smoke(words="--frames 20 --loads 1", rows=('  "first_paint_s"', '    "median_ms"'), marks=BROWSER),
    "sharpness_speed": Smoke(
        words="--methods laplacian paired extent --repeats 1 --least 0", rows=("laplacian", "paired", "extent")
    ),
    "startup": Smoke(words="--trial --repeats 1", rows=("prep      help", "prep      wrong file")),
    "supervision": Smoke(
        words="--data DATA --methods laplacian paired --seeds 10 --jobs 1",
        rows=("a  laplacian", "a  paired", "b  paired", "c  laplacian", "b: median relative error"),
    ),
    "synthesis": Smoke(words="--scenes 1 --pairs 1", rows=("a scene", "1 pair, --jobs 1", "1 pair, --jobs 2")),
    "training": Smoke(words="--trial --device cpu --steps 1", rows=("tiny    32-true",)),
}


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a file imports from our packages, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in PACKAGES:
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_exists(path: Path) -> None:
    missing = [
        f"{module}.{name}"
        for module, name in imports(path)
        if not hasattr(importlib.import_module(module), name) and find_spec(f"{module}.{name}") is None
    ]

    assert missing == []


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What DATA and WORK stand for."""
    data, work = (tmp_path_factory.mktemp(name) for name in ("data", "work"))
    make_data(data)
    make_test_packs(data, work)
    return {"DATA": str(data), "WORK": str(work)}


def run(name: str, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a benchmark; past the deadline it is ended together with all that it started."""
    process = subprocess.Popen(
        [sys.executable, REPOSITORY / "benchmarks" / f"{name}.py", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def test_every_benchmark_is_tried() -> None:
    commands = {path.stem for path in BENCHMARKS if "__main__" in path.read_text(encoding="utf-8")}

    assert commands == set(SMOKES)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=smoke.marks) for name, smoke in SMOKES.items()])
def test_a_benchmark_fills_its_table_and_saves_it(name: str, places: dict[str, str], tmp_path: Path) -> None:
    words = [places.get(word, word) for word in SMOKES[name].words.split()]

    done = run(name, [*words, "--save", "results"], tmp_path)

    output, lines = done.stdout, done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    for row in SMOKES[name].rows:
        found = [line.removeprefix(row) for line in lines if line.startswith(row)]
        assert found, f"no row {row!r} in\n{output}"
        assert all(re.search(r"\d", line) and "Error" not in line for line in found), output
    (path,) = tmp_path.glob("results/*.json")
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert path.name.startswith(f"{name.replace('gpu_', 'gpu-')}-")
    assert saved["date"] in path.name
    assert path.stem.endswith("-trial") == ("--trial" in words)  # else it would replace the day's real figures
    assert len(saved) > len(("date", "device", "cores", "python", "commit"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "advice"),
    [("--only gamma phone", "--only none gamma phone"), ("--seeds 1", "--seeds 5")],
)
def test_what_cameras_could_not_compare_is_refused_before_it_trains(words: str, advice: str, tmp_path: Path) -> None:
    done = run("cameras", [*["--data", "data", "--work", "work"], *words.split()], tmp_path)

    assert done.returncode == 2
    assert advice in done.stderr.splitlines()[-1]
    assert not (tmp_path / "work").exists()
