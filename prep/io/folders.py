"""List all files below a folder, following links to folders; each real folder is read once."""

import logging
import os
from collections import deque
from pathlib import Path


def files_below(folder: Path) -> list[Path]:
    """List the files below a folder, sorted; their paths begin with ``folder``. Links to folders are followed.

    Each real folder is read once: by its own path if it is below ``folder``, else by the first link to it. A warning
    reports every other link to it, and every link to a folder that contains the link itself (an endless loop). Folders
    that cannot be read and broken links are skipped.
    """
    found: list[Path] = []
    seen: set[Path] = set()
    waiting = deque([folder])
    while waiting:
        start = waiting.popleft()
        target = start.resolve()
        is_loop = start != folder and start.parent.resolve().is_relative_to(target)
        if is_loop or target in seen:
            reason = "contains this link" if is_loop else "is already read"
            logging.getLogger(__name__).warning("%s is skipped: it points to %s, which %s", start, target, reason)
            continue
        links: list[Path] = []
        for place, folders, files in os.walk(start):
            here = Path(place)
            seen.add(target / here.relative_to(start))
            links += [here / name for name in folders if (here / name).is_symlink()]
            folders[:] = [name for name in folders if target / (here / name).relative_to(start) not in seen]
            paths = (here / name for name in files)
            found += [path for path in paths if not path.is_symlink() or path.exists()]
        waiting.extend(sorted(links))
    return sorted(found)
