"""One pure-ASGI middleware in front of everything that answers over HTTP.

Ray loads `middlewares` through RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH (serve.env), in every proxy and in
every replica's own HTTP server; without that setting digits.serving puts it around the app.  Ray itself is
not imported here.
"""

import asyncio
import hashlib
import hmac
import os
import re

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digits.errors import BadInput
from digits.gateway.one_write import in_one_write
from digits.gateway.settings import EdgeSettings
from digits.problems import PROBLEMS, problem_response, request_id_from

Headers = list[tuple[bytes, bytes]]
CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
# What the service reads of a request's headers.  All others stay outside, above all those with which any
# client could steer Ray Serve: its timeout, its disconnect handling, multiplexing and session routing.
PASSED = frozenset(
    (b"host", b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"traceparent")
)
HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}")
# What needs no key: whether the service lives, and how to use it.
OPEN = frozenset(("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/-/healthz", "/-/routes"))
ADMIN = "/admin/"
# Ray Serve runs a request under two more tasks and a timer, unless it is told that somebody else minds
# slow and vanished clients (ray/serve/_private/replica.py, _direct_ingress_asgi).  In a replica behind
# HAProxy somebody does: HAProxy's timeouts, the batch queue's, and the batch queue asks whether its caller
# is still there.
UNWATCHED = [(b"x-request-timeout-seconds", b"0"), (b"x-request-disconnect-disabled", b"?1")]
# HAProxy waits for a body itself (http-request wait-for-body) while it fits, with the headers, in its buffer
# of 16 KiB, of which it keeps 1 KiB free (tune.maxrewrite).
HAPROXY_BUFFERS = 15 * 1024
KEPT = (b"x-request-id", b"retry-after")  # of the headers of an answer that becomes a problem
ADDED = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
# The plain text that Ray Serve itself answers, by its status -> the problem it is, and what to do about it.
# 502 stands for no answer at all, which is what Ray's proxy has where a replica died with its request
# (ray/serve/_private/http_util.py, send_http_response_on_exception).
RAYS_OWN = {
    404: ("not_found", "this service has POST /predict, and GET /docs that explains it"),
    408: ("timed_out", "no replica answered in time; send the request again"),
    429: ("overloaded", "as many requests wait as may; try again in a second"),
    500: ("internal", "the failure is in the service's log under this request's id"),
    502: ("replica_lost", "the replica ended before it answered; send the request again"),
    503: ("unavailable", "no replica is up; try again in a few seconds"),
}


