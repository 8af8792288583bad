"""Stop signals such as Ctrl-C: finish and save the current step, then end the command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from pipelines.stopping import STOP_SIGNALS


class _Stopped(click.ClickException):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc]


class StopOnSignal:
    """Asks the loop to end after the current step; a second signal ends the process as usual."""

    def __init__(self) -> None:
        self.number = 0
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        for caught in STOP_SIGNALS:
            signal.signal(caught, signal.SIG_DFL)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise KeyboardInterrupt on a signal, for work that loses nothing when it stops, such as scoring."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            self._ask(number, frame)
            raise KeyboardInterrupt

        handlers = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            if not self.number:
                for number, handler in handlers.items():
                    signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.number > 0

    def stopped(self, message: str) -> click.ClickException:
        """The error that ends a command that saved and stopped; its exit status is the one shells give the signal."""
        return _Stopped(message, 128 + self.number)
