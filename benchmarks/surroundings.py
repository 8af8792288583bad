"""Shared by all benchmarks: a description of the machine, common options, and saving results."""

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
    """Return date, processor, number of cores, Python version and commit."""
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
    """Add the option ``--save``: a folder for ``save``, or None if the option is not used."""
    parser.add_argument(
        "--save",
        type=Path,
        nargs="?",
        const=RESULTS,
        metavar="FOLDER",
        help="write the results as dated JSON to FOLDER [benchmarks/results]",
    )


def add_trial(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--trial``."""
    parser.add_argument(
        "--trial", action="store_true", help="test the script on small shapes; the times are meaningless"
    )


def save(
    folder: Path, name: str, about: Mapping[str, object], content: Mapping[str, object], *, kind: str = ""
) -> Path:
    """Write results to NAME-DATE.json or NAME-DATE-KIND.json, and print the path.

    Args:
        folder: Created if it does not exist.
        name: Name of the benchmark.
        about: The output of ``surroundings``, with versions and settings; the first entries of the file.
        content: The measurements.
        kind: Distinguishes results of the same day, for example by device.

    Returns:
        Path of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{'-'.join(filter(None, (name, str(about['date']), kind)))}.json"
    path.write_text(json.dumps({**about, **content}, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return path


def processor() -> str:
    """Return the name of the processor, as reported by the system."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
