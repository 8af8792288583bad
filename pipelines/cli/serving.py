"""How a command serves a page: the options, the address that is shown, what cannot be served."""

import errno
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from flask import Flask

Command = TypeVar("Command", bound=Callable[..., Any])


def address_options(port: int) -> Callable[[Command], Command]:
    """Add --host and --port, which is ``port`` by default."""

    def add(command: Command) -> Command:
        command = click.option(
            "--port", type=click.IntRange(0, 65535), default=port, show_default=True, help="0 for a free one."
        )(command)
        return click.option(
            "--host", default="127.0.0.1", show_default=True, help="Where to serve; any other needs the token shown."
        )(command)

    return add


def new_token(host: str) -> str | None:
    """What a browser must bring; None where only this machine can ask."""
    from pipelines.serving import LOOPBACK

    return None if host in LOOPBACK else secrets.token_urlsafe(24)


def serve_app(app: "Flask", host: str, port: int, token: str | None, say: Callable[[str], None]) -> None:
    """Serve until interrupted; ``say`` is called with the address once the page can be opened."""
    from pipelines import serving

    def ready(actual_port: int) -> None:
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # others cannot open "any address"
        name = f"[{name}]" if ":" in name else name
        say(f"http://{name}:{actual_port}/" + (f"?token={token}" if token else ""))

    try:
        serving.serve(app, host, port, ready)
    except OSError as error:
        advice = (
            f"--port {_free_port(host)}, which is free"
            if error.errno == errno.EADDRINUSE
            else "another --host or --port"
        )
        raise click.ClickException(f"cannot serve on {host}:{port} ({error.strerror}); pass {advice}") from error


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        return int(server.getsockname()[1])
