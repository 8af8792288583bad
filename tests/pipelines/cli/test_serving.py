"""Where a page is served: a port that is in use gives way, or is refused."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import click
from click.testing import CliRunner
from flask import Flask

from pipelines.cli.serving import address_options, serve_app


class Ended(Exception):
    """The server said its address: that is all a test waits for."""


@contextmanager
def taken() -> Iterator[int]:
    """A port in use below one that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def serve(default: int, *words: str) -> tuple[int, str]:
    """Exit status and what a command prints that serves a page, up to its address."""

    @click.command()
    @address_options(default)
    def command(host: str, port: int) -> None:
        app = Flask("page")
        app.config["MAX_CONTENT_LENGTH"] = 1

        def say(address: str) -> None:
            click.echo(address)
            raise Ended

        serve_app(app, host, port, None, say)

    done = CliRunner().invoke(command, words)
    assert done.exception is None or isinstance(done.exception, Ended | SystemExit), done.exception
    return done.exit_code, done.output


def test_a_default_port_in_use_gives_way_to_the_next_that_is_free_and_says_so() -> None:
    with taken() as port:
        _, said = serve(port)
        found = re.search(rf"port {port} is in use; serving on port (\d+) instead\nhttp://127.0.0.1:(\d+)/", said)
    assert found and found[1] == found[2] and int(found[1]) > port


def test_a_given_port_in_use_is_refused_in_one_line_that_names_the_next_free_one() -> None:
    with taken() as port:
        status, said = serve(1, "--port", str(port))
        found = re.fullmatch(rf"Error: port {port} on 127.0.0.1 is in use; use --port (\d+), which is free\n", said)
    assert status == 1 and found and int(found[1]) > port


def test_a_given_port_that_is_the_default_one_is_refused_too() -> None:
    with taken() as port:
        status, said = serve(port, "--port", str(port))
    assert status == 1 and "which is free" in said


def test_a_free_port_is_served_without_a_word_on_ports() -> None:
    with taken() as port:
        pass
    assert serve(port)[1] == f"http://127.0.0.1:{port}/\n"


def test_a_host_that_is_not_of_this_machine_is_refused() -> None:
    status, said = serve(0, "--host", "999.1")
    assert status == 1 and "cannot serve on 999.1, port 0" in said and "use another --host or --port" in said
