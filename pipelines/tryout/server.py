"""The page to try the network, over HTTP: pictures are uploaded, listed, shown, downloaded.

No part of a request is used as a path: pictures have numbers, and their files fixed names. Requests that change
anything are JSON, PUT or DELETE, which a form on another site cannot send.
"""

import secrets
import tempfile
import threading
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from flask import Flask, Response, abort, request, send_file

from pipelines import serving
from pipelines.errors import InputError
from pipelines.pages.templates import templates
from pipelines.tryout import shown, strength
from pipelines.tryout.pictures import MOST_BYTES, Picture, State
from pipelines.tryout.queue import Queue
from pipelines.tryout.worker import IMAGES, MAPS
from prep.errors import ReadError
from prep.io import files, photographs

SCRIPTS = ("queue.js", "sending.js", "list.js", "view.js", "parts.js", "main.js")
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_PAGE = Path(__file__).parent / "page"
_COOKIE = "cdg-deblur"
_LARGEST_JSON = 200_000  # bytes
_MOST_FILES = 100  # offered in one request


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts in the head of the page."""

    weights: str
    network: str
    device: str
    host: str  # the machine that stores the pictures; empty if it is the one of the browser
    has_branches: bool
    strength: float = 1.0  # of all pictures at first; the page has a slider

    @property
    def most_strength(self) -> float:
        """The greatest strength of the slider."""
        return max(strength.MOST, self.strength)


def make_app(queue: Queue, facts: Facts, token: str | None, quality: int) -> Flask:
    """The application.

    Args:
        queue: Where pictures go.
        facts: For the page's head.
        token: As in ``serving.protect``.
        quality: As in ``photographs.write``, for results of another strength.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    serving.protect(app, token, _COOKIE)
    queue.set_strength(facts.strength)
    _add_page(app, facts)
    _add_list(app, queue, facts)
    _add_pictures(app, queue, facts)
    _add_downloads(app, queue, facts, quality)
    return app


def _add_page(app: Flask, facts: Facts) -> None:
    page = templates(_PAGE)

    @app.get("/")
    def get_page() -> Response:
        kinds = ",".join(photographs.SUFFIXES)
        html = page.get_template("index.html.j2").render(facts=facts, scripts=SCRIPTS, kinds=kinds)
        return Response(html, mimetype="text/html")

    @app.get("/<name>")
    def get_file(name: str) -> Response:
        if name == "look.css":
            return Response(page.get_template("look.css.j2").render(), mimetype="text/css")
        known = next((each for each in (*SCRIPTS, "tryout.css") if each == name), None)
        if known is None:
            abort(404)
        return Response((_PAGE / known).read_bytes(), mimetype=_TYPES[Path(known).suffix])


def _add_list(app: Flask, queue: Queue, facts: Facts) -> None:
    run = secrets.token_hex(8)  # changes with a restart, when numbers start again

    @app.get("/queue")
    def get_queue() -> dict[str, Any]:
        return {"run": run, "pictures": queue.facts()}

    @app.post("/pictures")
    def offer() -> Response | tuple[dict[str, Any], int]:
        offered = _offered()
        try:
            return {"run": run, "numbers": queue.offer(offered)}, 201
        except InputError as error:
            return {"reason": str(error)}, 409

    @app.put("/pictures/<int:number>")
    def receive(number: int) -> Response:
        return Response(status=204 if queue.receive(number, request.stream) else 404)  # type: ignore[arg-type]

    @app.delete("/pictures/<int:number>")
    def remove(number: int) -> Response:
        return Response(status=204 if queue.remove(number) else 404)

    @app.post("/pictures/<int:number>/parts")
    def ask_branches(number: int) -> Response:
        if not request.is_json:
            abort(415)
        return Response(status=204 if facts.has_branches and queue.ask_branches(number) else 404)

    @app.put("/pictures/<int:number>/strength")
    def set_strength(number: int) -> Response:
        return Response(status=204 if queue.set_strength(_asked_strength(facts), number) else 404)

    @app.put("/strength")
    def set_strength_of_all() -> Response:
        queue.set_strength(_asked_strength(facts))
        return Response(status=204)


def _asked_strength(facts: Facts) -> float:
    """The strength in the body of a request."""
    body = serving.json_body()
    return _checked_strength(body.get("strength") if isinstance(body, dict) else None, facts)


def _checked_strength(value: object, facts: Facts) -> float:
    """A strength that the slider has; else 400."""
    if not isinstance(value, int | float) or not 0 < value <= facts.most_strength:
        abort(400)
    return float(value)


