"""Accepts all waiting connections at once, not one in each turn of the event loop.

uvloop accepts one connection in each turn of the event loop (libuv 1.46 and later). A turn of a busy replica
takes about 30 ms, so the last of 300 new connections would wait 10 s in the kernel, where nothing counts it.
HAProxy's health checks would wait too, and HAProxy would mark the replica as down.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import wraps
from weakref import WeakKeyDictionary

from uvicorn import Config, Server

AT_ONCE = 256  # connections in one turn of the event loop

_listeners: WeakKeyDictionary[Config, Sequence[socket.socket]] = WeakKeyDictionary()
_tasks: set[asyncio.Task[object]] = set()


def remember_listeners() -> None:
    """Patches uvicorn so that every server of this process records its listening sockets."""
    original = Server.startup
    if getattr(original, "__wrapped__", None):
        return

    @wraps(original)
    async def startup(server: Server, sockets: list[socket.socket] | None = None) -> None:
        await original(server, sockets)
        _listeners[server.config] = sockets or ()

    Server.startup = startup  # type: ignore[assignment, method-assign]


def accept_waiting(config: Config, make_protocol: Callable[[], asyncio.Protocol]) -> None:
    """Accepts all connections that wait at the sockets of the server with this configuration."""
    loop = asyncio.get_running_loop()
    for listener in _listeners.get(config, ()):
        for _ in range(AT_ONCE):
            try:
                connection, _ = listener.accept()
            except OSError:  # none waits, or an error that uvloop reports
                break
            task = loop.create_task(loop.connect_accepted_socket(make_protocol, connection))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
