"""The ASGI middleware in front of every route: it checks headers, API keys and bodies.

Ray loads `middlewares` through RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH (serve.env), in every proxy and in
every replica's own HTTP server.  Without that setting digits.serving puts it around the app.
"""

import asyncio
import os
import re

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digits.errors import BadInput
from digits.gateway.answers import Answer
from digits.gateway.auth import KEY_HEADERS, check_key
from digits.gateway.one_write import in_one_write
from digits.gateway.ray_facts import CALLBACK, DISABLED_RAY_WATCHDOGS, HAPROXY_BUFFERED_BYTES
from digits.gateway.settings import EdgeSettings
from digits.problems import PROBLEMS, request_id_from

# The headers that the service reads.  All others are dropped, above all those with which a client could
# steer Ray Serve: its timeout, its disconnect handling, multiplexing and session routing.
PASSED = frozenset(
    (b"host", b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"traceparent")
)
HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}")


class Edge:
    """Behind HAProxy it disables Ray's watchdogs, and leaves small bodies to HAProxy."""

    def __init__(self, app: ASGIApp, settings: EdgeSettings, behind_haproxy: bool) -> None:
        self._app = app
        self._settings = settings
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
        answer = Answer(in_one_write(send), request_id)
        try:
            if duplicate:
                raise BadInput("header_invalid", f"Duplicate header `{_shown(duplicate)}`; send it once")
            self._check_headers(scope, passed, size)
            check_key(self._settings, scope["path"], keys)
            if self._must_wait_for_body(passed, size):
                receive = _replay(await self._body(receive), receive)
        except BadInput as error:
            await answer.refuse(error.code, str(error))
            return
        scope["headers"] = [*passed.items(), (b"x-request-id", request_id.encode()), *self._added]
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
        if int(length) > settings.max_body_bytes:
            raise self._too_large()

    def _must_wait_for_body(self, passed: dict[bytes, bytes], size: int) -> bool:
        """False where HAProxy has waited for the body already, and where there is none."""
        if b"transfer-encoding" in passed:
            return True
        length = int(passed.get(b"content-length", b"0"))
        return length > 0 and size + length > self._buffered_bytes

    async def _body(self, receive: Receive) -> list[Message]:
        """Returns the messages up to the end of the body; holds at most the limit and one chunk of it."""
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
                "body_too_slow",
                f"The body was not complete within {self._settings.body_timeout_s:g} s; "
                "send it faster, or send fewer images",
            ) from None
        return messages

    def _too_large(self) -> BadInput:
        limit = self._settings.max_body_bytes
        return BadInput(
            "body_too_large", f"The body has more than {limit} bytes; send smaller images, or fewer"
        )


def _shown(name: bytes) -> str:
    """Returns a header's name as clients write it: Content-Type."""
    return name.decode().title()


def _replay(messages: list[Message], receive: Receive) -> Receive:
    """Returns a `receive` that gives `messages` first, then what the client sends."""
    left = iter(messages)

    async def replay() -> Message:
        return next(left, None) or await receive()

    return replay


def middlewares() -> list[Middleware]:
    """Returns what Ray Serve adds to its HTTP servers.  Raises ValidationError for an invalid setting."""
    settings = EdgeSettings.from_environment()
    behind_haproxy = os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
    return [Middleware(Edge, settings=settings, behind_haproxy=behind_haproxy)]


def is_loaded_by_ray() -> bool:
    return os.environ.get(CALLBACK) == f"{__name__}:{middlewares.__name__}"
