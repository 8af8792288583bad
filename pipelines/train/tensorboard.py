"""A run's log for TensorBoard. Needs the extra ``tensorboard``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from pipelines.train.validation import read_pictures


class TensorBoardLog:
    """Writes what the log holds, and the pictures of each validation, into ``tensorboard`` in the run folder.

    Args:
        folder: The run's.
        start: Steps done before; what an earlier process wrote of later ones is hidden.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.folder = folder
        self._writer = SummaryWriter(folder / "tensorboard", purge_step=start + 1)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row of the log, with the pictures of a validation."""
        step = row["step"]
        for name, value in row.items():
            if isinstance(value, float):
                self._writer.add_scalar(name, value, step)
        if "val_psnr" in row:
            for key, pictures, _ in read_pictures(self.folder):
                for name, picture in pictures.items():
                    form = "HW" if picture.ndim == 2 else "HWC"
                    self._writer.add_image(f"{key}/{name}", picture, step, dataformats=form)
        self._writer.flush()

    def close(self) -> None:
        """Write what is not written yet."""
        self._writer.close()
