"""Reads request bodies within limits of size, time and memory, and discards the rest of refused ones."""

import asyncio
from contextlib import suppress
from io import BytesIO

from starlette.types import Message, Receive

from digits.errors import BadInput, Overloaded
from digits.gateway.ray_facts import HAPROXY_BUFFERED_BYTES
from digits.gateway.settings import EdgeSettings

# Bodies up to this size are not counted: uvicorn holds so much of any connection.  So drawings are accepted
# while photos fill the memory.
UNCOUNTED_BYTES = 64 * 2**10
# Larger bodies count as large.  HAProxy holds smaller ones until they are complete, and refuses them itself
# under overload.
LARGE_BYTES = HAPROXY_BUFFERED_BYTES
# A refused body is read on and dropped, up to this size: a client that sends all before it reads would get a
# reset instead of the answer.
DISCARDED_BYTES = 128 * 2**20


class Memory:
    """The bodies that a process holds at the same time: their bytes, and the number of large ones.

    The memory is shared by a dynamic threshold: a body may hold as much as it leaves free (Choudhury and
    Hahne, 1998), so large bodies cannot take everything, and smaller ones still fit.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.free = limit
        self.large = 0


class Body:
    """One request's body. Leave the context when the request is answered."""

    def __init__(self, settings: EdgeSettings, memory: Memory) -> None:
        self._settings = settings
        self._memory = memory
        self._held = 0
        self._is_large = False
        self._more = True  # whether the client has not sent all of it
        self._deadline = asyncio.get_running_loop().time() + settings.body_timeout_s

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.free += self._held
        self._memory.large -= self._is_large
        self._held, self._is_large = 0, False

    def admit(self, size: int) -> None:
        """Counts a large body. Raises BadInput if it has too many bytes, Overloaded if there is no memory."""
        limit = self._settings.max_body_bytes
        if size > limit:
            raise BadInput(
                "body_too_large", f"The body has more than {limit} bytes; send smaller images, or fewer"
            )
        if size > LARGE_BYTES and not self._is_large:
            if self._memory.large >= self._settings.max_large_bodies:
                raise Overloaded(
                    f"{self._memory.large} bodies above {LARGE_BYTES // 2**10} KiB are in progress, which "
                    "is the limit; retry in 1 s, or send smaller images"
                )
            self._memory.large += 1
            self._is_large = True
        room = (self._memory.free + self._held) // 2
        if size > max(room, UNCOUNTED_BYTES):
            raise Overloaded(
                f"Other large bodies fill the memory, which leaves {room / 2**20:.1f} MiB for this "
                "one; retry in 1 s, or send smaller images"
            )

    async def read(self, receive: Receive) -> Message:
        """Returns the whole body as one message, or the client's disconnect.

        Raises what `admit` raises, and BadInput after the time limit.
        """
        # One growing block, which getvalue() does not copy, instead of pieces and their copy.
        body = BytesIO()
        try:
            async with asyncio.timeout_at(self._deadline):
                while self._more:
                    message = await self._receive(receive)
                    if message["type"] == "http.disconnect":
                        return message
                    body.write(message.get("body", b""))
                    self._hold(body.tell())
        except TimeoutError:
            raise BadInput(
                "body_too_slow",
                f"The body was not complete within {self._settings.body_timeout_s:g} s; "
                "send it faster, or send fewer images",
            ) from None
        return {"type": "http.request", "body": body.getvalue(), "more_body": False}

    async def discard(self, receive: Receive) -> None:
        """Reads and drops the rest of the body, up to its end, its time limit or DISCARDED_BYTES."""
        self.__exit__()
        size = 0
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._deadline):
                while self._more and size < DISCARDED_BYTES:
                    size += len((await self._receive(receive)).get("body", b""))

    async def _receive(self, receive: Receive) -> Message:
        message = await receive()
        self._more = message.get("more_body", False)
        return message

    def _hold(self, size: int) -> None:
        """Sets the number of bytes that this body holds."""
        self.admit(size)
        if size > UNCOUNTED_BYTES:
            self._memory.free -= size - self._held
            self._held = size
