"""A run's log for TensorBoard. Requires the extra ``tensorboard``."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from pipelines.train.validation import read_pictures
from prep.io import files


class TensorBoardLog:
    """Writes the numbers of the log and the pictures of each validation into ``tensorboard`` in the run folder.

    Args:
        folder: The run folder.
        start: Steps done before; entries of later steps that an earlier process wrote are hidden.

    Raises:
        OSError: From every method, if the disk is full.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.folder, self.events = folder, folder / "tensorboard"
        threading.excepthook = _report
        with files.naming(self.events):
            self._writer = SummaryWriter(self.events, purge_step=start + 1)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row of the log, with the pictures of a validation."""
        step = row["step"]
        pictures = read_pictures(self.folder) if "val_psnr" in row else ()
        with files.naming(self.events):
            for name, value in row.items():
                if isinstance(value, float):
                    self._writer.add_scalar(name, value, step)
            for key, kinds, _ in pictures:
                for name, picture in kinds.items():
                    form = "HW" if picture.ndim == 2 else "HWC"
                    self._writer.add_image(f"{key}/{name}", picture, step, dataformats=form)
            self._writer.flush()

    def close(self) -> None:
        """Write what is still buffered, and close the files."""
        with files.naming(self.events):
            self._writer.close()


def _report(failed: threading.ExceptHookArgs) -> None:
    """Print the exception that ended a thread, except TensorBoard's, which the writer raises again at its next call."""
    if not type(failed.thread).__module__.startswith("tensorboard."):
        threading.__excepthook__(failed)
