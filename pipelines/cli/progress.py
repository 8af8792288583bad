"""Show the progress of long work on a terminal or in a log: how much is done, the rate and the time left."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from pipelines.cli.printing import encoding_of, escaped, escaping, unescaped
from prep.units import duration

Item = TypeVar("Item")


_SECONDS_BETWEEN_LINES = 30.0
SLOW_SECONDS = 1.5  # longer work is announced


class Parts:
    """Report progress within items that take long: call it with the number of items done, such as 0.5."""

    def __init__(self) -> None:
        self._show: Callable[[float], None] = lambda _: None

    def __call__(self, done: float) -> None:
        """Report how many items are done, as a fraction."""
        self._show(done)

    def listen(self, show: Callable[[float], None]) -> None:
        """Call ``show`` from now on."""
        self._show = show


def track(
    items: Iterable[Item],
    total: int | Callable[[], int | None],
    what: str,
    parts: Parts | None = None,
    *,
    unit: str = "",
    seconds_left: Callable[[], float | None] | None = None,
    start: int = 0,
    position: Callable[[Item], int] | None = None,
) -> Iterator[Item]:
    """Pass items on and show the progress: a bar on a terminal, a line every half minute in a log.

    Args:
        items: What is passed on.
        total: Their number; none is shown for 0. A function if it changes; it returns None while it is unknown.
        what: The work, for the line.
        parts: Reports the progress within items that take long.
        unit: What is counted, in the plural, for the rate: ``4.4 frames/s``.
        seconds_left: Gives the time left where the rate does not tell it, or None while it is unknown.
        start: Items done before, in an earlier run; they count in what is shown, but not in the rate.
        position: Gives the number of items done after an item, earlier runs included, where it is not one more.
    """
    if total == 0:
        yield from items
        return
    current = total if callable(total) else lambda: total
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    stream = unescaped(sys.stderr)
    console = Console(file=stream)
    if not console.is_terminal:
        yield from narrate(
            items, current, what, parts, unit=unit, seconds_left=seconds_left, start=start, position=position
        )
        return

    class TimeLeft(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            if seconds_left is not None:
                left = seconds_left()
                return Text() if left is None else Text(f"{duration(left)} left", style="progress.remaining")
            return Text() if task.time_remaining is None else super().render(task)

    rate = TextColumn("{task.fields[rate]}")
    share = (BarColumn(), TaskProgressColumn(), MofNCompleteColumn())
    name = TextColumn("{task.description}", markup=False)
    with Progress(name, *share, rate, TimeLeft(), console=console) as progress, escaping():
        task = progress.add_task(escaped(what, encoding_of(stream)), completed=start, total=current(), rate="")
        done = 0
        if parts is not None:
            parts.listen(lambda part: progress.update(task, completed=start + done + part))
        for done, item in _counted(items, start, position):
            whole = current()  # may be an estimate
            progress.update(task, completed=min(start + done, whole or start + done), total=whole)
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
            progress.update(task, rate=rate_text(speed, unit) if speed else "")
            yield item


def narrate(
    items: Iterable[Item],
    total: int | Callable[[], int | None],
    what: str,
    parts: Parts | None = None,
    *,
    unit: str = "",
    seconds_left: Callable[[], float | None] | None = None,
    start: int = 0,
    position: Callable[[Item], int] | None = None,
) -> Iterator[Item]:
    """Pass items on and print the progress, a line every half minute; the arguments are those of ``track``."""
    current = total if callable(total) else lambda: total
    began = spoken = time.monotonic()

    def say(done: float) -> None:
        nonlocal spoken
        now = time.monotonic()
        if now - spoken <= _SECONDS_BETWEEN_LINES:
            return
        spoken, rate, whole = now, done / (now - began), current()
        done += start
        of_whole = f" of {whole}" if whole else ""
        seconds = seconds_left() if seconds_left else (whole - done) / rate if whole and rate > 0 else None
        left = f", {duration(seconds)} left" if seconds is not None else ""
        count = f"{done:.1f}" if done % 1 else f"{done:.0f}"
        click.echo(f"{what}: {count}{of_whole}, {rate_text(rate, unit)}{left}", err=True)

    done = 0
    if parts is not None:
        parts.listen(lambda part: say(done + part))
    for done, item in _counted(items, start, position):
        say(done)
        yield item


def _counted(items: Iterable[Item], start: int, position: Callable[[Item], int] | None) -> Iterator[tuple[int, Item]]:
    """Yield each item with the number of items done after it, without those of earlier runs."""
    for number, item in enumerate(items, 1):
        yield (position(item) - start if position else number), item


def rate_text(rate: float, unit: str) -> str:
    """Items per second, as ``4.4 frames/s``."""
    number = f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"
    return f"{number} {unit}/s" if unit else f"{number}/s"


@contextmanager
def announce_if_slow(what: str, after: float | None = None) -> Iterator[None]:
    """Report work that takes longer than ``after`` seconds, by default a second and a half, and again every half minute
    with the time so far.
    """
    start, done = time.monotonic(), threading.Event()

    def speak() -> None:
        if not done.wait(SLOW_SECONDS if after is None else after):
            click.echo(what, err=True)
        while not done.wait(_SECONDS_BETWEEN_LINES):
            click.echo(f"{what}: {duration(time.monotonic() - start)} so far", err=True)

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
