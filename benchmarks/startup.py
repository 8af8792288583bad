"""Time until the commands answer: their help, a missing file and a wrong file.

Usage: ``python benchmarks/startup.py [--before CHECKOUT] [--save]`` prints a table; ``--save`` also writes
benchmarks/results/startup-DATE.json. ``--before`` also measures another working copy of this repository. The copies
alternate, so that a slow phase of the machine affects both.

Each run is a new process. ``first`` is the time until its first line, on either output, ``end`` until it has ended:
the median, with the largest, of several runs, after one that is not counted. The ratio is ``end`` over the time of
``python -c pass`` in the same run of this script, the baseline. The files that the disk cache holds are those of the
runs before: a first start after booting takes longer.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from surroundings import add_save, add_trial, save, surroundings

HERE = Path(__file__).parents[1]
BASELINE = "python -c pass"
COMMANDS = {  # arguments of each command for a missing file and for a wrong file
    "prep": ("verify no.h5", "verify text.h5"),
    "train": ("--h5 no.h5", "--h5 text.h5"),
    "evaluate": ("--blurry no --sharp no", "--weights text.safetensors --blurry no --sharp no"),
    "deblur": ("no.png", "text.h5 --weights text.safetensors"),
    "info": ("--weights no.safetensors", "--weights text.safetensors"),
    "export": ("--weights no.safetensors", "--weights text.safetensors"),
    "imports": ("dmphn no", "dmphn folder"),
    "study": ("table3 --h5 no.h5 --test no.h5", "table3 --h5 text.h5 --test text.h5"),
}
KINDS = ("help", "missing file", "wrong file")


def time_process(words: Sequence[str], folder: Path, checkout: Path) -> tuple[float, float]:
    """Measure the seconds until the first line, and until the end, of a new process."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = time.perf_counter() - begun
        process.stdout.read()
    return first, time.perf_counter() - begun


def words_of(command: str, kind: str) -> list[str]:
    """Return the arguments of Python that run a command."""
    options = "--help" if kind == "help" else COMMANDS[command][KINDS.index(kind) - 1]
    return ["-c", f"from pipelines.cli.{command} import main; main()", *options.split()]


def make_files(folder: Path) -> None:
    (folder / "folder").mkdir()
    for name in ("text.h5", "text.safetensors"):
        (folder / name).write_text("neither a pack nor weights")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another working copy to compare with")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs per row [%(default)s]")
    add_save(parser)
    add_trial(parser)
    options = parser.parse_args()
    about = surroundings()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    checkouts = {"before": options.before.resolve()} if options.before else {}
    checkouts["now"] = HERE
    cases = [(command, kind) for command in COMMANDS for kind in KINDS][: len(KINDS) if options.trial else None]
    found: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder)
        for turn in range(options.repeats + 1):
            for case in (None, *cases):
                for copy, checkout in checkouts.items():
                    words = ["-c", "pass"] if case is None else words_of(*case)
                    key = (BASELINE,) if case is None else (copy, *case)
                    seconds = time_process(words, folder, checkout)
                    if turn:  # the first run fills the disk cache and compiles the modules
                        found.setdefault(key, []).append(seconds)
    usual = statistics.median(end for _, end in found[BASELINE,])
    print(f"{BASELINE}: {usual:.3f} s")
    print(f"{'command':10}{'asked':14}{'copy':8}{'first s':>9}{'end s':>9}{'largest':>9}{'ratio':>8}")
    rows = []
    for case in cases:
        for copy in checkouts:
            firsts, ends = zip(*found[copy, *case], strict=True)
            first, end = statistics.median(firsts), statistics.median(ends)
            row = {"command": case[0], "asked": case[1], "copy": copy, "first_s": first, "end_s": end}
            rows.append(row | {"largest_s": max(ends), "ratio": end / usual})
            times = f"{first:9.2f}{end:9.2f}{max(ends):9.2f}{end / usual:8.1f}"
            print(f"{case[0]:10}{case[1]:14}{copy:8}{times}", flush=True)
    if options.save:
        content = {"baseline": {BASELINE: usual}, "rows": rows}
        save(options.save, "startup", about, content, kind="trial" if options.trial else "")


if __name__ == "__main__":
    main()
