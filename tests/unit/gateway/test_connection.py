"""A real uvicorn server with the gateway's connections: Upgrade headers and broken HTTP."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from digits.gateway.connection import use_in_uvicorn
from tests.serve.wire import statuses

CLOSE = b"Connection: close\r\n"


async def shows_request(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    body = (await request.body()).decode()
    seen = [request.method, request.url.path, body, request.headers.get("upgrade"), scope["client"][0]]
    await JSONResponse(seen)(scope, receive, send)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])  # put back after the test
    use_in_uvicorn()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(shows_request, lifespan="off", log_config=None))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        yield listening.getsockname()[1]
        server.should_exit = True
        await task


async def ask(port: int, *pieces: bytes) -> bytes:
    """Sends the pieces one by one, and returns all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)  # for a read of its own
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


def post(upgrade: bytes, more: bytes = b"", body: bytes = b"hello") -> bytes:
    head = (
        b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\n" % upgrade
    )
    return head + more + b"\r\n" + body


LENGTH = b"Content-Length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0", b"foo/1, bar"])
@pytest.mark.parametrize(
    ("more", "body"), [(LENGTH, b"hello"), (CHUNKED, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")]
)
async def test_an_upgrade_is_ignored(port: int, upgrade: bytes, more: bytes, body: bytes) -> None:
    answer = await ask(port, post(upgrade, more, body) + b"GET / HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
    assert statuses(answer) == [200, 200]
    assert b'["POST","/a","hello",null,"127.0.0.1"]' in answer


async def test_the_address_of_a_client_is_that_of_its_connection(port: int) -> None:
    """uvicorn trusts X-Forwarded-For of loopback, where HAProxy is and any client may send it."""
    answer = await ask(port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n" + CLOSE + b"\r\n")
    assert b'"127.0.0.1"' in answer


async def test_an_upgrade_in_many_pieces_is_ignored(port: int) -> None:
    whole = post(b"h2c", LENGTH + CLOSE)
    answer = await ask(port, *[whole[place : place + 7] for place in range(0, len(whole), 7)])
    assert b'["POST","/a","hello",null,"127.0.0.1"]' in answer


async def test_pipelined_upgrades_are_answered_in_order(port: int) -> None:
    requests = [post(b"h2c", LENGTH, b"body%d" % number) for number in range(9)]
    answer = await ask(port, b"".join(requests) + b"GET / HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
    places = [answer.index(b'"body%d"' % number) for number in range(9)]
    assert statuses(answer) == [200] * 10
    assert places == sorted(places)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HELO\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        post(b"h2c", CHUNKED, b"zz\r\n"),
    ],
)
async def test_broken_http_is_answered_with_a_problem(port: int, request_bytes: bytes) -> None:
    head, _, body = (await ask(port, request_bytes)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "http_invalid"


@pytest.mark.parametrize("coding", [b"deflate", b"identity"])
async def test_a_coding_behind_which_no_body_ends_is_named(port: int, coding: bytes) -> None:
    """Without `chunked` at its end nothing says where the body ends."""
    broken = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\nx" % coding
    head, _, body = (await ask(port, broken)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["code"] == "transfer_encoding_unsupported"
