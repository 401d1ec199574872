"""Clients without an HTTP library, many at once."""

import asyncio
from collections.abc import Callable
from typing import Any

from testkit.encodings import Body


def head_of(body: Body, length: int | None = None) -> bytes:
    size = len(body.content) if length is None else length
    return (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {body.content_type}\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def all_of(one: Callable[[int, int], Any], port: int, clients: int, at_once: int) -> list[Any]:
    """Runs `one` for each client, some at a time."""
    gate = asyncio.Semaphore(at_once)

    async def through(number: int) -> Any:
        async with gate:
            return await one(port, number)

    return await asyncio.gather(*(through(number) for number in range(clients)))
