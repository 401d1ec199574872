"""What uvicorn writes to its connection, with a real server and a transport that records the writes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from digits.gateway.one_write import in_one_write

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]}


class Counting(HttpToolsProtocol):
    written: list[bytes] = []  # noqa: RUF012 - uvicorn makes the instances

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Counted(transport))  # type: ignore[arg-type]


class _Counted:
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        Counting.written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def app(*parts: bytes) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        send = in_one_write(send)
        await send(HEAD)
        for number, part in enumerate(parts, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    return answer


async def dies(scope: Scope, receive: Receive, send: Send) -> None:
    await in_one_write(send)(HEAD)
    raise RuntimeError


@asynccontextmanager
async def serving(application: ASGIApp) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(application, http=Counting, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        yield listening.getsockname()[1]
        server.should_exit = True
        await task


async def ask(application: ASGIApp, request: bytes, answers: int = 1) -> tuple[bytes, list[bytes]]:
    """Returns the answer, and the writes it came in."""
    Counting.written = []
    async with serving(application) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request * (answers - 1) + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        content = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    return content, Counting.written


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_head_and_body_are_one_write_on_a_kept_connection() -> None:
    content, written = await ask(app(b"0123456789"), GET, answers=3)
    assert len(written) == 3
    assert all(one.startswith(b"HTTP/1.1 200") and one.endswith(b"\r\n\r\n0123456789") for one in written)
    assert content == b"".join(written)


async def test_later_parts_of_a_body_are_written_as_they_come() -> None:
    _, written = await ask(app(b"01234", b"56", b"789"), GET)
    assert [one[-5:] for one in written] == [b"01234", b"56", b"789"]


async def test_a_head_without_a_body_is_written() -> None:
    content, written = await ask(app(b""), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", answers=2)
    assert written == content.replace(b"\r\n\r\nHTTP", b"\r\n\r\n|HTTP").split(b"|")
    assert len(content.split(b"HTTP/1.1 200 OK")) == 3


async def test_an_app_that_fails_after_the_head_hangs_no_client() -> None:
    """The client gets the head alone, and the end of the connection."""
    content, _ = await ask(dies, GET)
    assert content.startswith(b"HTTP/1.1 200")
    assert content.endswith(b"\r\n\r\n")


async def test_the_send_of_another_server_is_unchanged() -> None:
    async def send(message: Any) -> None: ...

    assert in_one_write(send) is send