class Edge:
    def __init__(self, app: ASGIApp, settings: EdgeSettings, behind_haproxy: bool) -> None:
        self._app = app
        self._settings = settings
        self._added = UNWATCHED if behind_haproxy else []
        self._buffered = HAPROXY_BUFFERS if behind_haproxy else 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it was accepted: 403
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passed: dict[bytes, bytes] = {}
        given, keys, size, doubled = b"", [], 0, False
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in PASSED:
                doubled = doubled or name in passed
                passed[name] = value
            elif name == b"x-request-id":
                given = value
            elif name in (b"authorization", b"x-api-key"):
                keys.append(value)
        request_id = request_id_from(given)
        answer = _Answer(in_one_write(send), request_id)
        try:
            if doubled:
                raise BadInput("header_invalid", "a header that may stand once stands twice")
            self._check_headers(scope, passed, size)
            self._check_key(scope["path"], keys)
            if self._must_wait_for_body(passed, size):
                receive = _replayed(await self._body(receive), receive)
        except BadInput as error:
            await answer.refuse(error.code, str(error))
            return
        scope["headers"] = [*passed.items(), (b"x-request-id", request_id.encode()), *self._added]
        try:
            await self._app(scope, receive, answer)
        # uvicorn would answer either by plain text; it still logs what was raised.
        except asyncio.CancelledError:  # so Ray ends a request whose replica has gone
            await answer.explain(503)
            raise
        except Exception:
            await answer.explain(500)
            raise
        await answer.explain(502)

    def _check_headers(self, scope: Scope, passed: dict[bytes, bytes], size: int) -> None:
        settings = self._settings
        if size > settings.max_header_bytes or len(scope["headers"]) > settings.max_headers:
            raise BadInput(
                "headers_too_large",
                f"send at most {settings.max_headers} headers of {settings.max_header_bytes} bytes together",
            )
        # Ray's and HAProxy's health checks are HTTP/1.0 and name no host.
        if not HOST.fullmatch(passed.get(b"host", b"")) and scope["http_version"] != "1.0":
            raise BadInput("header_invalid", "the Host header is missing or is not a host")
        if passed.get(b"content-encoding", b"identity").lower() != b"identity":
            raise BadInput("content_encoding_unsupported", "send the body as it is, without Content-Encoding")
        length = passed.get(b"content-length", b"0")
        if not length.isdigit():
            raise BadInput("header_invalid", "the Content-Length header is not a number")
        if int(length) > settings.max_body_bytes:
            raise self._too_large()

    def _check_key(self, path: str, keys: list[bytes]) -> None:
        settings = self._settings
        is_admin = path.startswith(ADMIN)
        accepted = settings.admin_keys_sha256 if is_admin else settings.api_keys_sha256
        if path in OPEN or not (accepted or is_admin):
            return
        if not keys:
            raise BadInput("key_missing", "send a key as Authorization: Bearer KEY, or as X-API-Key: KEY")
        # A gateway may need the one header for itself, so either may hold the key.
        given = [hashlib.sha256(key.removeprefix(b"Bearer ")).hexdigest() for key in keys]
        # Each is compared, and in constant time: how long it takes tells nothing of a key.
        if not sum(hmac.compare_digest(one, known) for one in given for known in accepted):
            raise BadInput("key_refused", "this key is not one that opens this path")

    def _must_wait_for_body(self, passed: dict[bytes, bytes], size: int) -> bool:
        """A body that somebody else has bounded in size and time costs nothing here."""
        if b"transfer-encoding" in passed:
            return True
        length = int(passed.get(b"content-length", b"0"))
        return length > 0 and size + length > self._buffered

    async def _body(self, receive: Receive) -> list[Message]:
        """The messages to the end of the body, of which never more than the limit and one chunk are held."""
        messages: list[Message] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                while not messages or messages[-1].get("more_body"):
                    messages.append(await receive())
                    size += len(messages[-1].get("body", b""))
                    if size > self._settings.max_body_bytes:
                        raise self._too_large()
        except TimeoutError:
            raise BadInput(
                "body_too_slow", f"the body did not arrive within {self._settings.body_timeout_s:g} s"
            ) from None
        return messages

    def _too_large(self) -> BadInput:
        limit = self._settings.max_body_bytes
        return BadInput(
            "body_too_large", f"the body has more than {limit} bytes; send smaller images, or fewer"
        )


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    left = iter(messages)

    async def replay() -> Message:
        return next(left, None) or await receive()

    return replay


class _Answer:
    """Sends what it is given, but for Ray Serve's plain errors: those it sends as problems."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self._body: bytes | None = None  # of the problem, once there is one
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            if message["status"] in RAYS_OWN and not _is_explained(message):
                kept = [header for header in message["headers"] if header[0] in KEPT]
                message = self._problem(*RAYS_OWN[message["status"]], kept)
            message = {**message, "headers": [*message["headers"], *ADDED]}
        elif self._body is not None:
            body, self._body = self._body, b""
            message = {**message, "body": body}
        await self._send(message)

    async def refuse(self, code: str, detail: str) -> None:
        """The body may still be under way; what ends it is the end of the connection."""
        headers = [(b"x-request-id", self._request_id.encode()), (b"connection", b"close")]
        await self(self._problem(code, detail, headers))
        await self({"type": "http.response.body"})

    async def explain(self, status: int) -> None:
        if not self._has_begun:
            await self.refuse(*RAYS_OWN[status])

    def _problem(self, code: str, detail: str, kept: Headers) -> Message:
        headers, self._body = problem_response(code, detail, self._request_id)
        names = {name for name, _ in kept}
        made = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return {
            "type": "http.response.start",
            "status": PROBLEMS[code].status,
            "headers": [*kept, *(header for header in made if header[0] not in names)],
        }


def _is_explained(message: Message) -> bool:
    return any(name == b"content-type" and b"json" in value for name, value in message["headers"])


def middlewares() -> list[Middleware]:
    """What Ray Serve's callback must return.  Raises ValidationError for a setting that cannot be."""
    settings = EdgeSettings.from_environment()
    behind_haproxy = os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
    return [Middleware(Edge, settings=settings, behind_haproxy=behind_haproxy)]


def is_loaded_by_ray() -> bool:
    return os.environ.get(CALLBACK) == f"{__name__}:{middlewares.__name__}"
