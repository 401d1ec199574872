"""Request bodies: the memory that they share, and what is read on after a refusal."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from starlette.types import Message, Receive

from digits.errors import BadInput, Overloaded
from digits.gateway.request_body import DISCARDED_BYTES, LARGE_BYTES, UNCOUNTED_BYTES, Body, Memory
from digits.gateway.settings import EdgeSettings

MIB = 2**20
SETTINGS = EdgeSettings(max_body_bytes=16 * MIB, max_buffered_bytes=64 * MIB)


def sends(*sizes: int, ends: bool = True) -> Receive:
    """Returns a `receive` of chunks of these sizes; it waits after the last one if the body does not end."""
    left: Iterator[tuple[int, int]] = iter(enumerate(sizes, 1))

    async def receive() -> Message:
        number, size = next(left, (0, 0))
        if not number:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": bytes(size), "more_body": not ends or number < len(sizes)}

    return receive


async def test_a_body_is_one_message() -> None:
    with Body(SETTINGS, Memory(64 * MIB)) as body:
        message = await body.read(sends(3, 4, 5))
    assert message == {"type": "http.request", "body": bytes(12), "more_body": False}


async def test_a_disconnect_is_passed_on_without_the_body() -> None:
    async def leaves() -> Message:
        return {"type": "http.disconnect"}

    with Body(SETTINGS, Memory(64 * MIB)) as body:
        assert (await body.read(leaves))["type"] == "http.disconnect"


async def test_bodies_share_memory_until_they_are_answered() -> None:
    """Of 64 MiB four bodies of 12 MiB leave 16, of which one may take half; an answer makes room."""
    memory = Memory(64 * MIB)
    with ExitStack() as answered:
        for _ in range(4):
            await answered.enter_context(Body(SETTINGS, memory)).read(sends(12 * MIB))
        with Body(SETTINGS, memory) as body:
            with pytest.raises(Overloaded, match=r"leaves 8.0 MiB for this one"):
                await body.read(sends(12 * MIB))
            await body.discard(sends(0))
            await answered.enter_context(Body(SETTINGS, memory)).read(sends(8 * MIB))
    assert memory.free == memory.limit


async def test_a_declared_body_without_room_is_refused_unread() -> None:
    memory = Memory(64 * MIB)
    memory.free = 20 * MIB
    with Body(SETTINGS, memory) as body:
        body.admit(10 * MIB)
        with pytest.raises(Overloaded):
            body.admit(10 * MIB + 1)


async def test_large_bodies_never_refuse_a_small_one() -> None:
    memory = Memory(64 * MIB)
    memory.free = 0
    with Body(SETTINGS, memory) as body:
        await body.read(sends(UNCOUNTED_BYTES))
    assert memory.free == 0


async def test_a_refused_body_frees_its_memory_before_it_is_discarded() -> None:
    memory = Memory(64 * MIB)
    with Body(SETTINGS, memory) as body:
        with pytest.raises(BadInput):
            await body.read(sends(15 * MIB, 2 * MIB, ends=False))
        assert memory.free < memory.limit
        discarding = asyncio.ensure_future(body.discard(sends(1, ends=False)))
        await asyncio.sleep(0)
        assert memory.free == memory.limit
        discarding.cancel()


async def test_a_body_that_ends_over_the_limit_is_not_waited_for() -> None:
    """Behind its last message only a disconnect would come."""
    receive = sends(15 * MIB, 2 * MIB)
    with Body(SETTINGS, Memory(64 * MIB)) as body:
        with pytest.raises(BadInput):
            await body.read(receive)
        async with asyncio.timeout(5):  # half of the time limit of the body
            await body.discard(receive)


async def test_no_more_than_the_limit_is_discarded() -> None:
    read = 0

    async def endless() -> Message:
        nonlocal read
        read += MIB
        return {"type": "http.request", "body": bytes(MIB), "more_body": True}

    with Body(SETTINGS, Memory(64 * MIB)) as body:
        await body.discard(endless)
    assert read == DISCARDED_BYTES


async def test_discarding_ends_at_the_time_limit_of_the_body() -> None:
    settings = EdgeSettings(body_timeout_s=0.05)
    with Body(settings, Memory(64 * MIB)) as body:
        async with asyncio.timeout(5):
            await body.discard(sends(1, ends=False))


def test_a_budget_that_fits_no_body_stops_the_start() -> None:
    with pytest.raises(ValueError, match="must be at least 33554432, twice max_body_bytes"):
        EdgeSettings(max_buffered_bytes=32 * MIB - 1)


async def test_large_bodies_are_limited_in_number_small_ones_not() -> None:
    """However fast they arrive, a replica then has time for others."""
    memory, settings = Memory(64 * MIB), EdgeSettings(max_large_bodies=2)
    first, second, third, small = (Body(settings, memory) for _ in range(4))
    first.admit(MIB)
    first.admit(2 * MIB)  # it grows, and counts once
    second.admit(MIB)
    with pytest.raises(Overloaded, match="2 bodies above 31 KiB are in progress"):
        third.admit(MIB)
    small.admit(LARGE_BYTES)
    with first:
        pass
    third.admit(MIB)
