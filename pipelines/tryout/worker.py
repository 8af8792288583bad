"""The thread that restores pictures, and on request draws the results of the branches."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from cdgnet import Components, to_bytes
from cdgnet.images import restore_all
from cdgnet.tiling import Progress
from pipelines.pages.panels import MAP_TITLES
from pipelines.pages.pictures import jpeg, png, shrink, small_map
from pipelines.restore.pictures import check_memory
from pipelines.restore.restorer import Restorer
from pipelines.tryout.pictures import MOST_PIXELS, Picture, Task
from pipelines.tryout.queue import Gone, Queue, reason_of
from prep.io import files, photographs
from prep.io.photographs import Photo

LARGEST_TILE = 1024  # pixels: a picture of 12 megapixels is twelve tiles, after each of which the page shows progress
IMAGES = {
    "small": "Result of the branch for small blur; judge it where the picture was almost sharp",
    "large": "Result of the branch for large blur; judge it where the picture was strongly blurred",
}
MAPS = {
    "small_attention": "Attention of the branch for small blur: violet 0, yellow 1",
    "large_attention": "Attention of the branch for large blur: violet 0, yellow 1",
    "share": "Source of each pixel: yellow from the small branch, violet from the fusion of both",
}
_WIDTH = 1600  # pixels, largest width of the pictures of the branches
_QUALITY = 95  # of their JPEGs
_PIXEL_BYTES = {
    "restoring": 60,
    "branches": 110,
}  # memory per pixel of the picture, in addition to that of a tile; measured


class Worker(threading.Thread):
    """Process a queue until it is closed.

    Args:
        queue: Of pictures.
        restorer: A trained network.
        quality: As in ``photographs.write``.
    """

    def __init__(self, queue: Queue, restorer: Restorer, quality: int) -> None:
        super().__init__(name="tryout", daemon=True)  # a tile takes seconds: the process ends without waiting for it
        self.queue, self.restorer, self.quality = queue, restorer, quality
        if restorer.is_tile_free:
            restorer.tile = min(restorer.tile, LARGEST_TILE)

    def run(self) -> None:
        """Process one task after the other; an error is reported with its picture."""
        while taken := self.queue.take():
            picture, task = taken
            try:
                parts = self._work(picture, task)
            except Gone:
                pass  # its files are removed
            except Exception as error:
                self.queue.end(picture, task, reason_of(error, picture))
            else:
                self.queue.end(picture, task, parts=parts)

    def _work(self, picture: Picture, task: Task) -> list[dict[str, Any]]:
        def report(share: float) -> None:
            self.queue.report(picture, task, share)

        photo = photographs.read(picture.source, MOST_PIXELS)
        report(0.0)
        is_restoring = task is picture.restoring
        check_memory(photo, picture.source, _PIXEL_BYTES["restoring" if is_restoring else "branches"])
        if not is_restoring:
            return draw_branches(photo, picture, self.restorer, report)
        restored = restore(photo, self.restorer, report)
        if not photo.is_lossless:
            photographs.write(picture.exact, restored)
        photographs.write(picture.restored, restored, self.quality)
        return []


def restore(photo: Photo, restorer: Restorer, report: Progress) -> Photo:
    """Restore a photograph; ``report`` is called with the share of the work done."""
    (pixels,) = restore_all([photo.pixels], lambda frames: restorer(frames, report))
    return replace(photo, pixels=pixels)


def draw_branches(photo: Photo, picture: Picture, restorer: Restorer, report: Progress) -> list[dict[str, Any]]:
    """Write pictures of the results of all branches beside a photograph; returns the name and title of each."""
    found: list[Components] = []

    def restore(frames: Tensor) -> Tensor:
        found.append(restorer.components(frames, report))
        return found[0].restored

    restore_all([photo.pixels], restore)
    draw: dict[str, Callable[[Tensor], bytes]] = dict.fromkeys(IMAGES, _image) | dict.fromkeys(MAPS, _map)
    parts = []
    for name, make in draw.items():
        given = getattr(found[0], name)
        if given is not None:
            files.write_bytes(picture.folder / name, make(given))
            title = MAP_TITLES.get(name, f"{name} branch").partition(":")[0]
            parts.append({"name": name, "title": title, "about": (IMAGES | MAPS)[name], **_range(name, given)})
    return parts


def _image(image: Tensor) -> bytes:
    pixels = to_bytes(image)[0].permute(1, 2, 0).cpu().numpy()  # (H, W, 3)
    return jpeg(shrink(np.ascontiguousarray(pixels), _WIDTH), _QUALITY)


def _map(values: Tensor) -> bytes:
    codes = (values[0, 0].float().cpu().numpy() * 65535).round().astype(np.uint16)  # (h, w)
    return png(small_map(codes, _WIDTH))


def _range(name: str, given: Tensor) -> dict[str, float]:
    """The range of a map, for its caption: its colours are those of 0 to 1."""
    return {"low": float(given.min()), "high": float(given.max())} if name in MAPS else {}
