"""What all commands share: errors in one line, progress with rate and time left, help that ends with an example."""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

Item = TypeVar("Item")
SETTINGS = {"help_option_names": ["-h", "--help"]}
_SECONDS_BETWEEN_LINES = 30.0
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ExistingFile(click.Path):
    """A file that must be there, found out before anything heavy is loaded.

    Args:
        remedy: What to do where it is not.
    """

    def __init__(self, remedy: str) -> None:
        super().__init__(path_type=Path)
        self.remedy = remedy

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        path = Path(value)
        if not path.exists():
            if str(path).startswith("--"):
                self.fail(f"found the option {path}, wanted a file", param, ctx)
            self.fail(f"{path} is not there; {self.remedy}", param, ctx)
        if path.is_dir():
            self.fail(f"{path} is a folder; pass a file in it", param, ctx)
        return path


PACK_FILE = ExistingFile("make it with cdg-prep pack")
WEIGHTS_FILE = ExistingFile("cdg-train writes weights into its run folder")


class FiniteRange(click.FloatRange):
    """A range of numbers, which nan and inf are not in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number in the range {self._describe_range()}.", param, ctx)
        return number


class _Stopped(click.ClickException):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc]


class StopOnSignal:
    """Asks the loop to end after the step at hand; a second signal ends the process as usual."""

    def __init__(self) -> None:
        self.number = 0
        for number in _STOPPING:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        for caught in _STOPPING:
            signal.signal(caught, signal.SIG_DFL)

    def __call__(self) -> bool:
        return self.number > 0

    def stopped(self, message: str) -> click.ClickException:
        """The end of a command that saved and stopped: its status is that of the signal, as a shell would say it."""
        return _Stopped(message, 128 + self.number)


def run(command: click.Command, mistakes: Callable[[], tuple[type[Exception], ...]]) -> None:
    """Run a command and exit: a user's mistake as one line, a bug with its traceback.

    Args:
        command: The command or group.
        mistakes: Gives the exceptions that mean a mistake of the user's. A function, so that their modules load
            only when something went wrong and ``--help`` stays quick.
    """
    name = command.name or "cdg"
    try:
        status = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        _fail(error.format_message(), 2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else name
        hint = f" (see {where} --help)" if isinstance(error, click.UsageError) else ""
        _fail(f"{where}: {' '.join(error.format_message().split())}{hint}", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail(f"{name}: interrupted; the same command goes on", 130)
    except OSError as error:
        subject = f"{error.filename}: " if error.filename else ""
        _fail(f"{name}: {subject}{error.strerror or error}", 1)
    except Exception as error:
        if not isinstance(error, mistakes()):
            raise
        _fail(f"{name}: {error}", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(line: str, status: int) -> None:
    click.echo(line, err=True)
    sys.exit(status)


def track(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Pass items on and show how far it is: a bar on a terminal, a line every half minute in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from narrate(items, total, what)
        return
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total, rate="")
        for item in items:
            progress.update(task, advance=1)
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
            progress.update(task, rate=f"{speed:.2f}/s" if speed else "")
            yield item


def narrate(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Pass items on and say how far it is, a line every half minute."""
    start = spoken = time.monotonic()
    for done, item in enumerate(items, 1):
        now = time.monotonic()
        if now - spoken > _SECONDS_BETWEEN_LINES:
            spoken, rate = now, done / (now - start)
            click.echo(f"{what}: {done} of {total}, {rate:.2f}/s, {duration((total - done) / rate)} left", err=True)
        yield item


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Say what is under way if it is not done within a second and a half."""
    timer = threading.Timer(1.5, click.echo, (what,), {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``3 min``, ``2.5 h``, ``4.1 days``."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def example(text: str) -> str:
    """The end of a help text: an example that works, kept on its own line."""
    return f"\b\nExample:\n  {text}"
