"""One pure-ASGI middleware in front of everything that Ray Serve answers over HTTP.

Ray loads `middlewares` through RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH (serve.env), in every proxy and in
every replica's own HTTP server.  Ray itself is not imported here.
"""

import json
import os

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digits.problems import MEDIA_TYPE, PROBLEMS, problem_document, request_id_from

# What the service reads of a request's headers.  All others stay outside, above all those with which any
# client could steer Ray Serve: its timeout, its disconnect handling, multiplexing and session routing.
PASSED = frozenset(
    (b"host", b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"traceparent")
)
# Ray Serve runs a request under two more tasks and a timer, unless it is told that somebody else minds
# slow and vanished clients (ray/serve/_private/replica.py, _direct_ingress_asgi).  In a replica behind
# HAProxy somebody does: HAProxy's timeouts, the batch queue's, and the ASGI server, which reports a
# disconnect in the place of the body.
UNWATCHED = [(b"x-request-timeout-seconds", b"0"), (b"x-request-disconnect-disabled", b"?1")]
# The plain text that Ray Serve itself answers, by its status -> the problem it is, and what to do about it.
RAYS_OWN = {
    404: ("not_found", "this service has POST /predict, and GET /docs that explains it"),
    408: ("timed_out", "no replica answered in time; send the request again"),
    429: ("overloaded", "as many requests wait as may; try again in a second"),
    500: ("internal", "the failure is in the service's log under this request's id"),
    503: ("unavailable", "no replica is up; try again in a few seconds"),
}


class Edge:
    def __init__(self, app: ASGIApp, unwatched: bool) -> None:
        self._app = app
        self._added = UNWATCHED if unwatched else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, given = [], b""
        for header in scope["headers"]:
            if header[0] in PASSED:
                headers.append(header)
            elif header[0] == b"x-request-id":
                given = header[1]
        chosen = request_id_from(given)
        scope["headers"] = [*headers, (b"x-request-id", chosen.encode()), *self._added]
        await self._app(scope, receive, _Explained(send, chosen))


class _Explained:
    """Sends what it is given, but for Ray Serve's plain errors: those it sends as problems."""

    def __init__(self, send: Send, request: str) -> None:
        self._send = send
        self._request_id = request
        self._body: bytes | None = None  # of the problem, once there is one

    async def __call__(self, message: Message) -> None:
        if self._body is not None:
            body, self._body = self._body, b""
            message = {**message, "body": body}
        elif message.get("status") in RAYS_OWN and not _is_explained(message):
            message = self._problem(*RAYS_OWN[message["status"]], message)
        await self._send(message)

    def _problem(self, code: str, detail: str, message: Message) -> Message:
        self._body = json.dumps(problem_document(code, detail, self._request_id)).encode()
        kept = [header for header in message["headers"] if header[0] in (b"x-request-id", b"retry-after")]
        headers = [
            *kept,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(self._body)).encode()),
        ]
        return {**message, "status": PROBLEMS[code].status, "headers": headers}


def _is_explained(message: Message) -> bool:
    return any(name == b"content-type" and b"json" in value for name, value in message["headers"])


def middlewares() -> list[Middleware]:
    """What Ray Serve's callback must return."""
    return [Middleware(Edge, unwatched=os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1")]
