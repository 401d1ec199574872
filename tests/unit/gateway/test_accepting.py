"""New connections of a busy server, with the event loop that Ray Serve uses."""

import asyncio
import socket

import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server

from digits.gateway.connection import use_in_uvicorn

CLIENTS = 60


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("no request is sent")


def test_all_connections_that_wait_are_accepted_together() -> None:
    """uvloop alone accepts one in each turn of the loop, so the last one would wait for 60 turns."""
    use_in_uvicorn()

    async def accepted() -> tuple[int, set[int]]:
        with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listener:
            server = Server(Config(app, lifespan="off", log_level="critical"))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started:
                await asyncio.sleep(0)
            address = listener.getsockname()
            clients = [socket.create_connection(address, 5) for _ in range(CLIENTS)]
            for _ in range(10):
                await asyncio.sleep(0)
            connections = server.server_state.connections.copy()
            no_delay = {
                connection.transport.get_extra_info("socket").getsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY
                )
                for connection in connections
                if connection.transport
            }
            for client in clients:
                client.close()
            server.should_exit = True
            await serving
            return len(connections), no_delay

    assert uvloop.run(accepted()) == (CLIENTS, {1})


def test_a_server_that_stopped_frees_its_port() -> None:
    use_in_uvicorn()

    async def stopped() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
            server = Server(Config(app, lifespan="off", log_level="critical"))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started:
                await asyncio.sleep(0)
            server.should_exit = True
            await serving
        return port

    with socket.create_server(("127.0.0.1", uvloop.run(stopped()))):
        pass
