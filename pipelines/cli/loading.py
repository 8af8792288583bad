"""Report the slow start of large libraries: ``loading PyTorch ...``, on stderr, and only if it takes long."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from pipelines.cli.progress import announce_if_slow

LIBRARIES = {"torch": "PyTorch", "lightning_fabric": "Lightning Fabric", "spandrel": "spandrel"}
PATIENCE = 0.5  # seconds that a library may take to load without a line


@contextmanager
def announced_imports() -> Iterator[None]:
    """Report the first of ``LIBRARIES`` that takes longer than ``PATIENCE`` to import within; one line is enough."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self) -> None:
        self.has_spoken = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self.has_spoken or fullname not in LIBRARIES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self._announce(spec.loader, f"loading {LIBRARIES[fullname]} ...")
        return spec

    def _announce(self, loader: Loader, line: str) -> None:
        """Make a loader report its next module if it loads slowly; afterwards the loader is restored."""
        execute = loader.exec_module

        def announced(module: ModuleType) -> None:
            del loader.exec_module
            start = time.monotonic()
            with announce_if_slow(line, PATIENCE):
                execute(module)
            self.has_spoken = time.monotonic() - start > PATIENCE

        loader.exec_module = announced  # type: ignore[method-assign]
