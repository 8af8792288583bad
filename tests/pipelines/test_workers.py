"""Processes that read: they end with the program, and what they find wrong is said in one line."""

import subprocess
import sys

import pytest
from torch.utils.data import DataLoader, Dataset

from pipelines.errors import DataError
from pipelines.workers import batches_of
from prep.errors import PackError

ENDING = """
from torch.utils.data import DataLoader
from pipelines.stopping import ignore_stop_signals
from pipelines.workers import batches_of

batches = batches_of(DataLoader(range(1000), num_workers=2, worker_init_fn=lambda worker: ignore_stop_signals()))
next(batches)
raise OSError("as on a full disk")
"""


@pytest.mark.slow
def test_processes_that_ignore_signals_end_with_a_program_that_fails() -> None:
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=120)

    assert done.stderr.endswith("OSError: as on a full disk\n")


class Broken(Dataset[int]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> int:
        raise PackError("pack.h5: is damaged; pack it again")


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_reading_process_finds_wrong_is_one_line(workers: int) -> None:
    with pytest.raises((DataError, PackError)) as caught:
        next(batches_of(DataLoader(Broken(), num_workers=workers)))

    assert str(caught.value) == "pack.h5: is damaged; pack it again"
