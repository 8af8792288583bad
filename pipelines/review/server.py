"""The review of masks over HTTP: its files made when asked for, verdicts saved at once.

Nothing of a request is ever a path: a file is one of the review's names, or it is not there.
"""

import hmac
import threading
from collections.abc import Callable
from pathlib import PurePosixPath

from flask import Flask, Response, abort, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from pipelines.review import site, verdicts
from pipelines.review.site import Site

COOKIE = "cdg-review"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_LARGEST_REQUEST = 100_000  # bytes


def make_app(shown: Site, token: str | None) -> Flask:
    """The application.

    Args:
        shown: What to serve; its verdicts are written where it says.
        token: What the first request must bring as ``?token=``; None where only this machine can ask. Then the name
            that a browser used must be this machine's, so that no page from elsewhere asks under a name of its own.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_REQUEST
    writing = threading.Lock()
    keys = {pair.key for pair in shown.pairs}

    @app.before_request
    def guard() -> AnyResponse | None:
        if token is None:
            if request.host.rpartition(":")[0].strip("[]") not in LOOPBACK and request.host not in LOOPBACK:
                abort(403)
            return None
        if _is_equal(request.args.get("token", ""), token):
            answer = redirect("/")
            answer.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
            return answer
        if not _is_equal(request.cookies.get(COOKIE, ""), token):
            abort(403)
        return None

    @app.after_request
    def harden(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = _POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @app.post("/verdicts")
    def save() -> Response:
        if not request.is_json:  # what a form of another page cannot send
            abort(415)
        found = request.get_json()
        try:
            key = str(found.pop("key"))
            verdict = verdicts.parse(found)
        except (AttributeError, KeyError, TypeError, ValueError):
            abort(400)
        if key not in keys:
            abort(404)
        if not shown.verdicts.parent.is_dir():
            return Response(status=503, headers={"X-Reason": "the masks folder is gone"})
        with writing:
            held = verdicts.read(shown.verdicts)
            held[key] = verdict
            verdicts.write(shown.verdicts, held)
        return Response(status=204)

    @app.get("/")
    @app.get("/<path:name>")
    def get(name: str = site.INDEX) -> Response:
        try:
            data = site.content(shown, name)
        except ValueError as error:  # a frame that cannot be read
            app.logger.error("%s", error)
            abort(500)
        if data is None:
            abort(404)
        return Response(data, mimetype=site.TYPES[PurePosixPath(name).suffix])

    return app


def _is_equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def serve(app: Flask, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until interrupted.

    Args:
        app: From ``make_app``.
        host: Address to listen on.
        port: Its port; 0 for any that is free.
        ready: Is told the port once it listens.
    """
    from waitress import create_server

    try:
        server = create_server(app, host=host, port=port, threads=8)
    except ValueError as error:  # waitress's word for a host that is no address
        raise OSError(0, "it is no address of this machine") from error
    ready(int(server.effective_port))
    try:
        server.run()
    finally:
        server.close()
