"""Shared parts of all served pages: access control, security headers, and the server itself."""

import hashlib
import hmac
import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, abort, redirect, request
from werkzeug.wrappers import Response as AnyResponse

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MOST_CONNECTIONS = 500  # below the usual limit of open files; half-open connections soon use up waitress's 100
_IDLE_SECONDS = 30  # seconds until a connection without a request is closed
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def protect(app: Flask, token: str | None, cookie: str) -> None:
    """Refuse requests of strangers, and restrict each answer to this page with security headers.

    Args:
        app: Application to protect.
        token: Secret that the first request must pass as ``?token=``; None if only this machine can connect. Then the
            requested host must be a name of this machine, so that a foreign page whose host name resolves to this
            machine gets no answer (DNS rebinding).
        cookie: Prefix of the name of the cookie in which the browser keeps the token.
    """
    if token is not None:  # a browser sends the cookies of a host to all its ports, so each server has its own name
        cookie += f"-{hashlib.sha256(token.encode()).hexdigest()[:8]}"
    app.before_request(lambda: _refuse_strangers(token, cookie))
    app.after_request(_add_headers)


def _refuse_strangers(token: str | None, cookie: str) -> AnyResponse | None:
    if token is None:
        if request.host.rpartition(":")[0].strip("[]") not in LOOPBACK and request.host not in LOOPBACK:
            abort(403)
        return None
    if _is_equal(request.args.get("token", ""), token):
        response = redirect("/")
        response.set_cookie(cookie, token, httponly=True, samesite="Strict")
        return response
    if not _is_equal(request.cookies.get(cookie, ""), token):
        abort(403)
    return None


def _add_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


def json_body() -> Any:
    """Return the parsed JSON of the current request; abort with 400 if it is invalid, 415 if it has another type.

    A form on another site cannot send the JSON content type.
    """
    try:
        return request.get_json()
    except RecursionError:  # nested too deeply
        abort(400)


def unavailable(reason: object) -> Response:
    """Return the answer to a failure of a disk or file (503); the page shows the reason and tries again."""
    line = " ".join(str(reason).split()).encode("ascii", "backslashreplace").decode("ascii")  # headers must be ASCII
    return Response(status=503, headers={"X-Reason": line})


def _is_equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def serve(app: Flask, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until interrupted.

    Args:
        app: Application to serve; requests above its ``MAX_CONTENT_LENGTH`` are refused before they are read.
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        ready: Called with the port once the server listens.

    Raises:
        OSError: If ``host`` is not an address of this machine, or the port is in use.
    """
    from waitress import create_server, wasyncore

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns whenever requests wait for a thread
    opened: dict[int, Any] = {}  # sockets that waitress leaves open if it cannot listen
    largest = app.config["MAX_CONTENT_LENGTH"]
    try:
        server = create_server(
            app,
            opened,
            host=host,
            port=port,
            threads=8,
            max_request_body_size=largest + 1,
            connection_limit=_MOST_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_IDLE_SECONDS // 3,
        )
    except (OSError, ValueError) as error:
        wasyncore.close_all(opened)
        if isinstance(error, OSError):
            raise
        raise OSError(0, "not an address of this machine") from error
    try:
        ready(int(server.effective_port))
        server.run()
    finally:
        server.close()
