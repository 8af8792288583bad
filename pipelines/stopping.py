"""Signals of this platform that ask a command to stop."""

import signal

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


def ignore_stop_signals() -> None:
    """Ignore stop signals in a worker, because they reach all processes of a group and the main one handles them."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
