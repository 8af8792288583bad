"""The page for trying a network: small networks, pictures and servers that its tests share."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from werkzeug.serving import make_server

from cdgnet import CDGNet, ModelConfig
from pipelines.restore.restorer import Restorer
from pipelines.tryout.queue import Queue
from pipelines.tryout.server import Facts, make_app
from pipelines.tryout.worker import Worker

HOSTILE = "a\"b'<img src=x onerror=alert(1)>&amp;{{ 7 * 7 }} über-写真\u202e"
FACTS = Facts(weights="w.safetensors", network="cdgnet", device="CPU, 1 thread", host="", has_branches=True)


def make_restorer(fusion: str = "divided", tile: int | None = None) -> Restorer:
    """A small network that was never trained and changes every picture."""
    torch.manual_seed(0)
    network = CDGNet(replace(ModelConfig.preset("tiny"), fusion=fusion))
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return Restorer(network, Fabric(accelerator="cpu", devices=1), tile=tile)


def picture(height: int = 48, width: int = 64, kind: str = "PNG", seed: int = 0, **options: object) -> bytes:
    """A file of a picture: smooth colours with some noise."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    pixels = (ramp + rng.integers(0, 16, (height, width, 3))).astype(np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind, **options)  # type: ignore[arg-type]
    return target.getvalue()


def animation() -> bytes:
    """An animated GIF."""
    target, frames = io.BytesIO(), [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:])
    return target.getvalue()


def hand_in(queue: Queue, data: bytes, name: str = "a.png") -> int:
    """Put a picture on the list and its bytes with it; gives its number."""
    (number,) = queue.offer([(name, len(data))])
    assert queue.receive(number, io.BytesIO(data))
    return number


def state(queue: Queue, number: int, task: str = "restoring") -> str:
    return str(next(facts[task]["state"] for facts in queue.facts() if facts["number"] == number))


def wait_for(queue: Queue, number: int, wanted: str = "done", task: str = "restoring") -> None:
    end = time.monotonic() + 60
    while (now := state(queue, number, task)) != wanted:
        assert time.monotonic() < end and now != "failed", queue.facts()
        time.sleep(0.01)


@contextmanager
def working(folder: Path, restorer: Restorer) -> Iterator[Queue]:
    """A queue that is worked off."""
    queue = Queue(folder)
    worker = Worker(queue, restorer, 95)
    worker.start()
    yield queue
    queue.close()
    worker.join(30)


@contextmanager
def serving(queue: Queue, port: int = 0, facts: Facts = FACTS) -> Iterator[int]:
    """A server for browsers; gives its port."""
    server = make_server("127.0.0.1", port, make_app(queue, facts, None, 95), threaded=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()
