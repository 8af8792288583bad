"""The review of masks over HTTP: files are made when they are asked for, verdicts saved at once.

No part of a request is ever used as a path: a file has one of the review's names, or it does not exist.
"""

import hmac
import threading
from collections.abc import Callable
from pathlib import PurePosixPath

from flask import Flask, Response, abort, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from pipelines.review import site, verdicts
from pipelines.review.site import Review

COOKIE = "cdg-review"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_LARGEST_REQUEST = 100_000  # bytes


def make_app(review: Review, token: str | None) -> Flask:
    """The application.

    Args:
        review: What to serve; verdicts are written to its file.
        token: What the first request must bring as ``?token=``; None where only this machine can ask. Then the host
            that the browser asked for must be a name of this machine: no page from elsewhere, under a name of its own
            that leads here, gets an answer (DNS rebinding).
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_REQUEST
    app.before_request(lambda: _refuse_strangers(token))
    app.after_request(_add_headers)
    _add_files(app, review)
    _add_verdicts(app, review)
    return app


def _refuse_strangers(token: str | None) -> AnyResponse | None:
    if token is None:
        if request.host.rpartition(":")[0].strip("[]") not in LOOPBACK and request.host not in LOOPBACK:
            abort(403)
        return None
    if _is_equal(request.args.get("token", ""), token):
        response = redirect("/")
        response.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
        return response
    if not _is_equal(request.cookies.get(COOKIE, ""), token):
        abort(403)
    return None


def _add_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


def _add_files(app: Flask, review: Review) -> None:
    @app.get("/")
    @app.get("/<path:name>")
    def get_file(name: str = site.INDEX) -> Response:
        try:
            data = site.file_content(review, name)
        except ValueError as error:  # a frame that cannot be read
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
        if not request.is_json:  # a form of another page cannot send JSON
            abort(415)
        body = request.get_json()
        try:
            key = str(body.pop("key"))
            verdict = verdicts.parse(body)
        except (AttributeError, KeyError, TypeError, ValueError):
            abort(400)
        if key not in keys:
            abort(404)
        if not review.verdicts.parent.is_dir():
            return Response(status=503, headers={"X-Reason": "the masks folder is gone"})
        with lock:
            verdicts.write(review.verdicts, {**verdicts.read(review.verdicts), key: verdict})
        return Response(status=204)


def _is_equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def serve(app: Flask, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until interrupted.

    Args:
        app: From ``make_app``.
        host: Address to listen on.
        port: Its port; 0 for any that is free.
        ready: Called with the port once the server listens.
    """
    from waitress import create_server

    try:
        server = create_server(app, host=host, port=port, threads=8)
    except ValueError as error:  # what waitress raises for a host that is no address
        raise OSError(0, "it is no address of this machine") from error
    ready(int(server.effective_port))
    try:
        server.run()
    finally:
        server.close()
