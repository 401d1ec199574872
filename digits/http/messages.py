"""ASGI messages for the routes that must be fast: the whole body in, one answer out."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Send

# JSON, forms and text up to this size are parsed on the event loop: a hop to a thread would cost more.
ON_LOOP_BYTES = 2048
Given = ParamSpec("Given")
Made = TypeVar("Made")


async def read_body(receive: Receive) -> bytes:
    """Returns the whole body; the gateway has limited its size and time."""
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def off_loop(
    is_long: bool, call: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs
) -> Made:
    """Returns the result of the call, which runs in a thread if it `is_long`."""
    return await asyncio.to_thread(call, *args, **kwargs) if is_long else call(*args, **kwargs)


async def send_body(
    send: Send, body: bytes, content_type: bytes, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Sends status 200 with the body and the `more` headers."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *(more or ())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
