"""The signals that ask a command to stop: those that this platform has."""

import signal

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


def ignore_stop_signals() -> None:
    """Leave them to another process: they reach all processes of a group, and the main one ends by itself."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
