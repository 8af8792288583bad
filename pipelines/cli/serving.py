"""How a command serves a page: options, the printed address, errors."""

import errno
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from flask import Flask

Command = TypeVar("Command", bound=Callable[..., Any])


def address_options(port: int) -> Callable[[Command], Command]:
    """Add --host and --port, which is ``port`` by default."""

    def add(command: Command) -> Command:
        command = click.option(
            "--port", type=click.IntRange(0, 65535), default=port, show_default=True,
            metavar="N",
            help="Port of the page; 0 for any free one. If the default is in use, the next free port is used.",
        )(command)  # fmt: skip
        return click.option(
            "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
            help="Address to serve on. Other machines can open the page, by a link with a token, if it is 0.0.0.0.",
        )(command)  # fmt: skip

    return add


def new_token(host: str) -> str | None:
    """A token that browsers must send; None if only this machine can connect."""
    from pipelines.serving import LOOPBACK

    return None if host in LOOPBACK else secrets.token_urlsafe(24)


def serve_app(app: "Flask", host: str, port: int, token: str | None, say: Callable[[str], None]) -> None:
    """Serve until interrupted; ``say`` is called with the address once the page can be opened.

    A port that is in use is refused if it was given by --port; the default one gives way to the next that is free.
    """
    from pipelines import serving

    def ready(actual_port: int) -> None:
        if actual_port != port and port:
            click.echo(f"port {port} is in use; serving on port {actual_port} instead")
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # others cannot open "any address"
        name = f"[{name}]" if ":" in name else name
        say(f"http://{name}:{actual_port}/" + (f"?token={token}" if token else ""))

    is_default = click.get_current_context().get_parameter_source("port") is ParameterSource.DEFAULT
    candidate = port
    while True:
        try:
            return serving.serve(app, host, candidate, ready)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = error.strerror or error
                raise click.ClickException(
                    f"cannot serve on {host}, port {port} ({reason}); use another --host or --port"
                ) from error
            candidate = _next_free_port(host, candidate)
            if not is_default:
                raise click.ClickException(
                    f"port {port} on {host} is in use; use --port {candidate}, which is free"
                ) from error


def _next_free_port(host: str, port: int) -> int:
    """The first free port above ``port``, or any free port if there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in (*range(port + 1, 65536), 0):
        with suppress(OSError), socket.create_server((host, candidate), family=family) as server:
            return int(server.getsockname()[1])
    raise click.ClickException(f"no port on {host} is free; stop another server")
