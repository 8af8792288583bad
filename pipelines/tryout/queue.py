"""The queue of pictures: filled by requests, processed by one thread in order of arrival."""

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.errors import InputError
from pipelines.tryout import shown
from pipelines.tryout.pictures import (
    MOST_BYTES,
    MOST_PIXELS,
    Picture,
    State,
    Task,
    reason_to_refuse,
    shown_name,
    suffix_of,
)
from prep.errors import ReadError
from prep.io import photographs

MOST_PICTURES = 500
_OPEN = (State.SENDING, State.WAITING, State.WORKING)
_LEAST_SHARE = 0.02  # of the work, from which on it predicts the remaining time


class Gone(Exception):
    """The picture was removed or the server is stopping: its result is no longer needed."""


class Queue:
    """Pictures in order of arrival. All methods may be called from any thread.

    Args:
        folder: For their files; None: a new temporary folder. ``close`` removes it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="cdg-deblur-"))
        self._pictures: dict[int, Picture] = {}
        self._next = 1
        self._changed = threading.Condition()
        self._reading = threading.Lock()  # pictures are decoded one at a time: each may take gigabytes
        self._is_closed = False
        self._strength = 1.0  # of new pictures
        self._pace = 0.0  # seconds per pixel of the last restored picture

    def offer(self, files: Sequence[tuple[str, int]]) -> list[int]:
        """Append files, by name and size in bytes, before they are sent; returns their numbers.

        A file that cannot be restored is listed with the reason.

        Raises:
            InputError: If the list is full.
        """
        with self._changed:
            if len(self._pictures) + len(files) > MOST_PICTURES:
                raise InputError(
                    f"The list holds up to {MOST_PICTURES} pictures; remove some, or run cdg-deblur on the folder"
                )
            numbers = []
            for name, size in files:
                picture = Picture(
                    number=self._next,
                    name=shown_name(name),
                    size=size,
                    suffix=suffix_of(name),
                    folder=self.folder / str(self._next),
                    strength=self._strength,
                )
                if reason := reason_to_refuse(name, size):
                    picture.restoring = Task(state=State.FAILED, reason=reason)
                self._pictures[self._next] = picture
                numbers.append(self._next)
                self._next += 1
            return numbers

    def receive(self, number: int, stream: BinaryIO) -> bool:
        """Receive the bytes of an offered picture, once; False if there is no such picture.

        It is read at once, so that a file that is not a picture is reported before its turn.
        """
        with self._changed:
            picture = self._pictures.get(number)
            if picture is None or picture.is_received or picture.restoring.state is not State.SENDING:
                return False
            picture.is_received = True
        try:
            self._store(picture, stream)
            with self._reading:
                photo = photographs.read(picture.source, MOST_PIXELS)
                height, width = photo.pixels.shape[:2]
                thumb = shown.thumbnail(photo)
        except Exception as error:
            self.end(picture, picture.restoring, reason=reason_of(error, picture))
            shutil.rmtree(picture.folder, ignore_errors=True)
            return True
        with self._changed:
            picture.height, picture.width, picture.thumb = height, width, thumb
            picture.restoring.state = State.WAITING
            self._changed.notify_all()
        self._clear_if_gone(picture)
        return True

    def _store(self, picture: Picture, stream: BinaryIO) -> None:
        try:
            picture.folder.mkdir(parents=True)
            with picture.source.open("xb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
                size = file.tell()
        except OSError as error:
            reason = error.strerror or error
            raise ReadError(
                f"{picture.source} cannot be stored in the temporary folder ({reason}); free some disk space"
            ) from error
        picture.size = size
        if not 0 < size <= MOST_BYTES:
            raise ReadError(reason_to_refuse(picture.name, size))

    def get(self, number: int) -> Picture | None:
        """A picture by its number."""
        with self._changed:
            return self._pictures.get(number)

    def ask_branches(self, number: int) -> bool:
        """Request the results of the branches for a restored picture; False if there is no such picture."""
        with self._changed:
            picture = self._pictures.get(number)
            if picture is None or picture.restoring.state is not State.DONE:
                return False
            if picture.branches.state in (State.NONE, State.FAILED):
                picture.branches = Task(state=State.WAITING)
                self._changed.notify_all()
            return True

    def set_strength(self, strength: float, number: int | None = None) -> bool:
        """Set the strength of a picture, or, without a number, of all that are listed and all that will be.

        Returns:
            False if there is no such picture.
        """
        with self._changed:
            if number is None:
                self._strength = strength
            pictures = [each for each in self._pictures.values() if number in (None, each.number)]
            for picture in pictures:
                picture.strength = strength
            return number is None or bool(pictures)

    def remove(self, number: int) -> bool:
        """Remove a picture and its files, also while it is being processed."""
        with self._changed:
            picture = self._pictures.pop(number, None)
        if picture:
            shutil.rmtree(picture.folder, ignore_errors=True)
        return picture is not None

    def take(self) -> tuple[Picture, Task] | None:
        """Wait for the next task, for the one thread that works; None when the queue is closed.

        Branches come before pictures: a user is waiting for them.
        """
        with self._changed:
            while not self._is_closed:
                listed = list(self._pictures.values())
                for picture, task in [(each, each.branches) for each in listed] + [
                    (each, each.restoring) for each in listed
                ]:
                    if task.state is State.WAITING:
                        task.state, task.started = State.WORKING, time.monotonic()
                        return picture, task
                self._changed.wait()
            return None

    def report(self, picture: Picture, task: Task, share: float) -> None:
        """Store the progress of a task, for the page.

        Raises:
            Gone: If its result is no longer needed.
        """
        with self._changed:
            if self._is_closed or picture.number not in self._pictures:
                raise Gone
            task.share = share

    def end(self, picture: Picture, task: Task, reason: str = "", parts: Sequence[dict[str, Any]] = ()) -> None:
        """Mark a task as done, or, with a reason, as failed."""
        with self._changed:
            task.state, task.reason = State.FAILED if reason else State.DONE, reason
            if task.started:
                task.seconds = time.monotonic() - task.started
            if task is picture.restoring and not reason:
                self._pace = task.seconds / (picture.height * picture.width)
            if parts:
                picture.parts = parts
        self._clear_if_gone(picture)

    def _clear_if_gone(self, picture: Picture) -> None:
        if self.get(picture.number) is None:
            self.clear(picture)

    def clear(self, picture: Picture) -> None:
        """Remove the files of a removed picture: the worker may have written some since."""
        shutil.rmtree(picture.folder, ignore_errors=True)

    def restored(self) -> list[Picture]:
        """The pictures that are restored, in the order of the list."""
        with self._changed:
            return [picture for picture in self._pictures.values() if picture.restoring.state is State.DONE]

    def facts(self) -> list[dict[str, Any]]:
        """What the page shows of each picture, in the order of the list."""
        with self._changed:
            return [self._facts(picture) for picture in self._pictures.values()]

    def _facts(self, picture: Picture) -> dict[str, Any]:
        return {
            "number": picture.number,
            "name": picture.name,
            "size": picture.size,
            "width": picture.width,
            "height": picture.height,
            "scale": shown.scale(picture.height, picture.width),
            "strength": picture.strength,
            "restoring": self._task_facts(picture, picture.restoring),
            "branches": self._task_facts(picture, picture.branches),
            "parts": picture.parts,
        }

    def _task_facts(self, picture: Picture, task: Task) -> dict[str, Any]:
        facts: dict[str, Any] = {"state": task.state, "reason": task.reason, "seconds": task.seconds}
        if task.state is State.WORKING:
            passed = time.monotonic() - task.started
            left = self._pace * picture.height * picture.width - passed if self._pace else None
            if task.share >= _LEAST_SHARE:
                left = passed * (1 - task.share) / task.share
            facts |= {"share": task.share, "seconds": passed, "left": None if left is None else max(0.0, left)}
        return facts

    def close(self) -> None:
        """Stop the work and remove the folder with all its files."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for _ in range(2):  # again, if a file was written in the meantime
            shutil.rmtree(self.folder, ignore_errors=True)


def reason_of(error: Exception, picture: Picture) -> str:
    """Why work on a picture failed, in one line, without the path of the temporary file."""
    if isinstance(error, ReadError):
        path, text = f"{picture.source} ", str(error)
        return f"This file {text.removeprefix(path)}" if text.startswith(path) else text
    if isinstance(error, OSError):
        return f"The result cannot be written to the temporary folder ({error.strerror or error}); free some disk space"
    if isinstance(error, MemoryError) or "memory" in str(error):  # torch's kinds of it are RuntimeErrors
        return "Not enough memory for this picture; make it smaller, or start the server with a smaller --tile"
    logging.getLogger(__name__).error("a picture could not be restored", exc_info=error)
    return "The program failed; the terminal of the server shows the error"
