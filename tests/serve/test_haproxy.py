"""What HAProxy adds: the least that can listen, bounded waits, problems of its own, and the edge in front."""

import os
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import httpx2
import pytest

from digits.gateway.haproxy import REQUEST_WITHIN_S
from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, wait_until
from testkit.encodings import ONE
from tests.programs import require_program

pytestmark = [pytest.mark.haproxy_only, pytest.mark.essential]
BODY = ONE["png"](golden_digits()[0][7])


@pytest.fixture(scope="module")
def haproxy(cluster: LocalCluster) -> LocalCluster:
    cluster.apply(cluster.fixed(1))
    wait_until(lambda: len(cluster.replicas()) == 1, timeout_s=120, on_timeout=cluster.logs)
    wait_until(cluster.ready, timeout_s=30, on_timeout=cluster.logs)
    return cluster


def sockets() -> list[tuple[str, int]]:
    """Address and process of every socket of this machine that listens over TCP."""
    require_program("ss", "iproute2")
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [(line.split()[3], int(pid)) for line in lines for pid in re.findall(r"pid=(\d+)", line)]


def haproxy_pid(cluster: LocalCluster) -> int:
    (pid,) = {pid for address, pid in sockets() if address == f"127.0.0.1:{cluster.port}"}
    return pid


def test_whatever_speaks_http_listens_on_loopback_alone(haproxy: LocalCluster) -> None:
    its = {address for address, pid in sockets() if pid == haproxy_pid(haproxy)}
    assert len(its) == 3
    assert {address.rpartition(":")[0] for address in its} == {"127.0.0.1"}
    # Beside its HTTP port a replica has those of Ray's own calls, which ask for the cluster's token.
    (replica,) = haproxy.replica_pids()
    assert any(re.match(r"127\.0\.0\.1:30\d{3}$", address) for address, pid in sockets() if pid == replica)


def test_the_admin_socket_is_its_owners(haproxy: LocalCluster) -> None:
    command = Path(f"/proc/{haproxy_pid(haproxy)}/cmdline").read_text().split("\0")
    (config,) = {part for part in command if part.endswith("haproxy.cfg")}
    mode = (Path(config).parent / "admin.sock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_request_whose_headers_drip_is_ended_in_time(haproxy: LocalCluster) -> None:
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", haproxy.port), timeout=3 * REQUEST_WITHIN_S) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
        answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - start == pytest.approx(REQUEST_WITHIN_S, abs=2)


def test_a_client_cannot_steer_ray_serve(haproxy: LocalCluster) -> None:
    headers = {
        "X-Request-Timeout-Seconds": "0.000001", "Serve_Multiplexed_Model_Id": "x", "X-Session-Id": "y",
        "X-Request-Id": "mine", "Content-Type": "image/png",
    }  # fmt: skip
    response = httpx2.post(f"{haproxy.url}/predict", content=BODY.content, headers=headers)
    assert (response.status_code, response.json()["digit"]) == (200, 7)
    assert response.headers["x-request-id"] == response.json()["request_id"] == "mine"


def test_after_the_only_replica_was_killed_who_asks_again_is_told_why_or_answered(
    haproxy: LocalCluster,
) -> None:
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
