"""Loading of this process's part of every batch, and measurement of how long the loop waits for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import cast

from lightning_fabric import Fabric
from torch.utils.data import DataLoader, Dataset, Sampler

from pipelines.stopping import ignore_stop_signals
from pipelines.train.runs import Run
from pipelines.train.samples import Sample
from pipelines.workers import batches_of


def batches(run: Run, fabric: Fabric, start: int) -> Iterator[Sample]:
    """Yield this process's parts of the batches after ``start`` steps, ``accumulate`` parts per step."""
    config = run.config
    sampler = _StepSampler(run, fabric, start)
    loader = DataLoader(
        cast("Dataset[Sample]", run.samples),  # has a Dataset's methods, not its base class
        batch_size=sampler.share // config.accumulate,
        sampler=sampler,
        num_workers=config.workers,
        pin_memory=fabric.device.type == "cuda",
        worker_init_fn=_ignore_signals,
    )
    yield from batches_of(loader)


class _StepSampler(Sampler[int]):
    """The sample numbers of one process, step after step.

    With any number of processes, step s (from 1) has samples (s - 1) * batch to s * batch - 1.
    """

    def __init__(self, run: Run, fabric: Fabric, start: int) -> None:
        self.start, self.batch = start, run.config.batch
        self.end = None if run.config.hours else run.steps  # a run by the clock ends when its plan does
        self.share = self.batch // fabric.world_size
        self.offset = self.share * fabric.global_rank

    def __iter__(self) -> Iterator[int]:
        for step in count(self.start) if self.end is None else range(self.start, self.end):
            first = step * self.batch + self.offset
            yield from range(first, first + self.share)


def frame_keys(run: Run, step: int) -> list[str]:
    """Return the keys of the frames in a step's batch, over all processes."""
    batch = run.config.batch
    return [run.samples.frame_of(number).key for number in range((step - 1) * batch, step * batch)]


def _ignore_signals(worker: int) -> None:
    """Ignore stop signals, which reach all processes of a group: the loop still needs its batch to finish its step."""
    ignore_stop_signals()


class ThroughputMeter:
    """Steps and images per second, and the share of time spent waiting for data, since the last reading.

    Args:
        batch: Images per step.
        step: Steps done before.
    """

    def __init__(self, batch: int, step: int) -> None:
        self.batch = batch
        self.restart(step)

    def restart(self, step: int) -> None:
        """Restart the measurement after ``step`` steps."""
        self.step, self.waited, self.since = step, 0.0, time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside the context as waiting."""
        began = time.perf_counter()
        yield
        self.waited += time.perf_counter() - began

    def read(self, step: int) -> dict[str, float]:
        """Return the rates up to ``step``, from where the next reading begins."""
        seconds = max(time.perf_counter() - self.since, 1e-9)
        rates = {
            "steps_per_second": (step - self.step) / seconds,
            "images_per_second": (step - self.step) * self.batch / seconds,
            "data_wait_share": self.waited / seconds,
        }
        self.restart(step)
        return rates
