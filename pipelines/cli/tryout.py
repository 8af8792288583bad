"""``cdg-deblur --serve``: a page to try the network on your own photographs."""

import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pipelines.cli.serving import new_token, serve_app
from pipelines.stopping import STOP_SIGNALS

if TYPE_CHECKING:
    from pipelines.restore.restorer import Restorer
    from pipelines.tryout.server import Facts

PORT = 8766
_NOT_SERVED = {  # options that --serve refuses, and why
    "out": "results are downloaded from the page",
    "force": "the page overwrites nothing",
    "batch": "the page restores one picture at a time",
    "compare": "the page shows before and after",
    "dry_run": "the page plans nothing in advance",
    "is_compiled": "each new picture size would take a minute to compile",
}
_NAMES = {"is_compiled": "compile"}


def check_options(context: click.Context, inputs: Sequence[Path], *, is_served: bool) -> None:
    """Refuse options that cannot be used with --serve; without --serve, missing inputs, --host and --port."""
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if not is_served:
        for name in ("host", "port"):
            if name in given:
                raise click.UsageError(f"--{name} needs --serve; add --serve, or leave out --{name}")
        if not inputs:
            raise click.UsageError("no inputs; pass pictures, videos or folders, or use --serve for a page")
        return
    if inputs:
        raise click.UsageError(f"--serve takes no inputs: pictures are dropped on its page; leave out {inputs[0]}")
    for name, reason in _NOT_SERVED.items():
        if name in given:
            option = _NAMES.get(name, name).replace("_", "-")
            raise click.UsageError(f"--{option} cannot be used with --serve, because {reason}; leave it out")


def serve_page(
    make_restorer: "Callable[[], Restorer]", weights: Path, strength: float, quality: int, host: str, port: int
) -> int:
    """Serve the page until interrupted; Ctrl-C ends the process at once, also during a restoration."""
    from pipelines.tryout.queue import Queue
    from pipelines.tryout.server import make_app
    from pipelines.tryout.worker import Worker

    click.echo("loading the network ...")
    restorer, token, queue = make_restorer(), new_token(host), Queue()

    def end(number: int, frame: FrameType | None) -> None:
        queue.close()
        os._exit(0)  # Python would wait for threads that work on a tile, which takes seconds

    for number in STOP_SIGNALS:
        signal.signal(number, end)
    facts = _facts(restorer, weights, strength, host, is_local=token is None)

    def say(address: str) -> None:
        click.echo(f"restoring on {facts.device}; uploaded pictures are deleted when the server stops")
        click.echo(f"press Ctrl-C to stop; open in a browser: {address}")

    Worker(queue, restorer, quality).start()
    try:
        serve_app(make_app(queue, facts, token, quality), host, port, token, say)
    finally:
        queue.close()
    return 0


def _facts(restorer: "Restorer", weights: Path, strength: float, host: str, *, is_local: bool) -> "Facts":
    from cdgnet import CDGNet, read_metadata
    from pipelines.restore.networks import name_of
    from pipelines.timing import device_and_threads
    from pipelines.tryout.server import Facts

    network = restorer.network
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Facts(
        weights=(isinstance(network, CDGNet) and read_metadata(weights).get("name")) or weights.name,
        network=f"{name_of(network)}, {parameters:,} parameters",
        device=device_and_threads(restorer.device),
        host="" if is_local else socket.gethostname(),
        has_branches=isinstance(network, CDGNet) and network.fusion is not None,
        strength=strength,
    )
