"""Clients that hang up, send slowly, stay idle, or are more than the service can answer."""

import asyncio
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from testkit.cluster import LocalCluster, wait_until
from testkit.load import open_loop
from testkit.processes import resident_mb
from testkit.traffic import BODY, Traffic
from tests.programs import require_program
from tests.serve.raw_clients import all_of, connect, head_of
from tests.serve.under_load import RATE, Figure, described, failed_of, wait_for

CLIENTS = 500
SLACK_S = 0.5  # for the other work of a machine with two cores
CLOSED_WITHIN_S = 20  # twice the limits of the service for headers and bodies


@pytest.fixture(scope="module")
def shipped(cluster: LocalCluster) -> LocalCluster:
    """One replica with the shipped configuration, which has allocated its memory."""
    cluster.serve(cluster.fixed(1), replicas=1)
    with Traffic(cluster.url, RATE) as traffic:
        wait_for(traffic, 1)
    return cluster


def connections_to(port: int) -> int:
    """Returns how many connections the service holds, open or half closed, by the kernel's table."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    states = ("01", "08")  # ESTABLISHED, CLOSE_WAIT
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] in states for line in lines)


async def hang_up(port: int, number: int) -> None:
    """Hangs up in the middle of the body, or as soon as all is sent."""
    _, writer = await connect(port)
    content = BODY.content[: len(BODY.content) // 2] if number % 2 else BODY.content
    writer.write(head_of(BODY) + content)
    await writer.drain()
    writer.transport.abort()


def test_500_clients_that_hang_up_cost_the_others_nothing(shipped: LocalCluster, figure: Figure) -> None:
    """No other request fails, and no connection stays open."""
    with Traffic(shipped.url, RATE) as traffic:
        wait_for(traffic, 1)
        asyncio.run(all_of(hang_up, shipped.port, CLIENTS, at_once=50))
        wait_for(traffic, 1)
    start = time.monotonic()
    wait_until(
        lambda: not connections_to(shipped.port),
        CLOSED_WITHIN_S,
        lambda: f"{connections_to(shipped.port)} are left",
    )
    figure(
        f"{len(traffic.failed)} of {len(traffic.outcomes)} other requests failed; "
        f"no connection was left after {time.monotonic() - start:.1f} s"
    )
    assert traffic.failed == [], described(traffic.failed)


def assert_not_slowed(
    traffic: Traffic, alone: tuple[float, float], beside: tuple[float, float], figure: Figure
) -> None:
    """Compares the p90: the p99 depends more on the machine's other work than on the service."""

    def quantiles_s(start: float, end: float) -> tuple[float, float]:
        seconds = sorted(outcome.seconds for outcome in traffic.outcomes if start <= outcome.due < end)
        return seconds[int(len(seconds) * 0.9)], seconds[int(len(seconds) * 0.99)]

    before, after = quantiles_s(*alone), quantiles_s(*beside)
    figure(
        f"{failed_of(traffic)}; p90 {before[0] * 1e3:.0f} ms without and {after[0] * 1e3:.0f} ms with them, "
        f"p99 {before[1] * 1e3:.0f} and {after[1] * 1e3:.0f} ms"
    )
    assert after[0] < 2 * before[0] + SLACK_S


