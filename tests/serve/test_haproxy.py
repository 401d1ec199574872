"""What HAProxy adds: few open sockets, time limits, problems of its own, and the middleware behind it."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import httpx2
import pytest

from digits.gateway.haproxy import REQUEST_WITHIN_S
from digits.gateway.ray_facts import LOOPBACK_NODE
from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, serve_env, wait_until
from testkit.encodings import ONE
from tests.programs import require_program
from tests.serve.wire import HEAD, Wire

pytestmark = [pytest.mark.haproxy_only, pytest.mark.essential]
SERVERS = ("gcs_server", "raylet", "bin/haproxy", "ray::ServeReplica")
BODY = ONE["png"](golden_digits()[0][7])


@pytest.fixture(scope="module")
def haproxy(cluster: LocalCluster) -> LocalCluster:
    return cluster.serve(cluster.fixed(1), replicas=1)


def sockets() -> list[tuple[str, int]]:
    """Returns address and process of every socket of this machine that listens over TCP."""
    require_program("ss", "iproute2")
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [(line.split()[3], int(pid)) for line in lines for pid in re.findall(r"pid=(\d+)", line)]


def haproxy_pid(cluster: LocalCluster) -> int:
    (pid,) = {pid for address, pid in sockets() if address == f"127.0.0.1:{cluster.port}"}
    return pid


@pytest.fixture
def laptop() -> Iterator[LocalCluster]:
    """A service as `make serve` starts it."""
    with LocalCluster(**serve_env(), **LOOPBACK_NODE) as cluster:
        cluster.apply(cluster.fixed(2))
        cluster.wait_until_running_are(2, timeout_s=120)
        wait_until(cluster.ready, timeout_s=60, on_timeout=cluster.logs)
        yield cluster


def settled_sockets(cluster: LocalCluster) -> list[tuple[str, int]]:
    """Returns the sockets of the cluster's processes, once each server listens and none comes or goes."""

    def look() -> list[tuple[str, int]] | None:
        before, listening, after = cluster.pids(""), sockets(), cluster.pids("")
        pids = {pid for _, pid in listening}
        if before != after or not all(pids & set(cluster.pids(title)) for title in SERVERS):
            return None
        return [(address, pid) for address, pid in listening if pid in before]

    return wait_until(look, timeout_s=120, on_timeout=lambda: str(sockets()))


def is_loopback(address: str) -> bool:
    return address.rpartition(":")[0] in ("127.0.0.1", "[::ffff:127.0.0.1]")


def test_all_sockets_but_the_replicas_grpc_are_on_loopback(laptop: LocalCluster) -> None:
    """Every socket of every process of the service: Ray's, HAProxy's and the replicas'.

    Ray lets a replica's gRPC server listen on every interface; it refuses a call without the token.
    """
    listening = settled_sockets(laptop)
    replicas = laptop.replica_pids()
    public = [(address, pid) for address, pid in listening if not is_loopback(address)]
    assert sorted(pid for _, pid in public) == sorted(replicas), public
    for address, _ in public:
        port = int(address.rpartition(":")[2])
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/ray.serve.ASGIService/HandleRequest")(b"", timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED

    in_front = {pid for address, pid in listening if address == f"127.0.0.1:{laptop.port}"}
    assert len({address for address, pid in listening if pid in in_front}) == 3  # with statistics, metrics
    for replica in replicas:
        assert any(
            re.match(r"127\.0\.0\.1:30\d{3}$", address) for address, pid in listening if pid == replica
        )


def test_only_the_owner_may_use_the_admin_socket(haproxy: LocalCluster) -> None:
    command = Path(f"/proc/{haproxy_pid(haproxy)}/cmdline").read_text().split("\0")
    (config,) = {part for part in command if part.endswith("haproxy.cfg")}
    mode = (Path(config).parent / "admin.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_request_headers_that_arrive_slowly_time_out(haproxy: LocalCluster) -> None:
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", haproxy.port), timeout=3 * REQUEST_WITHIN_S) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
        answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408")
    assert REQUEST_WITHIN_S - 1 < time.monotonic() - start < 2 * REQUEST_WITHIN_S


def test_a_body_that_arrives_slowly_gets_a_problem_of_haproxy(haproxy: LocalCluster) -> None:
    with Wire(haproxy.port) as wire:
        wire.send(HEAD + b"Content-Length: 9\r\n\r\nx")
        reply = wire.reply()
    problem = json.loads(reply.content)
    assert (reply.status, problem["code"]) == (408, "body_too_slow")
    assert problem["instance"] == "urn:request:unknown"


def test_a_broken_chunk_behind_haproxys_buffer_gets_a_problem(haproxy: LocalCluster) -> None:
    with Wire(haproxy.port) as wire:
        chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
        wire.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"zz\r\nx")
        reply = wire.reply()
    assert (reply.status, json.loads(reply.content)["code"]) == (400, "http_invalid")


def test_a_client_cannot_steer_ray_serve(haproxy: LocalCluster) -> None:
    headers = {
        "X-Request-Timeout-Seconds": "0.000001", "Serve_Multiplexed_Model_Id": "x", "X-Session-Id": "y",
        "X-Request-Id": "mine", "Content-Type": "image/png",
    }  # fmt: skip
    response = httpx2.post(f"{haproxy.url}/predict", content=BODY.content, headers=headers)
    assert (response.status_code, response.json()["digit"]) == (200, 7)
    assert response.headers["x-request-id"] == response.json()["request_id"] == "mine"


def test_after_a_kill_retries_get_a_problem_or_an_answer(
    haproxy: LocalCluster,
) -> None:
    """The only replica is killed; requests get a problem until the next one answers."""
    (replica,) = haproxy.replica_pids()
    os.kill(replica, signal.SIGKILL)

    def answered() -> bool:
        try:
            response = httpx2.post(f"{haproxy.url}/predict", content=BODY.content, timeout=60)
        except httpx2.RemoteProtocolError:  # HAProxy ends a connection whose replica died with its request
            return False
        if response.status_code == 200:
            return bool(response.json()["digit"] == 7)
        assert response.headers["content-type"] == "application/problem+json", response.text
        assert response.json()["code"] in ("unavailable", "replica_lost")
        return False

    wait_until(answered, timeout_s=60, on_timeout=haproxy.logs)
    assert haproxy.replica_pids() != [replica]
