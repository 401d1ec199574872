"""`make serve`, `make status` and `make stop` with the real service, and a start whose Ray is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from digits.local.instance import Instance
from testkit.cluster import ROOT, wait_until
from tests.serve.under_load import Figure

LOCAL = [sys.executable, "-m", "digits.local"]
PORT = 17300


@pytest.fixture
def service() -> Iterator[subprocess.Popen[str]]:
    """A service on PORT, once it has said that it is ready."""
    runner = subprocess.Popen(
        [*LOCAL, "serve", "--port", str(PORT)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout
    try:
        assert runner.stdout.readline().startswith("Starting ")
        assert runner.stdout.readline() == (
            f"Ready: http://127.0.0.1:{PORT} (docs at /docs), model digits starter, 1 replica\n"
        )
        yield runner
    finally:
        subprocess.run([*LOCAL, "stop", "--port", str(PORT)], cwd=ROOT, check=True, timeout=60)
        runner.wait(20)


def port_is_free() -> bool:
    try:
        with socket.create_server(("127.0.0.1", PORT)):
            return True
    except OSError:
        return False


def test_ctrl_c_ends_the_service_with_status_0(service: subprocess.Popen[str], figure: Figure) -> None:
    """In ten seconds and one line, without a process, a port or a folder left."""
    status = subprocess.run(
        [*LOCAL, "status", "--port", str(PORT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    assert status.startswith("Ready: ")
    start = time.monotonic()
    service.send_signal(signal.SIGINT)
    assert service.wait(20) == 0
    figure(f"ended after {time.monotonic() - start:.1f} s")
    assert time.monotonic() - start < 10
    assert service.stdout
    assert service.stdout.read() == "Stopped\n"
    assert Instance(PORT).running() == []
    assert not Instance(PORT).folder.exists()
    assert port_is_free()


def test_a_killed_driver_leaves_nothing(service: subprocess.Popen[str], figure: Figure) -> None:
    """HAProxy included: the port is free, and the command says where the reason is."""
    children = subprocess.run(["pgrep", "-P", str(service.pid)], capture_output=True, text=True, check=True)
    start = time.monotonic()
    os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
    wait_until(port_is_free, timeout_s=15)
    figure(f"port free after {time.monotonic() - start:.1f} s")
    assert service.wait(30) == 1
    assert Instance(PORT).running() == []
