"""Serve the review of masks over HTTP: files are made on request, verdicts are saved at once.

No part of a request is used as a path; only the file names of the review are accepted.
"""

import threading
from pathlib import PurePosixPath

from flask import Flask, Response, abort

from pipelines import serving
from pipelines.review import site, verdicts
from pipelines.review.site import Review
from prep.errors import MaskError

_COOKIE = "cdg-review"
_LARGEST_REQUEST = 100_000  # bytes


def make_app(review: Review, token: str | None) -> Flask:
    """Make the Flask application.

    Args:
        review: Review to serve; verdicts are written to its file.
        token: As in ``serving.protect``.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_REQUEST
    serving.protect(app, token, _COOKIE)
    _add_files(app, review)
    _add_verdicts(app, review)
    return app


def _add_files(app: Flask, review: Review) -> None:
    @app.get("/")
    @app.get("/<path:name>")
    def get_file(name: str = site.INDEX) -> Response:
        try:
            data = site.file_content(review, name)
        except ValueError as error:  # a frame cannot be read
            app.logger.error("%s", error)
            abort(500)
        if data is None:
            abort(404)
        return Response(data, mimetype=site.TYPES[PurePosixPath(name).suffix])


def _add_verdicts(app: Flask, review: Review) -> None:
    lock = threading.Lock()
    keys = {pair.key for pair in review.pairs}

    @app.post("/verdicts")
    def save_verdict() -> Response:
        body = serving.json_body()
        try:
            key = str(body.pop("key"))
            verdict = verdicts.parse(body)
        except (AttributeError, KeyError, TypeError, ValueError):
            abort(400)
        if key not in keys:
            abort(404)
        if not review.verdicts.parent.is_dir():
            return serving.unavailable("the masks folder no longer exists")
        try:
            with lock:
                verdicts.write(review.verdicts, {**verdicts.read(review.verdicts), key: verdict})
        except MaskError as error:  # the file was damaged in the meantime
            return serving.unavailable(error)
        except OSError as error:
            return serving.unavailable(f"{review.verdicts} cannot be written ({error.strerror or error})")
        return Response(status=204)
