"""Checks the load generators against stubs of known latency.

    python -m benchmarks.load_check

`delay` answers after 10 ms.  `stall` answers at once, except in the first 400 ms of each second: 60 % of an
even stream then take no time, and the others up to 400 ms.  `queue` needs 2 ms for each request, one after
the other: at 600/s a request due after t seconds waits for 0.2 t.
"""

import asyncio
import subprocess
import sys
import time

from testkit.encodings import Body
from testkit.load import MOST_CONNECTIONS, SETTLING_S, closed_loop, open_loop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BODY = Body(b"end", "text/plain")
PORT = 8120
SECONDS = 3
# The wait in the queue when the measurement begins; each second adds 200 ms.
OVERLOAD_MS = 200 * (min(1, MOST_CONNECTIONS / 600) + SETTLING_S)
# stub, requests/s, true p50 and p99 in ms
OPEN = (
    ("delay", 20, 10, 10),
    ("delay", 700, 10, 10),
    ("delay", 2345, 10, 10),
    ("stall", 700, 0, 390),
    ("stall", 2345, 0, 390),
    ("queue", 600, OVERLOAD_MS + 200 * 0.5 * SECONDS, OVERLOAD_MS + 200 * 0.99 * SECONDS),
)


class Stub(asyncio.Protocol):
    free_at = 0.0

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(BODY.content):
            loop = asyncio.get_running_loop()
            loop.call_at(self._answered_at(loop.time()), self._transport.write, ANSWER)

    def _answered_at(self, now: float) -> float:
        if self._kind == "delay":
            return now + 0.010
        if self._kind == "stall":
            return now + max(0, 0.4 - time.time() % 1)
        Stub.free_at = max(Stub.free_at, now) + 0.002
        return Stub.free_at


async def serve(kind: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stub(kind), "127.0.0.1", PORT, backlog=1024)
    await server.serve_forever()


def main() -> None:
    url = f"http://127.0.0.1:{PORT}/"
    print("| stub | requests/s | true p50, p99 ms | open loop | closed loop, 16 connections |")
    print("|---|---|---|---|---|")
    for kind, rate, p50, p99 in OPEN:
        stub = subprocess.Popen([sys.executable, "-m", "benchmarks.load_check", kind])
        time.sleep(1)
        opened = open_loop(url, BODY, rate, SECONDS)
        closed = closed_loop(url, [BODY], 16, SECONDS)
        stub.terminate()
        stub.wait()
        seen = f"{opened.p50_ms:.1f}, {opened.p99_ms:.0f} | {closed.p50_ms:.1f}, {closed.p99_ms:.0f}"
        print(f"| {kind} | {opened.rate:.0f} | {p50:.0f}, {p99:.0f} | {seen} |")


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(serve(sys.argv[1]))
    else:
        main()
