"""What the loop is fed: this process's part of every batch, and how long it waits for it."""

import time
from collections.abc import Iterator

from lightning_fabric import Fabric
from torch.utils.data import DataLoader, Sampler

from pipelines.stopping import ignore_stop_signals
from pipelines.train.runs import Run
from pipelines.train.samples import Sample, TrainingSamples
from pipelines.workers import batches_of


def batches(run: Run, fabric: Fabric, start: int) -> Iterator[Sample]:
    """This process's parts of the batches after ``start`` steps, ``accumulate`` of them a step."""
    config = run.config
    numbers = _Numbers(run, fabric, start)
    loader = DataLoader(
        _samples(run),
        batch_size=numbers.share // config.accumulate,
        sampler=numbers,
        num_workers=config.workers,
        pin_memory=fabric.device.type == "cuda",
        worker_init_fn=_ignore_signals,
    )
    yield from batches_of(loader)


class _Numbers(Sampler[int]):
    """The samples of one process, step after step. Step s holds samples (s - 1) * batch to s * batch, whatever the
    number of processes.
    """

    def __init__(self, run: Run, fabric: Fabric, start: int) -> None:
        self.start, self.steps, self.batch = start, run.steps, run.config.batch
        self.share = self.batch // fabric.world_size
        self.offset = self.share * fabric.global_rank

    def __iter__(self) -> Iterator[int]:
        for step in range(self.start, self.steps):
            first = step * self.batch + self.offset
            yield from range(first, first + self.share)


def _samples(run: Run) -> TrainingSamples:
    config = run.config
    return TrainingSamples(run.packs, run.split.train, config.crop, config.seed, turn=config.turn, mu=config.mu)


def keys(run: Run, step: int) -> list[str]:
    """The frames of a step's batch."""
    samples, batch = _samples(run), run.config.batch
    return [samples.key(number) for number in range((step - 1) * batch, step * batch)]


def _ignore_signals(worker: int) -> None:
    """They reach all processes of a group; the loop ends by itself after its step and still needs its batch."""
    ignore_stop_signals()


class Meter:
    """Images a second and the share of time spent waiting for data, between two readings."""

    def __init__(self, batch: int, step: int) -> None:
        self.batch, self.waited, self.since, self.step = batch, 0.0, time.perf_counter(), step

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.waited += time.perf_counter() - self.began

    def read(self, step: int) -> dict[str, float]:
        now = time.perf_counter()
        seconds = max(now - self.since, 1e-9)
        values = {
            "steps_per_second": (step - self.step) / seconds,
            "images_per_second": (step - self.step) * self.batch / seconds,
            "data_wait_share": self.waited / seconds,
        }
        self.waited, self.since, self.step = 0.0, now, step
        return values