class SlowClients:
    """Half the clients send a header each second, the others a byte of a body, until they are closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.closed_s: dict[int, float] = {}  # by client: after how many seconds it was closed

    def __enter__(self) -> "SlowClients":
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    async def _run(self) -> None:
        await all_of(self._send_slowly, self._port, CLIENTS, at_once=CLIENTS)

    async def _send_slowly(self, port: int, number: int) -> None:
        await asyncio.sleep(number / CLIENTS)
        start = time.monotonic()
        reader, writer = await connect(port)
        end = asyncio.create_task(reader.read())  # to the end of the connection
        writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\n" if number % 2 else head_of(BODY, 100_000))
        while not end.done() and not self._stop.is_set():
            with suppress(OSError):
                writer.write(f"X-Slow-{time.monotonic()}: x\r\n".encode() if number % 2 else b"x")
            await asyncio.wait([end], timeout=1)
        if end.done() and not self._stop.is_set():
            self.closed_s[number] = time.monotonic() - start
        with suppress(OSError):
            end.exception() if end.done() else end.cancel()
        writer.transport.abort()


@pytest.mark.long_behind_rays_proxy
def test_500_slow_clients_are_closed_and_slow_no_other(shipped: LocalCluster, figure: Figure) -> None:
    """Ray's own proxy waits for headers without a limit, and closes only those that send a body slowly."""
    bodies, headers = range(0, CLIENTS, 2), range(1, CLIENTS, 2)
    closed = range(CLIENTS) if shipped.behind_haproxy else bodies
    with Traffic(shipped.url, RATE) as traffic:
        start = wait_for(traffic, 4)
        with SlowClients(shipped.port) as slow:
            end = wait_for(traffic, 8)
            wait_until(
                lambda: set(closed) <= slow.closed_s.keys(),
                CLOSED_WITHIN_S,
                lambda: str(len(slow.closed_s)),
            )
    assert_not_slowed(traffic, (1, start), (start + 1, end), figure)
    for kind, clients in (("headers", headers), ("bodies", bodies)):
        seconds = [slow.closed_s[client] for client in clients if client in slow.closed_s]
        figure(
            f"{len(seconds)} of {len(clients)} clients with slow {kind} were closed"
            + (f", the last after {max(seconds):.1f} s" if seconds else "")
        )
    assert traffic.failed == [], described(traffic.failed)
    assert max(slow.closed_s[number] for number in closed) < CLOSED_WITHIN_S


@pytest.mark.long_behind_rays_proxy
def test_3000_idle_connections_slow_no_other(shipped: LocalCluster, figure: Figure) -> None:
    """Each has had an answer; all are still open in the end."""
    clients = 3000

    async def ask_once(port: int, _: int) -> asyncio.StreamWriter:
        reader, writer = await connect(port)
        writer.write(b"GET /-/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        return writer

    async def hold(traffic: Traffic) -> tuple[float, float, int]:
        writers = await all_of(ask_once, shipped.port, clients, at_once=100)
        start = traffic.now
        while traffic.now < start + 4:
            await asyncio.sleep(0.1)
        there = sum(not writer.transport.is_closing() for writer in writers)
        end = traffic.now
        for writer in writers:
            writer.transport.abort()
        return start, end, there

    with Traffic(shipped.url, RATE) as traffic:
        before = wait_for(traffic, 4)
        start, end, there = asyncio.run(hold(traffic))
    assert_not_slowed(traffic, (1, before), (start, end), figure)
    assert there == clients
    assert traffic.failed == [], described(traffic.failed)


@pytest.mark.long_behind_rays_proxy
def test_overload_is_refused_with_429_and_the_rest_answered(shipped: LocalCluster, figure: Figure) -> None:
    """Accepted requests are answered within the queue's timeout, memory stays, and it is over in 5 s."""
    require_program("h2load", "nghttp2-client")
    rate, connections = (5000, 1500) if shipped.behind_haproxy else (800, 200)
    (replica,) = shipped.wait_until_running_are(1)

    def flood(seconds: float) -> Any:
        url = f"{shipped.url}/predict"
        return open_loop(url, BODY, rate, seconds, connections)

    flood(1)
    before_mb = resident_mb(replica)
    with Traffic(shipped.url, 5) as beside:
        answered = flood(2)
    grown_mb = resident_mb(replica) - before_mb
    with Traffic(shipped.url, RATE) as after:
        wait_for(after, 4)
    refused = sum(count for status, count in answered.statuses.items() if status == "429")
    figure(
        f"{answered.rate:.0f}/s sent, {answered.accepted:.0f}/s answered, "
        f"p99 {answered.p99_ms or -1:.0f} ms, {refused} refused; replica {grown_mb:+.0f} MB; "
        f"p99 afterwards {after.p99_s(2) * 1e3:.0f} ms"
    )
    assert answered.statuses.keys() <= {"200", "429"}, answered
    assert {outcome.status for outcome in beside.outcomes} <= {200, 429}, described(beside.failed)
    if shipped.behind_haproxy:  # Ray's own proxy is slower than the replica, and queues the rest
        assert refused
        assert answered.p99_ms < 8000  # queue_timeout_s and the time of a busy machine
    assert grown_mb < 50
    assert after.failed == [], described(after.failed)
    assert after.p99_s(2) < 0.2 + SLACK_S