def _offered() -> Sequence[tuple[str, int]]:
    """Names and sizes of the files that a request offers."""
    request.max_content_length = _LARGEST_JSON
    body = serving.json_body()
    listed = body.get("files") if isinstance(body, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_FILES:
        abort(400)
    for file in listed:
        if not isinstance(file, dict) or not isinstance(file.get("name"), str) or not _is_count(file.get("size")):
            abort(400)
    return [(file["name"], file["size"]) for file in listed]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _add_pictures(app: Flask, queue: Queue, facts: Facts) -> None:
    making = threading.Lock()  # one at a time: each may take gigabytes

    def whole(picture: Picture, source: Path) -> Response:
        """A picture for the browser, made on the first request."""
        made = picture.folder / f"{source.stem}.shown"
        try:
            with making:
                if made.exists():
                    data = made.read_bytes()
                else:
                    data = shown.encode(photographs.read(source))
                    with suppress(OSError):  # a full disk: it is made again next time
                        files.write_bytes(made, data)
        except (ReadError, OSError):  # removed in this moment
            abort(404)
        finally:
            if queue.get(picture.number) is None:
                queue.clear(picture)
        return Response(data, mimetype=shown.mime_type(data))

    @app.get("/pictures/<int:number>/thumb")
    def get_thumb(number: int) -> Response:
        return Response(_found(queue, number, is_done=False).thumb, mimetype="image/jpeg")

    @app.get("/pictures/<int:number>/blurry")
    def get_blurry(number: int) -> Response:
        picture = _found(queue, number, is_done=False)
        return whole(picture, picture.source)

    @app.get("/pictures/<int:number>/restored")
    def get_restored(number: int) -> Response:
        picture = _found(queue, number, is_done=True)
        factor = _strength(facts, picture)
        if factor == 1:
            return whole(picture, picture.restored)
        try:
            with making:
                data = shown.encode(strength.strengthened(picture, factor))
        except (ReadError, OSError):  # removed in this moment
            abort(404)
        return Response(data, mimetype=shown.mime_type(data))

    @app.get("/pictures/<int:number>/parts/<name>")
    def get_part(number: int, name: str) -> Response:
        picture = _found(queue, number, is_done=True)
        known = next((each for each in (*IMAGES, *MAPS) if each == name), None)
        if known is None or picture.branches.state is not State.DONE:
            abort(404)
        try:
            data = (picture.folder / known).read_bytes()
        except OSError:  # not available for this network, or removed in this moment
            abort(404)
        return Response(data, mimetype=shown.mime_type(data))


def _strength(facts: Facts, picture: Picture) -> float:
    """The strength that a request asks for; if it names none, that of the picture."""
    try:
        return _checked_strength(float(request.args.get("strength", picture.strength)), facts)
    except ValueError:
        abort(400)


def _add_downloads(app: Flask, queue: Queue, facts: Facts, quality: int) -> None:
    @app.get("/pictures/<int:number>/download")
    def download(number: int) -> Response:
        picture = _found(queue, number, is_done=True)
        try:
            with strength.written(picture, _strength(facts, picture), quality) as path:
                data = path.read_bytes()
        except (ReadError, OSError):  # removed in this moment
            abort(404)
        return send_file(
            BytesIO(data), "application/octet-stream", as_attachment=True, download_name=picture.download_name
        )

    @app.get("/download")
    def download_all() -> Response:
        listed = queue.restored()
        if not listed:
            abort(404)
        try:
            archive = _archive(listed, queue.folder, quality)
            return send_file(archive, "application/zip", as_attachment=True, download_name="restored.zip")
        except OSError as error:
            return serving.unavailable(
                f"{queue.folder} cannot be written ({error.strerror or error}); free some disk space"
            )


def _found(queue: Queue, number: int, *, is_done: bool) -> Picture:
    """A readable picture of the list, restored if ``is_done``; else 404."""
    picture = queue.get(number)
    if picture is None or not picture.thumb or (is_done and picture.restoring.state is not State.DONE):
        abort(404)
    return picture


def _archive(pictures: Sequence[Picture], folder: Path, quality: int) -> IO[bytes]:
    """The restored pictures, each with its strength, in an unnamed zip in ``folder``; repeated names get a number."""
    target = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed with the response that sends it
    taken: Counter[str] = Counter()
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for picture in pictures:
                name = Path(picture.download_name)
                taken[name.name.casefold()] += 1
                count = taken[name.name.casefold()]
                unique = name.name if count == 1 else f"{name.stem} ({count}){name.suffix}"
                with (
                    suppress(FileNotFoundError, ReadError),  # removed in this moment
                    strength.written(picture, picture.strength, quality) as path,
                ):
                    archive.write(path, unique)
    except OSError:
        target.close()
        raise
    target.seek(0)
    return target
