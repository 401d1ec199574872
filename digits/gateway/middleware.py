"""The ASGI middleware in front of every route: it checks headers, API keys and bodies.

Ray loads `middlewares` through RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH (serve.env), in every proxy and in
every replica's own HTTP server.  Without that setting digits.serving puts it around the app.
"""

import asyncio
import os
import re

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digits.errors import BadInput, RequestError
from digits.gateway.answers import Answer
from digits.gateway.auth import KEY_HEADERS, check_key
from digits.gateway.connection import use_in_uvicorn
from digits.gateway.one_write import in_one_write
from digits.gateway.ray_facts import (
    CALLBACK,
    DISABLED_RAY_WATCHDOGS,
    HAPROXY_BUFFERED_BYTES,
    app_without_request_ids,
)
from digits.gateway.request_body import Body, Memory
from digits.gateway.settings import EdgeSettings
from digits.problems import PROBLEMS, request_id_from

HEADER_LENGTH = "Inference-Header-Content-Length"  # a header of the Open Inference Protocol
# The headers that the service reads.  All others are dropped, above all those with which a client could
# steer Ray Serve: its timeout, its disconnect handling, multiplexing and session routing.
PASSED = frozenset((
    b"host", b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"traceparent",
    HEADER_LENGTH.lower().encode(),
))  # fmt: skip
HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}")


class Edge:
    """The middleware. Behind HAProxy it disables Ray's watchdogs, and leaves slow small bodies to HAProxy."""

    def __init__(self, app: ASGIApp, settings: EdgeSettings, behind_haproxy: bool) -> None:
        # Ray's middleware for request ids parses and copies all headers again: a tenth of a small request.
        self._app = app_without_request_ids(app)
        self._adds_id = self._app is not app
        self._settings = settings
        self._memory = Memory(settings.max_buffered_bytes)
        self._added = DISABLED_RAY_WATCHDOGS if behind_haproxy else ()
        self._buffered_bytes = HAPROXY_BUFFERED_BYTES if behind_haproxy else 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it was accepted: 403
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passed: dict[bytes, bytes] = {}
        client_id, keys, size, duplicate = b"", [], 0, b""
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in PASSED:
                if name in passed:
                    duplicate = name
                passed[name] = value
            elif name == b"x-request-id":
                client_id = value
            elif name in KEY_HEADERS:
                keys.append(value)
        request_id = request_id_from(client_id)
        answer = Answer(in_one_write(send), request_id, scope["path"], self._adds_id)
        refusal = None
        with Body(self._settings, self._memory) as body:
            try:
                if duplicate:
                    shown = duplicate.decode().title()  # in its usual form, such as Content-Type
                    raise BadInput("header_invalid", f"Duplicate header `{shown}`; send it once")
                self._check_headers(scope, passed, size)
                check_key(self._settings, scope["path"], keys)
                receive = await self._with_whole_body(receive, body, passed, size)
            except RequestError as error:
                refusal = error.code, str(error)
            if refusal:  # not in `except`, where the error's traceback would keep the body in memory
                await answer.refuse(*refusal, body.discard(receive))
                return
            scope["headers"] = [*passed.items(), (b"x-request-id", request_id.encode()), *self._added]
            await self._forward(scope, receive, answer)

    async def _forward(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        """Calls the app, and sends an answer if the app sends none."""
        try:
            await self._app(scope, receive, answer)
        # uvicorn would answer plain text to both; it still logs the exception.
        except asyncio.CancelledError:  # Ray cancels a request whose replica has stopped
            await answer.refuse_if_unanswered("unavailable")
            raise
        except Exception:
            await answer.refuse_if_unanswered("internal")
            raise
        await answer.refuse_if_unanswered("replica_lost")

    def _check_headers(self, scope: Scope, passed: dict[bytes, bytes], size: int) -> None:
        settings = self._settings
        count = len(scope["headers"])
        if size > settings.max_header_bytes or count > settings.max_headers:
            raise BadInput(
                "headers_too_large",
                f"The request has {count} headers of {size} bytes in total; send at most "
                f"{settings.max_headers} headers of {settings.max_header_bytes} bytes in total",
            )
        # Health checks of Ray and HAProxy are HTTP/1.0 and name no host.
        if not HOST.fullmatch(passed.get(b"host", b"")) and scope["http_version"] != "1.0":
            raise BadInput(
                "header_invalid", "The `Host` header is missing or invalid; send a host name and no path"
            )
        if passed.get(b"content-encoding", b"identity").lower() != b"identity":
            code = "content_encoding_unsupported"
            raise BadInput(code, PROBLEMS[code].detail)
        length = passed.get(b"content-length", b"0")
        if not length.isdigit():
            raise BadInput(
                "header_invalid", "The `Content-Length` header is not a number; send the body's size in bytes"
            )
        if passed.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            code = "transfer_encoding_unsupported"
            raise BadInput(code, PROBLEMS[code].detail)

    async def _with_whole_body(
        self, receive: Receive, body: Body, passed: dict[bytes, bytes], size: int
    ) -> Receive:
        """Returns a `receive` that gives the whole body at once. Raises what `Body.read` raises.

        HAProxy has waited for a body that fits its buffer, so most are here already. But the buffer also
        holds the URL and headers that HAProxy drops. A body that fills it together with these is passed on
        before it is complete: without a time limit here, its client could occupy the replica for hours.
        """
        length, is_chunked = int(passed.get(b"content-length", b"0")), b"transfer-encoding" in passed
        if not length and not is_chunked:
            return receive
        if not is_chunked and size + length <= self._buffered_bytes and (first := _arrived(receive)):
            if not first.get("more_body", False):
                return _replay(first, receive)
            receive = _replay(first, receive)
        body.admit(length)
        return _replay(await body.read(receive), receive)


def _arrived(receive: Receive) -> Message | None:
    """Returns the client's next message if it is already here, without waiting."""
    step = receive().__await__()
    try:
        next(step)
    except StopIteration as message:
        return message.value  # type: ignore[no-any-return]
    step.close()
    return None


def _replay(first: Message, receive: Receive) -> Receive:
    """Returns a `receive` that gives `first`, without keeping it, then the client's further messages."""
    messages = [first]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def middlewares() -> list[Middleware]:
    """Returns what Ray Serve adds to its HTTP servers, the innermost first, and prepares uvicorn for them.

    Raises ValidationError for an invalid setting.
    """
    use_in_uvicorn()
    settings = EdgeSettings.from_environment()
    behind_haproxy = os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
    edge = Middleware(Edge, settings=settings, behind_haproxy=behind_haproxy)
    return [edge, *_cors(settings)]


def middlewares_of_the_app() -> list[Middleware]:
    """Returns the same for the app itself, the outermost first as Starlette wants it; [] if Ray adds them."""
    return [] if is_loaded_by_ray() else middlewares()[::-1]


def _cors(settings: EdgeSettings) -> list[Middleware]:
    """Returns a middleware that answers preflight requests, which carry no key, and adds CORS headers."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", HEADER_LENGTH, "Traceparent", "X-API-Key", "X-Request-ID"),
            expose_headers=(HEADER_LENGTH, "Retry-After", "X-Request-ID"),
        )
    ]


def is_loaded_by_ray() -> bool:
    """Returns whether Ray itself adds `middlewares` to its HTTP servers."""
    return os.environ.get(CALLBACK) == f"{__name__}:{middlewares.__name__}"
