"""What a reader must know to compare a benchmark's figures with others."""

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def surroundings() -> dict[str, str | int]:
    """Date, processor, cores, Python and commit."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return {
        "date": date.today().isoformat(),
        "device": processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "none",
    }


def add_save(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark its option ``--save``: the folder for ``save``, None where it is not given."""
    parser.add_argument(
        "--save",
        type=Path,
        nargs="?",
        const=RESULTS,
        metavar="FOLDER",
        help="also write a dated JSON to FOLDER [benchmarks/results]",
    )


def add_trial(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark its option ``--trial``."""
    parser.add_argument(
        "--trial", action="store_true", help="small shapes, to see that all of it runs; the times mean nothing"
    )


def save(
    folder: Path, name: str, about: Mapping[str, object], content: Mapping[str, object], *, kind: str = ""
) -> Path:
    """Write what was measured to NAME-DATE.json, or NAME-DATE-KIND.json, and say where.

    Args:
        folder: Where to; made if it is missing.
        name: The benchmark's.
        about: What ``surroundings`` gives, and what else a reader must know; comes first.
        content: What was measured.
        kind: Tells results of one day apart, as a device does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{'-'.join(filter(None, (name, str(about['date']), kind)))}.json"
    path.write_text(json.dumps({**about, **content}, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return path


def processor() -> str:
    """The processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
