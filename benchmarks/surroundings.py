"""What a reader must know to compare a benchmark's figures with others."""

import os
import platform
import subprocess
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


def processor() -> str:
    """The processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
