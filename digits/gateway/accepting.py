"""Accepts all connections that wait, as soon as one is accepted.

uvloop accepts one connection in each turn of the event loop (libuv 1.46 and later).  A turn of a busy replica
takes some 30 ms, so the last of 300 new connections would wait for 10 s, in the kernel, where nothing counts
them; so would HAProxy's health checks, after which HAProxy takes the replica for dead.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import wraps
from weakref import WeakKeyDictionary

from uvicorn import Config, Server

AT_ONCE = 256  # connections; more wait for the next turn

_listeners: WeakKeyDictionary[Config, Sequence[socket.socket]] = WeakKeyDictionary()
_tasks: set[asyncio.Task[object]] = set()


def remember_listeners() -> None:
    """Has every uvicorn server of this process note the sockets that it is started with."""
    original = Server.startup
    if getattr(original, "__wrapped__", None):
        return

    @wraps(original)
    async def startup(server: Server, sockets: list[socket.socket] | None = None) -> None:
        await original(server, sockets)
        _listeners[server.config] = sockets or ()

    Server.startup = startup  # type: ignore[assignment, method-assign]


def accept_waiting(config: Config, make_protocol: Callable[[], asyncio.Protocol]) -> None:
    """Accepts what waits at the sockets of the server with this configuration."""
    loop = asyncio.get_running_loop()
    for listener in _listeners.get(config, ()):
        for _ in range(AT_ONCE):
            try:
                connection, _ = listener.accept()
            except OSError:  # none waits, the socket is closed, or no descriptor is left: uvloop reports that
                break
            task = loop.create_task(loop.connect_accepted_socket(make_protocol, connection))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
